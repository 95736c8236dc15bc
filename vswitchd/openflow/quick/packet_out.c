/* packet_out.c: the common packet-outs, read and sent. */
#include "state.h"

#define FORM_OUTPUT 0x80        /* In facts.form: actions of packet-outs. */
#define MAX_INJECTIONS 64

static void
output_key(struct quick *q, uint8_t version, const uint8_t *actions,
           uint32_t size)
{
    struct facts facts = { .form = FORM_OUTPUT | version };

    memcpy(q->key, &facts, sizeof facts);
    memcpy(q->key + sizeof facts, actions, size);
    q->key_size = sizeof facts + size;
}

void
quick_learn_output(struct quick *q, uint8_t version, const uint8_t *actions,
                   uint32_t actions_size, const uint8_t *program,
                   uint32_t program_size)
{
    if (actions_size <= MAX_KEY - sizeof(struct facts)) {
        output_key(q, version, actions, actions_size);
        terms_put(&q->programs, q->key, q->key_size, program, program_size,
                  program, 0);
    }
    q->key_size = 0;
}

/* Finds what the actions of a packet-out mean; NULL if that is not known. */
static struct term *
output_find(struct quick *q, uint8_t version, const uint8_t *actions,
            uint32_t size)
{
    struct plain plain;

    if (size > MAX_KEY - sizeof(struct facts)) {
        return NULL;
    }
    output_key(q, version, actions, size);
    struct term *term = *terms_find(&q->programs, q->key, q->key_size,
                                    hash_bytes(q->key, q->key_size));
    if (!term && q->kinds.output
        && plain_read_list(&q->kinds, version, actions, size, &plain)) {
        term = terms_put(&q->programs, q->key, q->key_size,
                         (uint8_t *) plain.program, plain.program_size,
                         plain.source, 0);
    }
    q->key_size = 0;
    return term;
}

struct packet_out {
    uint32_t in_port;
    const uint8_t *actions, *frame;
    uint32_t actions_size, frame_size;
};

/* Reads a packet-out of 'size' bytes; false if it is something else. */
static bool
read_packet_out(uint8_t version, const uint8_t *p, uint32_t size,
                struct packet_out *out)
{
    uint32_t head = version == OF10 ? 16 : 24;

    if (p[1] != 13 || version >= OF15 || size < head
        || read32(p + 8) != UINT32_MAX) {
        return false;
    }
    if (version == OF10) {
        out->in_port = read16(p + 12);
        out->actions_size = read16(p + 14);
    } else {
        out->in_port = read32(p + 12);
        out->actions_size = read16(p + 16);
        if (out->in_port >= 0xffffff00) {
            out->in_port &= 0xffff;
        } else if (out->in_port >= 0xff00) {
            return false;
        }
    }
    if (out->in_port > 0xffff || out->actions_size > size - head
        || (out->in_port >= 0xff00 && out->in_port != 0xfffd
            && out->in_port != 0xfffe && out->in_port != 0xffff)) {
        return false;
    }
    out->actions = p + head;
    out->frame = out->actions + out->actions_size;
    out->frame_size = size - head - out->actions_size;
    return out->frame_size >= 14 && out->frame_size <= MAX_FRAME;
}

/* Sends the packet-outs at the beginning of what is left; returns how many. */
uint32_t
packets_send(struct quick *q, const struct quick_calls *calls,
             struct quick_talk *t, uint8_t *blob, uint32_t blob_size)
{
    int (*inject)(const struct injection *, uint32_t, const uint8_t *,
                  uint32_t) = calls->packets_inject;
    struct injection injections[MAX_INJECTIONS];
    uint32_t n = 0, used = t->used, filled = 0;
    struct packet_out out;

    while (n < MAX_INJECTIONS && t->size - used >= 8
           && t->data[used] == t->version) {
        const uint8_t *p = t->data + used;
        uint32_t length = read16(p + 2);
        if (length > t->size - used
            || !read_packet_out(t->version, p, length, &out)) {
            break;
        }
        struct term *term = output_find(q, t->version, out.actions,
                                        out.actions_size);
        if (!term) {
            break;
        }
        bool same = n && be32_to(((struct flow *) (blob + injections[n - 1]
                                                   .flow_offset))->in_port)
                         == out.in_port;
        uint32_t program_at = filled
                              + (same ? 0 : ROUND_UP(sizeof(struct flow), 8));
        uint32_t frame_at = program_at + ROUND_UP(term->first_size, 8);
        uint32_t end = frame_at + ROUND_UP(out.frame_size, 8);
        if (end > blob_size) {
            break;
        }
        if (!same) {
            struct flow *flow = (void *) (blob + filled);
            memset(flow, 0, sizeof *flow);
            flow->in_port = be32_from(out.in_port);
        }
        memcpy(blob + program_at, term->bytes + term->key_size,
               term->first_size);
        memcpy(blob + frame_at, out.frame, out.frame_size);
        injections[n] = (struct injection) {
            .dp = t->dp, .bridge = t->bridge, .in_port = out.in_port,
            .frame_offset = frame_at, .frame_size = out.frame_size,
            .program_offset = program_at, .program_size = term->first_size,
            .flow_offset = same ? injections[n - 1].flow_offset : filled,
        };
        filled = end;
        used += length;
        n++;
    }
    if (n) {
        inject(injections, n, blob, filled);
        t->used = used;
        t->n_injected += n;
    }
    return n;
}
