/* action_set.c: OpenFlow's action sets: what write_actions puts there, and in
 * which order they are carried out.
 *
 * Part of a translation; any thread. */
#include "translation/xlate.h"

static bool
set_has(const struct op *op, const uint8_t *kinds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (op->code == kinds[i]) {
            return true;
        }
    }
    return false;
}

/* An op that says no more than an output to controllers is one. */
bool
op_is_output_to_controllers(const struct op *op)
{
    const struct op_controller *o = (const void *) op;

    return op->code == OP_CONTROLLER && o->reason == REASON_ACTION
           && !o->controller_id && !o->meter_id && !o->pause && !o->n;
}

/* Copies the last op of kind 'code', with its op_unroll, to 'out'. */
static bool
copy_last(struct buffer *out, const void *ops, uint32_t size, unsigned code)
{
    const struct op *unroll = NULL, *found = NULL, *found_unroll = NULL;

    OPS_FOR_EACH (op, ops, size) {
        if (op->code == OP_UNROLL) {
            unroll = op;
        } else if (op->code == code
                   || (code == OP_OUTPUT && op_is_output_to_controllers(op))) {
            found = op;
            found_unroll = unroll;
        }
    }
    if (found && found_unroll) {
        buffer_put(out, found_unroll, found_unroll->size);
    }
    if (found) {
        buffer_put(out, found, found->size);
    }
    return found != NULL;
}

/* Puts the ops of an action set into 'list' in the order that OpenFlow
 * prescribes; empty where nothing says where the frame goes. */
void
action_set_sort(struct buffer *list, const void *ops, uint32_t size)
{
    static const uint8_t before[] = {
        OP_POP_VLAN, OP_POP_MPLS, OP_DECAP, OP_ENCAP, OP_PUSH_MPLS,
        OP_PUSH_VLAN, OP_DEC_TTL, OP_DEC_MPLS_TTL, OP_DEC_NSH_TTL,
    };
    static const uint8_t sets[] = {
        OP_SET_FIELD, OP_MOVE, OP_SET_VLAN_VID, OP_SET_VLAN_PCP,
        OP_DELETE_FIELD, OP_SET_QUEUE,
    };
    static const uint8_t finals[] = {
        OP_GROUP, OP_OUTPUT, OP_RESUBMIT, OP_CT_CLEAR, OP_CT,
    };
    const struct op *unroll = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof before; i++) {
        copy_last(list, ops, size, before[i]);
    }
    OPS_FOR_EACH (op, ops, size) {
        if (op->code == OP_UNROLL) {
            unroll = op;
        } else if (set_has(op, sets, sizeof sets)) {
            if (unroll) {
                buffer_put(list, unroll, unroll->size);
                unroll = NULL;
            }
            buffer_put(list, op, op->size);
        }
    }
    while (n < sizeof finals && !copy_last(list, ops, size, finals[n])) {
        n++;
    }
    if (n == sizeof finals) {
        list->size = 0;
    }
}

void
xlate_report_action_set(struct xlate *x, enum trace_kind kind,
                        enum trace_kind empty)
{
    if (!xlate_traced(x)) {
        return;
    }
    struct buffer list = { NULL, 0, 0 };
    action_set_sort(&list, x->action_set.data, x->action_set.size);
    xlate_report(x, list.size ? kind : empty, 0, 0, 0, 0);
    xlate_report_members(x, list.data, list.size);
    buffer_destroy(&list);
}

void
xlate_write_actions(struct xlate *x, const struct op *tail, uint32_t size)
{
    bool has_group = false;

    OPS_FOR_EACH (op, x->action_set.data, x->action_set.size) {
        has_group |= op->code == OP_GROUP;
    }
    OPS_FOR_EACH (op, tail, size) {
        if (has_group) {
            break;
        }
        if (op->code == OP_OUTPUT) {
            x->flow.actset_output = be32_from(
                ((const struct op_output *) op)->port);
        } else if (op->code == OP_GROUP) {
            x->flow.actset_output = be32_from(RESERVED_UNSET);
            has_group = true;
        }
    }
    uint32_t source = UINT32_MAX;
    OPS_FOR_EACH (op, tail, size) {
        if (op->source != source) {     /* Of one action there may be many. */
            xlate_put_unroll(x, &x->action_set, UNROLL_OWNER);
            source = op->source;
        }
        buffer_put(&x->action_set, op, op->size);
    }
    xlate_report_action_set(x, TRACE_ACTION_SET_IS, TRACE_ACTION_SET_IS_EMPTY);
}
