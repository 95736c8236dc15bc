/* packet_in.c: upcalls written as packet-ins. */
#include "state.h"

/* Takes the metadata of a packet-in from its flow; false if there is some that
 * is not common. */
static bool
read_metadata(const struct flow *flow, uint32_t ofp, struct match *match)
{
    if (!is_zero((const uint8_t *) flow, offsetof(struct flow, metadata))
        || flow->ct_state || flow->packet_type || ofp > 0xffff) {
        return false;
    }
    memset(match, 0, sizeof *match);
    match->value.in_port = be32_from(ofp);
    match->mask.in_port = UINT32_MAX;
    if (flow->metadata) {
        match->value.metadata = flow->metadata;
        match->mask.metadata = UINT64_MAX;
    }
    if (flow->pkt_mark) {
        match->value.pkt_mark = flow->pkt_mark;
        match->mask.pkt_mark = UINT32_MAX;
    }
    for (uint32_t i = 0; i < N_ELEMENTS(flow->regs); i++) {
        if (flow->regs[i]) {
            match->value.regs[i] = flow->regs[i];
            match->mask.regs[i] = UINT32_MAX;
        }
    }
    return true;
}

/* Writes all but the frame at 'out', which has MAX_ENTRY bytes; returns its
 * size, or 0 if it is one for the codec. */
static uint32_t
write_packet_in(struct quick *q, uint8_t version, uint8_t reason,
                const struct upcall_record *r, const struct match *match,
                uint8_t *out)
{
    write_number(out + 4, 4, 0);
    write_number(out + 8, 4, UINT32_MAX);
    write_number(out + 12, 2, r->total_len);
    if (version == OF10) {
        write_number(out + 14, 2, r->ofp);
        out[16] = reason;
        out[17] = 0;
        return 18;
    }
    out[14] = reason;
    out[15] = r->table;
    write_number(out + 16, 8, r->cookie);
    int tlvs = match_write(q, version, match, out + 28, MAX_ENTRY - 64);
    if (tlvs < 0) {
        return 0;
    }
    write_number(out + 24, 2, 1);
    write_number(out + 26, 2, 4 + tlvs);
    uint32_t size = 24 + pad8(out + 24, 4 + tlvs);
    out[size] = out[size + 1] = 0;
    return size + 2;
}

void
quick_packet_ins(struct quick *q, const struct quick_listener *l,
                 const uint8_t *records, uint32_t size, uint8_t *out,
                 uint32_t out_size, struct quick_run *run)
{
    uint8_t head[MAX_ENTRY];

    *run = (struct quick_run) { .stop = QUICK_END };
    while (run->used < size) {
        struct upcall_record r;
        struct match match;
        const uint8_t *p = records + run->used;

        memcpy(&r, p, sizeof r);
        const struct flow *flow = (const void *) (p + sizeof r);
        const uint8_t *frame = p + sizeof r + ROUND_UP(r.flow_size, 8)
                               + ROUND_UP(r.data_size, 8);
        run->stop = QUICK_OTHER;
        if (r.kind != UPCALL_PACKET_IN || r.bridge != l->bridge
            || r.flow_size != sizeof *flow || r.reason >= QUICK_REASONS
            || r.total_len > 0xffff || r.frame_size > MAX_FRAME
            || !read_metadata(flow, r.ofp, &match)) {
            return;
        }
        uint8_t reason = l->told[r.reason];
        if (reason != UINT8_MAX && r.controller_id == l->controller_id) {
            uint32_t n = write_packet_in(q, l->version, reason, &r, &match,
                                         head);
            if (!n) {
                return;
            }
            if (n + r.frame_size > out_size - run->filled) {
                run->stop = QUICK_FULL;
                return;
            }
            head[0] = l->version;
            head[1] = 10;
            write_number(head + 2, 2, n + r.frame_size);
            memcpy(out + run->filled, head, n);
            memcpy(out + run->filled + n, frame, r.frame_size);
            run->filled += n + r.frame_size;
        }
        run->n++;
        run->used += r.size;
        run->stop = QUICK_END;
    }
}
