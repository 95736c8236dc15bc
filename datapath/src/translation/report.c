/* report.c: what a translation says of itself: events of a trace, and
 * complaints about real packets, which are logged.
 *
 * Part of a translation; any thread. */
#include "base/upcall.h"
#include "translation/xlate.h"

void
xlate_report(struct xlate *x, enum trace_kind kind, uint64_t a, uint64_t b,
             uint64_t c, uint64_t d)
{
    struct trace_sink *sink = x->in->trace;

    if (sink->n < sink->max) {
        struct trace_event *e = &sink->events[sink->n];
        e->kind = kind;
        e->depth = x->trace_depth;
        e->source = x->source;
        e->rule = x->rule_handle;
        e->arguments[0] = a;
        e->arguments[1] = b;
        e->arguments[2] = c;
        e->arguments[3] = d;
    }
    sink->n++;
}

void
xlate_complain(struct xlate *x, enum trace_kind kind, uint64_t a, uint64_t b,
               uint64_t c)
{
    struct trace_event event = { .kind = kind, .arguments = { a, b, c } };
    struct upcall_record record = {
        .kind = UPCALL_LOG, .reason = LOG_TRANSLATE, .dp = x->pipeline->dp,
        .bridge = x->bridge->handle, .ofp = be32_to(x->first.in_port),
        .when_ms = x->in->now_ms,
    };
    struct upcall_part flow = { &x->first, sizeof x->first };
    struct upcall_part data = { &event, sizeof event };

    upcall_put(QUEUE_LOG, &record, flow, data,
               (struct upcall_part) { NULL, 0 });
}

void
xlate_report_subfield(struct xlate *x, const struct subfield *s)
{
    if (xlate_traced(x)) {
        uint64_t high = 0, low = 0;
        uint8_t value[16];
        subfield_read(s, &x->flow, value);
        if (s->field == FIELD_VLAN_VID && s->n_bits == 12) {
            memcpy(value + 14, &x->flow.vlan0_tci, 2);
            value[14] &= 0x1f;          /* Whether there is a tag, too. */
        }
        for (unsigned i = 0; i < 8; i++) {
            high = high << 8 | value[i];
            low = low << 8 | value[8 + i];
        }
        xlate_report(x, TRACE_IS_NOW, s->field,
                     (uint64_t) s->ofs << 16 | s->n_bits, high, low);
    }
}

/* What follows stems from the rule or bucket of 'o'. */
void
xlate_follow_owner(struct xlate *x, const struct op_unroll *o)
{
    x->rule_handle = o->rule;
    x->bucket_group = o->group ? o->group - 1 : 0;
    x->bucket_index = o->bucket;
}

/* Reports each op of a list as a member of the event before. */
void
xlate_report_members(struct xlate *x, const void *ops, uint32_t size)
{
    uint64_t handle = x->rule_handle;
    uint64_t group = x->bucket_group, bucket = x->bucket_index;
    uint32_t old_source = x->source, source = UINT32_MAX;

    OPS_FOR_EACH (op, ops, size) {
        const struct op_unroll *unroll = (const void *) op;
        if (op->code == OP_UNROLL) {
            xlate_follow_owner(x, unroll);
            source = UINT32_MAX;
            if (!(op->flags & UNROLL_OWNER)) {
                xlate_report(x, TRACE_UNROLL_MEMBER, unroll->table,
                             unroll->cookie, 0, 0);
            }
        } else if (op->source != source) {
            x->source = source = op->source;
            xlate_report(x, TRACE_MEMBER, x->bucket_group, x->bucket_index,
                         op->code, 0);
        }
    }
    x->rule_handle = handle;
    x->bucket_group = group;
    x->bucket_index = bucket;
    x->source = old_source;
}
