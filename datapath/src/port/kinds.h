/* kinds.h: the rows of port_kinds[], one file each. */
#pragma once

#include "port/port.h"

extern const struct port_ops port_dummy, port_dummy_internal;   /* dummy.c */
extern const struct port_ops port_dummy_pmd;                    /* dummy.c */
extern const struct port_ops port_discard, port_generate;       /* bench.c */
extern const struct port_ops port_system;               /* af_packet.c */
extern const struct port_ops port_tap, port_internal;   /* tap.c */
