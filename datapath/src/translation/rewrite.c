/* rewrite.c: ops that change fields of the flow and leave its headers as they
 * are: set, move, the stack, VLAN tags, TTLs.
 *
 * Part of a translation; any thread. */
#include "translation/xlate.h"

struct stack_entry {            /* A value pushed, right adjusted. */
    uint8_t value[16];
    uint64_t n_bits;
};

/* Tells whether setting a field makes the reference look at the protocol: all
 * of the network header's but the DSCP. */
static bool
depends_on_proto(const struct op_set_field *op)
{
    enum prereq prereq = fields[op->field].prereq;

    return (prereq == PREREQ_IP || prereq == PREREQ_IPV4
            || prereq == PREREQ_IPV6 || prereq == PREREQ_ARP)
           && op->field != FIELD_IP_DSCP;
}

/* A tag that comes into being with its number has the usual type. */
static void
complete_tag(struct xlate *x, unsigned field)
{
    if (fields[field].offset == offsetof(struct flow, vlan0_tci)
        && x->flow.vlan0_tci && !x->flow.vlan0_tpid) {
        x->flow.vlan0_tpid = CONSTANT_BE16(ETH_TYPE_VLAN);
    }
}

void
xlate_set_field(struct xlate *x, const struct op_set_field *op)
{
    const struct field *f = &fields[op->field];

    bool silent = op->head.flags & SET_SILENT;
    if ((silent && f->prereq == PREREQ_ETHERNET)
        || field_has_prereq(f->prereq, &x->flow, x->wc)) {
        if (!(op->head.flags & SET_METADATA)) {
            field_mask(f, op->mask, x->wc);
        }
        if (depends_on_proto(op)
            && x->flow.eth_type != CONSTANT_BE16(ETH_TYPE_RARP)) {
            MASK_ALL(x, nw_proto);
        }
        field_set(f, op->value, op->mask, &x->flow);
        complete_tag(x, op->field);
    } else if (!silent) {
        REPORT(x, TRACE_PREREQUISITES, op->field, 0, 0);
    }
}

void
xlate_move(struct xlate *x, const struct op_move *op)
{
    const struct field *src = &fields[op->src.field];
    const struct field *dst = &fields[op->dst.field];

    if (field_has_prereq(dst->prereq, &x->flow, x->wc)
        && field_has_prereq(src->prereq, &x->flow, x->wc)) {
        subfield_mask(&op->src, x->wc);
        subfield_mask(&op->dst, x->wc);
        subfield_copy(&op->src, &x->flow, &op->dst, &x->flow);
        complete_tag(x, op->dst.field);
    }
    if (!(op->head.flags & SET_SILENT)) {
        xlate_report_subfield(x, &op->dst);
    }
}

void
xlate_push(struct xlate *x, const struct op_push *op)
{
    struct stack_entry entry = { .n_bits = op->src.n_bits };

    subfield_mask(&op->src, x->wc);
    subfield_read(&op->src, &x->flow, entry.value);
    buffer_put(&x->stack, &entry, sizeof entry);
}

void
xlate_pop(struct xlate *x, const struct op_pop *op)
{
    struct stack_entry entry;

    if (x->stack.size < sizeof entry) {
        REPORT(x, TRACE_STACK_EMPTY, 0, 0, 0);
        return;
    }
    x->stack.size -= sizeof entry;
    memcpy(&entry, x->stack.data + x->stack.size, sizeof entry);
    subfield_mask(&op->dst, x->wc);
    subfield_write(&op->dst, entry.value, &x->flow);
    complete_tag(x, op->dst.field);
    xlate_report_subfield(x, &op->dst);
}

void
xlate_set_vlan(struct xlate *x, unsigned shift, unsigned width, unsigned value,
               bool may_push)
{
    uint16_t mask = ((1U << width) - 1) << shift;
    uint16_t tci = be16_to(x->flow.vlan0_tci);

    x->wc->vlan0_tci |= be16_from(mask | 0x1000);
    if (tci & 0x1000 || may_push) {
        if (!x->flow.vlan0_tpid) {
            x->flow.vlan0_tpid = CONSTANT_BE16(ETH_TYPE_VLAN);
        }
        tci = (tci & ~mask) | value << shift | 0x1000;
        x->flow.vlan0_tci = be16_from(tci);
    }
}

void
xlate_push_vlan(struct xlate *x, const struct op_push_vlan *op)
{
    flow_push_vlan(&x->flow, x->wc);
    x->flow.vlan0_tpid = be16_from(op->tpid);
    x->flow.vlan0_tci = CONSTANT_BE16(0x1000);
}

/* Returns true if the frame's life ends here for this table. */
bool
xlate_dec_ttl(struct xlate *x, const struct op_dec_ttl *op)
{
    x->wc->nw_ttl = 0xff;
    x->wc->nw_proto = 0xff;
    if (!is_ip(&x->flow)) {
        return false;
    }
    if (x->flow.nw_ttl > 1) {
        x->flow.nw_ttl--;
        return false;
    }
    for (uint32_t i = 0; i < op->n; i++) {
        xlate_packet_in(x, UINT16_MAX, REASON_INVALID_TTL, op->tail[i], 0,
                        NULL, 0);
    }
    if (!op->n) {
        xlate_packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    }
    REPORT(x, TRACE_TTL_EXCEPTION,
           x->flow.eth_type == CONSTANT_BE16(ETH_TYPE_IPV4) ? 4 : 6, 0, 0);
    return true;
}

bool
xlate_dec_mpls_ttl(struct xlate *x)
{
    if (eth_type_is_mpls(x->flow.eth_type)) {
        uint32_t lse = be32_to(x->flow.mpls_lse[0]);
        x->wc->mpls_lse[0] |= be32_from(0xff);
        if ((lse & 0xff) > 1) {
            x->flow.mpls_lse[0] = be32_from(lse - 1);
            return false;
        }
        xlate_packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    }
    REPORT(x, TRACE_MPLS_TTL_EXCEPTION, 0, 0, 0);
    return true;
}

bool
xlate_dec_nsh_ttl(struct xlate *x)
{
    if (x->flow.eth_type == CONSTANT_BE16(ETH_TYPE_NSH)) {
        MASK_ALL(x, nsh_ttl);
        if (x->flow.nsh_ttl > 1) {
            x->flow.nsh_ttl--;
            return false;
        }
        xlate_packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    }
    REPORT(x, TRACE_NSH_TTL_EXCEPTION, 0, 0, 0);
    return true;
}
