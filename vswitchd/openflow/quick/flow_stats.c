/* flow_stats.c: rules that are dumped, written as flow statistics. */
#include "state.h"

static uint16_t
age(int64_t now_ms, int64_t then_ms)
{
    int64_t seconds = MAX(0, now_ms - then_ms) / 1000;

    return MIN(seconds + 1, 0xffff);
}

/* Writes one rule at 'out', which has MAX_ENTRY bytes, without its actions;
 * returns its size so far, or 0 if it is one for the codec. */
static uint32_t
write_entry(struct quick *q, uint8_t version,
            const struct rule_record *r, const struct match *match,
            int64_t now_ms, uint8_t *out)
{
    int64_t life_ms = MAX(0, now_ms - r->created_ms);
    uint32_t head = version == OF15 ? 24 : 48;
    uint32_t match_head = version == OF10 ? 0 : 4;

    int tlvs = match_write(q, version, match, out + head + match_head,
                          MAX_ENTRY - head - match_head - 64);
    if (tlvs < 0) {
        return 0;
    }
    memset(out, 0, head);
    out[version == OF15 ? 4 : 2] = r->table;
    uint8_t *p = out + (version == OF15 ? 6 : 4);
    if (version != OF15) {
        write_number(p, 4, life_ms / 1000);
        write_number(p + 4, 4, life_ms % 1000 * 1000000);
        p += 8;
    }
    write_number(p, 2, r->priority);
    write_number(p + 2, 2, r->idle_timeout);
    write_number(p + 4, 2, r->hard_timeout);
    p += 6;
    if (version == OF10) {
        write_number(p, 2, tlvs);
        write_number(p + 2, 2, age(now_ms, r->used_ms));
        write_number(p + 4, 2, age(now_ms, r->modified_ms));
        p += 6;
    } else {
        write_number(p, 2, version >= OF13 ? r->flags & 0x1f : 0);
        write_number(p + 2, 2, version >= OF14 ? r->importance : 0);
        p += version == OF15 ? 4 : 6;
        write_number(out + head, 2, 1);
        write_number(out + head + 2, 2, 4 + tlvs);
    }
    write_number(p, 8, r->cookie);
    if (version != OF15) {
        write_number(p + 8, 8, r->n_packets);
        write_number(p + 16, 8, r->n_bytes);
    }
    uint32_t size = head + pad8(out + head, match_head + tlvs);
    if (version == OF15) {
        uint8_t *s = out + size;
        int64_t idle_s = MAX(0, now_ms - r->used_ms) / 1000;
        write_number(s, 4, 4 + 4 * 12);
        const uint64_t stats[4][2] = {
            { 0, (uint64_t) (life_ms / 1000) << 32
                 | life_ms % 1000 * 1000000 },
            { 1, (uint64_t) idle_s << 32 }, { 4, r->n_packets },
            { 5, r->n_bytes },
        };
        for (uint32_t i = 0; i < 4; i++) {
            write_number(s + 4 + 12 * i, 4,
                         0x80020008 | stats[i][0] << 9);
            write_number(s + 8 + 12 * i, 8, stats[i][1]);
        }
        size += pad8(s, 4 + 4 * 12);
    }
    return size;
}

void
quick_encode(struct quick *q, uint8_t version, const uint8_t *records,
             uint32_t size, int64_t now_ms, uint8_t *out, uint32_t out_size,
             struct quick_run *run)
{
    uint8_t entry[MAX_ENTRY];

    *run = (struct quick_run) { .stop = QUICK_END };
    while (run->used < size) {
        struct rule_record r;
        const uint8_t *p = records + run->used;

        memcpy(&r, p, sizeof r);
        const struct match *match = (const void *) (p + sizeof r);
        const uint8_t *source = p + sizeof r + sizeof *match;
        if (r.source_size > MAX_KEY - 1) {
            run->stop = QUICK_OTHER;
            return;
        }
        q->key[0] = version;
        memcpy(q->key + 1, source, r.source_size);
        struct term *term = *terms_find(
            &q->wires, q->key, r.source_size + 1,
            hash_bytes(q->key, r.source_size + 1));
        q->key_size = 0;
        uint8_t wire[24 * PLAIN_MOST];
        int wire_size = term || !q->kinds.output ? -1
            : plain_write(&q->kinds, version, source, r.source_size, wire,
                          sizeof wire);
        if (wire_size >= 0) {
            term = terms_put(&q->wires, q->key, r.source_size + 1, wire,
                             wire_size, wire, 0);
        }
        if (!term) {
            run->stop = QUICK_UNKNOWN;
            return;
        }
        uint32_t head = write_entry(q, version, &r, match, now_ms, entry);
        uint32_t whole = head + term->first_size;
        if (!head || whole > 0xffff) {
            run->stop = QUICK_OTHER;
            return;
        }
        if (whole > out_size - run->filled) {
            run->stop = QUICK_FULL;
            return;
        }
        write_number(entry, 2, whole);
        memcpy(out + run->filled, entry, head);
        memcpy(out + run->filled + head, term->bytes + term->key_size,
               term->first_size);
        run->filled += whole;
        run->used += r.size;
        run->n++;
    }
}

void
quick_dump(struct quick *q, struct quick_dump *d, uint8_t *out,
           uint32_t out_size, struct quick_run *run)
{
    int (*dump)(const void *, const uint8_t *, uint64_t *, uint8_t *,
                uint32_t, uint32_t *, uint32_t *) = d->rules_dump;
    struct quick_run all = { .stop = QUICK_END };

    for (;;) {
        quick_encode(q, d->version, d->records + d->at, d->size - d->at,
                     d->now_ms, out + all.filled, out_size - all.filled, run);
        d->at += run->used;
        all.n += run->n;
        all.filled += run->filled;
        all.stop = run->stop;
        if (run->stop != QUICK_END || d->is_last) {
            break;
        }
        uint32_t n;
        d->at = d->size = 0;
        if (dump(d->filter, d->match, d->cursor, d->records, d->room,
                 &d->size, &n)) {
            all.stop = QUICK_OTHER;     /* Nothing to skip: at == size. */
            break;
        }
        d->is_last = !d->cursor[0];
    }
    *run = all;
}

void
quick_learn_wire(struct quick *q, uint8_t version, const uint8_t *source,
                 uint32_t source_size, const uint8_t *wire,
                 uint32_t wire_size)
{
    uint8_t key[MAX_KEY];

    if (source_size < MAX_KEY) {
        key[0] = version;
        memcpy(key + 1, source, source_size);
        terms_put(&q->wires, key, source_size + 1, wire, wire_size,
                  (const uint8_t *) "", 0);
    }
}
