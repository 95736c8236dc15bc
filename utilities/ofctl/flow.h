/* flow.h: flows as users write them, read and encoded before Python is there.
 *
 * Only what is common is known, by the tables that pieces.py makes of the
 * codec; all else is for Python, which knows what it means or what is wrong
 * with it. */

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flow_command {             /* The first ones as on the wire. */
    FLOW_ADD, FLOW_MODIFY, FLOW_MODIFY_STRICT, FLOW_DELETE,
    FLOW_DELETE_STRICT, FLOW_SELECT     /* The last asks for statistics. */
};

enum {                          /* Flow formats: bits. */
    OF10_STD = 1, OF10_STD_TID = 2, OF10_NXM = 4, OF10_NXM_TID = 8,
    OF12_OXM = 0x20, OF13_OXM = 0x40, OF14_OXM = 0x80, OF15_OXM = 0x100,
};

enum { FLOW_MAX = 4096 };       /* Bytes of a message without its header. */

struct flow_message {
    uint32_t usable;            /* The flow formats that can carry it... */
    uint32_t format;            /* ...and the one that it is in. */
    uint8_t type;               /* Of the message. */
    uint16_t size;              /* Of 'body'. */
    uint8_t body[FLOW_MAX];
};

/* The ports of a switch, by whose names users call them. */
struct flow_ports {
    bool any;                   /* Any name is taken for one of some port. */
    size_t n;
    struct { char name[16]; uint16_t number; } ports[1024];
};

/* Makes the message for a flow in OpenFlow 'version' (as on the wire), for
 * FLOW_SELECT the request for the statistics of the flows, 'aggregate' ones if
 * it says so.  It is in the best of those of 'formats' that can carry it.
 * 'ports' may be NULL.  Returns false if there is none or if anything is not
 * known here. */
bool flow_make(const char *text, enum flow_command, uint8_t version,
               bool aggregate, uint32_t formats,
               const struct flow_ports *ports, struct flow_message *);

/* Bit of the only flow format of 'version', 0: it has several or none that is
 * known here. */
uint32_t flow_format_of(uint8_t version);
