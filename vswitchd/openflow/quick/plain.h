/* plain.h: lists of actions that need no compiler: outputs, a group, a table.
 *
 * What `compile.py` makes of such a list hangs on nothing but the list, and is
 * put together here; `source.py` says how the source is written (marshal).
 * Any other list is for them.  The tests hold both to the same bytes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PLAIN_MOST 32           /* Actions of a list. */

struct plain_kinds {            /* Numbers of actions in sources. */
    uint32_t output, group, goto_table;
};

struct plain {
    uint32_t program_size, source_size;
    uint64_t program[2 * PLAIN_MOST];
    uint8_t source[5 + 32 * PLAIN_MOST];
};

/* Reads the actions of a flow_mod for 'table' in 'version' (0: as in 1.0) from
 * 'size' bytes at 'p'; false if they are not plain, or not right. */
bool plain_read(const struct plain_kinds *, uint8_t version, uint8_t table,
                const uint8_t *p, uint32_t size, struct plain *);

/* The same for a bare list of actions, as packet-outs have it; false for a
 * group, which has to be there each time. */
bool plain_read_list(const struct plain_kinds *, uint8_t version,
                     const uint8_t *p, uint32_t size, struct plain *);

/* Writes the actions of a source as 'version' has them; returns their size, or
 * -1 if they are not plain or do not fit. */
int plain_write(const struct plain_kinds *, uint8_t version,
                const uint8_t *source, uint32_t source_size, uint8_t *out,
                uint32_t room);
