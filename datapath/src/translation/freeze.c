/* freeze.c: ending a translation so that another goes on: freezing what is
 * left of it, sending it to controllers with the frame, and thawing.
 *
 * Part of a translation; any thread. */
#include "translation/xlate.h"

void
xlate_freeze(struct xlate *x)
{
    x->exit = true;
    x->freezing = true;
}

/* Makes the state of the translation a frozen one with 'ops' to go on with;
 * the megaflow's credits keep it. */
static struct frozen *
freeze_state(struct xlate *x, uint8_t table, const struct buffer *ops,
             const void *userdata, uint32_t userdata_size, bool for_packet_in)
{
    struct frozen template;
    uint8_t *bytes;

    memset(&template, 0, sizeof template);
    template.bridge = x->bridge->handle;
    template.table = table;
    /* What resumes knows its port; a packet-in does not. */
    template.for_packet_in = for_packet_in
        && conf_port(bridge_conf(x->first_bridge), be32_to(x->first.in_port));
    template.conntracked = x->conntracked;
    template.mirrors = x->mirrors;
    template.cookie = x->cookie;
    frozen_save(&template, &x->flow);
    template.stack_size = x->stack.size;
    template.action_set_size = x->action_set.size;
    template.ops_size = ops ? ops->size : 0;
    template.userdata_size = userdata_size;
    bytes = xzalloc(frozen_bytes_size(&template) + 1);
    uint8_t *at = bytes;
    if (x->stack.size) {
        memcpy(at, x->stack.data, x->stack.size);
    }
    at += ROUND_UP(x->stack.size, 8);
    if (x->action_set.size) {
        memcpy(at, x->action_set.data, x->action_set.size);
    }
    at += ROUND_UP(x->action_set.size, 8);
    if (template.ops_size) {
        memcpy(at, ops->data, ops->size);
    }
    at += ROUND_UP(template.ops_size, 8);
    if (userdata_size) {
        memcpy(at, userdata, userdata_size);
    }
    struct frozen *frozen = frozen_put(x->pipeline, &template, bytes);
    free(bytes);
    xlate_credit(x, CREDIT_FROZEN, frozen);
    return frozen;
}

static void
cancel_freeze(struct xlate *x)
{
    x->freezing = false;
    x->freeze_begun = false;
    x->hash_for_recirc = false;
    x->frozen_ops.size = 0;
    x->frozen_unroll = false;
    x->pause = NULL;
}

/* Appends the action that sends the frame to controllers, behind the meter
 * that it has to pass, if any: 'meter', or the bridge's for packet-ins. */
static void
put_userspace(struct xlate *x, const struct frozen *frozen, unsigned reason,
              uint16_t controller_id, uint32_t max_len, uint32_t meter,
              uint8_t flags, const void *userdata, uint32_t userdata_size)
{
    uint32_t id = meter ? bridge_meter(x->bridge, meter) : METER_NONE;
    uint32_t start = 0;

    if (id == METER_NONE) {
        id = bridge_meter(x->bridge, METER_OF_CONTROLLER);
    }
    if (id != METER_NONE) {
        start = actions_begin(x->actions, ACTION_SAMPLE,
                              sizeof(struct action_sample));
        ((struct action_sample *) (void *)
         (x->actions->buffer.data + start))->probability = UINT32_MAX;
        ((struct action_meter *) actions_put(
            x->actions, ACTION_METER, sizeof(struct action_meter)))->id = id;
    }
    struct action_userspace *u = actions_put(x->actions, ACTION_USERSPACE,
                                             sizeof *u + userdata_size);
    if (u) {
        u->kind = USERSPACE_CONTROLLER;
        u->flags = flags | (xlate_traced(x) && !x->in->learn
                            ? USERSPACE_DONT_SEND : 0);
        u->reason = reason;
        u->cookie = x->cookie;
        u->recirc_id = frozen->id;
        u->controller_id = controller_id;
        u->max_len = MIN(max_len, UINT16_MAX);
        u->bridge = x->bridge->handle;
        u->ofp = be32_to(x->flow.in_port);
        u->rule = x->rule ? x->rule->handle : 0;
        u->table = frozen->table;
        u->n_data = userdata_size;
        if (userdata_size) {
            memcpy(u->data, userdata, userdata_size);
        }
    }
    if (id != METER_NONE) {
        actions_end(x->actions, start);
    }
}

uint32_t
xlate_finish_freezing(struct xlate *x, uint8_t table)
{
    if (!x->freezing) {
        return 0;
    }
    xlate_commit(x);
    const struct op_controller *pause = x->pause;
    uint64_t cookie = x->cookie;
    x->cookie = 0;              /* What goes on says whose it is. */
    struct frozen *frozen = freeze_state(x, table, &x->frozen_ops,
                                         pause ? pause->tail : NULL,
                                         pause ? pause->n : 0, false);
    x->cookie = cookie;
    if (pause) {
        if (x->in->learn || !xlate_traced(x)) {
            put_userspace(x, frozen, pause->reason, pause->controller_id,
                          pause->max_len, pause->meter_id,
                          USERSPACE_CONTINUATION, pause->tail, pause->n);
        }
        cancel_freeze(x);
        return frozen->id;
    }
    if (x->hash_for_recirc) {
        struct action_hash *h = actions_put(x->actions, ACTION_HASH,
                                            sizeof *h);
        h->algorithm = x->hash_algorithm;
        h->basis = x->hash_basis;
    }
    struct action_recirc *r = actions_put(x->actions, ACTION_RECIRC,
                                          sizeof *r);
    r->id = frozen->id;
    cancel_freeze(x);
    return frozen->id;
}

