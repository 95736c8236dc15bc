/* ops.c: questions about ops that have been checked, those inside others
 * included.  Any thread. */
#include "pipeline/private.h"

/* What is asked of ops; 0xffffffff, and meter 0: not asked. */
struct reach {
    uint32_t port, group, meter;
};

/* Clears in '*r' what the op does: output to its port, use its group, meet its
 * meter. */
static bool
note_reached(const struct op *op, void *r_)
{
    struct reach *r = r_;
    uint32_t port = UINT32_MAX;

    switch (op->code) {
    case OP_OUTPUT:
        port = ((const struct op_output *) op)->port;
        break;
    case OP_OUTPUT_TRUNC:
        port = ((const struct op_output_trunc *) op)->port;
        break;
    case OP_ENQUEUE:
        port = ((const struct op_enqueue *) op)->port;
        break;
    case OP_CONTROLLER:
        port = RESERVED_CONTROLLER;
        break;
    case OP_GROUP:
        if (((const struct op_group *) op)->group == r->group) {
            r->group = UINT32_MAX;
        }
        break;
    case OP_METER:
        if (((const struct op_meter *) op)->meter == r->meter) {
            r->meter = 0;
        }
        break;
    }
    if (port == r->port) {
        r->port = UINT32_MAX;
    }
    return false;
}

bool
ops_reach(const void *ops, uint32_t size, uint32_t port, uint32_t group,
          uint32_t meter)
{
    struct reach r = { port, group, meter };

    if (port != UINT32_MAX || group != UINT32_MAX || meter) {
        ops_visit(ops, size, note_reached, &r);
    }
    return r.port == UINT32_MAX && r.group == UINT32_MAX && !r.meter;
}

struct use {                    /* How often a group is used. */
    uint32_t group;
    unsigned n;
};

static bool
count_use(const struct op *op, void *use_)
{
    struct use *use = use_;

    use->n += op->code == OP_GROUP
              && ((const struct op_group *) op)->group == use->group;
    return false;
}

unsigned
ops_count_group(const void *ops, uint32_t size, uint32_t id)
{
    struct use use = { id, 0 };

    ops_visit(ops, size, count_use, &use);
    return use.n;
}
