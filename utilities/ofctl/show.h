/* show.h: what `ovs-ofctl show`, `dump-ports` and `dump-ports-desc` print,
 * written before Python is there. */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* These write what is behind the title of a whole message 'p' of 'size' bytes:
 * of OFPT_FEATURES_REPLY, OFPST_PORT_DESC, OFPST_PORT and
 * OFPT_GET_CONFIG_REPLY.  They return false if there is anything odd in it,
 * which is for Python. */
bool features_show(FILE *, const uint8_t *p, size_t size);
bool port_desc_show(FILE *, const uint8_t *p, size_t size);
bool port_stats_show(FILE *, const uint8_t *p, size_t size);
bool config_show(FILE *, const uint8_t *p, size_t size);