/* Appends an op_unroll for the rule or bucket whose ops run. */
void
xlate_put_unroll(struct xlate *x, struct buffer *ops, uint16_t flags)
{
    struct op_unroll unroll = {
        .head = { .code = OP_UNROLL, .size = sizeof unroll,
                  .source = UINT16_MAX, .flags = flags },
        .rule = x->rule_handle, .cookie = x->cookie, .table = x->table,
        .group = x->bucket_index ? x->bucket_group + 1 : 0,
        .bucket = x->bucket_index,
    };
    buffer_put(ops, &unroll, sizeof unroll);
}

/* Tells whether what an op does depends on the table that it is in, or is told
 * with the table and cookie. */
static bool
needs_table(const struct op *op)
{
    switch (op->code) {
    case OP_OUTPUT:
    case OP_OUTPUT_REG:
    case OP_OUTPUT_TRUNC:
    case OP_CONTROLLER:
    case OP_GROUP:
    case OP_DEC_TTL:
    case OP_DEC_MPLS_TTL:
    case OP_DEC_NSH_TTL:
        return true;
    case OP_RESUBMIT:
        return ((const struct op_resubmit *) op)->table == 255;
    }
    return false;
}

/* Keeps the ops from 'op' to 'end' for when the frame comes back. */
void
xlate_freeze_ops(struct xlate *x, const struct op *op, const struct op *end)
{
    if (op < end) {
        xlate_put_unroll(x, &x->frozen_ops, UNROLL_OWNER);
    }
    for (; op < end; op = (const void *) ((const char *) op + op->size)) {
        if (op->code == OP_NOTE || op->code == OP_CONJUNCTION) {
            continue;
        }
        if (op->code == OP_UNROLL) {
            const struct op_unroll *o = (const void *) op;
            if (!(op->flags & UNROLL_OWNER)) {
                x->frozen_unroll = true;
                x->frozen_table = o->table;
                x->frozen_cookie = o->cookie;
            }
        } else if (needs_table(op)
                   && (!x->frozen_unroll || x->frozen_table != x->table
                       || x->frozen_cookie != x->cookie)) {
            xlate_put_unroll(x, &x->frozen_ops, 0);
            x->frozen_unroll = true;
            x->frozen_table = x->table;
            x->frozen_cookie = x->cookie;
        }
        buffer_put(&x->frozen_ops, op, op->size);
    }
}

/* The rule that OpenFlow calls a table-miss flow. */
static bool
is_table_miss(const struct rule *rule)
{
    return rule && !rule->cls.priority && cls_rule_is_catchall(&rule->cls);
}

/* Sends the frame to controllers; 'meter' 0: the op names none. */
void
xlate_packet_in(struct xlate *x, uint32_t max_len, unsigned reason,
                uint16_t controller_id, uint32_t meter, const void *userdata,
                uint32_t userdata_size)
{
    xlate_commit(x);
    if (reason == REASON_ACTION && is_table_miss(x->rule)) {
        reason = REASON_EXPLICIT_MISS;
    }
    struct frozen *frozen = freeze_state(x, x->table, NULL, userdata,
                                         userdata_size, true);
    put_userspace(x, frozen, reason, controller_id, max_len, meter, 0,
                  userdata, userdata_size);
}

/* Brings back the state of 'frozen'; false: it cannot be. */
bool
xlate_thaw(struct xlate *x, const struct frozen *f, const struct op **ops,
           uint32_t *ops_size)
{
    unsigned depth = x->trace_depth;

    if (xlate_traced(x)) {
        xlate_report(x, TRACE_THAW, 0, 0, 0, 0);
        x->trace_depth++;
    }
    struct bridge *bridge = bridge_find(f->bridge);
    if (!bridge) {
        REPORT(x, TRACE_FROZEN_BRIDGE, 0, 0, 0);
        x->error = DROP_BRIDGE_NOT_FOUND;
        return false;
    }
    x->bridge = bridge;
    x->conf = bridge_conf(bridge);
    x->table = f->table;
    REPORT(x, TRACE_RESUME, f->table, 0, 0);
    x->conntracked = f->conntracked;
    frozen_restore(f, &x->flow);
    x->mirrors = f->mirrors;
    const uint8_t *at = f->bytes;
    buffer_put(&x->stack, at, f->stack_size);
    at += ROUND_UP(f->stack_size, 8);
    if (f->action_set_size) {
        if (xlate_traced(x)) {
            xlate_report(x, TRACE_RESTORE_SET, f->id, 0, 0, 0);
            xlate_report_members(x, at, f->action_set_size);
        }
        buffer_put(&x->action_set, at, f->action_set_size);
        OPS_FOR_EACH (op, at, f->action_set_size) {
            if (op->code == OP_OUTPUT) {
                x->flow.actset_output = be32_from(
                    ((const struct op_output *) op)->port);
            }
        }
    }
    at += ROUND_UP(f->action_set_size, 8);
    *ops = (const void *) at;
    *ops_size = f->ops_size;
    if (f->ops_size && xlate_traced(x)) {
        xlate_report(x, TRACE_RESTORE_ACTIONS, f->id, 0, 0, 0);
        xlate_report_members(x, *ops, f->ops_size);
    }
    x->trace_depth = depth;
    return true;
}
