/* quick.c: the common flow_mods and flow statistics, without Python; see
 * quick.h. */

#define _GNU_SOURCE
#include "quick.h"
#include "plain.h"
#include "reading.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include "api.h"
#include "base/base.h"
#include "generated/seam.h"

#define OF10 1
#define OF12 3
#define OF13 4
#define OF14 5
#define OF15 6
#define NX_VENDOR 0x00002320
#define ONF_VENDOR 0x4f4e4600

#define MAX_TERMS 16384         /* Then the table is begun anew. */
#define MAX_KEY 4096

/* ---- A table of byte strings: key -> two values ---- */

struct term {
    uint64_t hash;
    uint32_t key_size;
    uint32_t first_size, second_size;
    uint64_t run;               /* Of the blob that it is in already... */
    uint32_t first_at, second_at;       /* ...here. */
    uint8_t bytes[];            /* Key, first, second. */
};

struct terms {
    struct term *slots[2 * MAX_TERMS];
    uint32_t n;
};

static uint64_t
hash_bytes(const uint8_t *p, uint32_t size)
{
    uint64_t hash = 0x9e3779b97f4a7c15 ^ size, word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccd;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, p, size);
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53;
    return hash ^ hash >> 29;
}

static struct term **
terms_find(struct terms *terms, const uint8_t *key, uint32_t size,
           uint64_t hash)
{
    for (uint32_t i = hash;; i++) {
        struct term **slot = &terms->slots[i % N_ELEMENTS(terms->slots)];
        if (!*slot || ((*slot)->hash == hash && (*slot)->key_size == size
                       && !memcmp((*slot)->bytes, key, size))) {
            return slot;
        }
    }
}

static void
terms_clear(struct terms *terms)
{
    for (uint32_t i = 0; i < N_ELEMENTS(terms->slots); i++) {
        free(terms->slots[i]);
        terms->slots[i] = NULL;
    }
    terms->n = 0;
}

static struct term *
terms_put(struct terms *terms, const uint8_t *key, uint32_t key_size,
          const uint8_t *first, uint32_t first_size, const uint8_t *second,
          uint32_t second_size)
{
    if (terms->n >= MAX_TERMS) {
        terms_clear(terms);
    }
    uint64_t hash = hash_bytes(key, key_size);
    struct term **slot = terms_find(terms, key, key_size, hash);
    if (*slot) {
        free(*slot);
        terms->n--;
    }
    struct term *term = malloc(sizeof *term + key_size + first_size
                               + second_size);
    if (!term) {
        abort();
    }
    *term = (struct term) {
        .hash = hash, .key_size = key_size, .first_size = first_size,
        .second_size = second_size,
    };
    memcpy(term->bytes, key, key_size);
    memcpy(term->bytes + key_size, first, first_size);
    memcpy(term->bytes + key_size + first_size, second, second_size);
    *slot = term;
    terms->n++;
    return term;
}

/* What the meaning of actions and fields hangs on, besides themselves. */
struct facts {
    uint8_t form, table, nw_proto, nw_frag;
    be16 eth_type, tci, tp_src, tp_dst;
    be32 ct_state;
};

static struct facts
facts_of(const struct flow *flow, uint8_t form, uint8_t table)
{
    bool nd = flow->nw_proto == 58;

    return (struct facts) {
        .form = form, .table = table, .nw_proto = flow->nw_proto,
        .nw_frag = flow->nw_frag, .eth_type = flow->eth_type,
        .tci = flow->vlan0_tci & CONSTANT_BE16(0x1000),
        .tp_src = nd ? flow->tp_src : 0, .tp_dst = nd ? flow->tp_dst : 0,
        .ct_state = flow->ct_state,
    };
}

/* How the matches with one mask are written: all bytes but the values'. */
struct plan {
    struct flow mask;
    struct facts facts;
    uint8_t version;
    bool is_whole;              /* TLVs can say it. */
    uint32_t n, size;
    struct plan_step {
        const struct quick_field *field;
        uint16_t at, from;      /* In the bytes, and in the value... */
        bool is_verbatim;       /* ...if it is copied. */
    } steps[64];
    uint8_t bytes[1024];
};

struct quick {
    struct quick_field *read, *write;
    uint32_t n_read, n_write[7];
    struct terms programs;      /* Facts and actions -> program, source. */
    struct terms wires;         /* Version and source -> actions. */
    struct plan *plans[1024];   /* By their hash. */
    struct plain_kinds kinds;   /* All 0: not known. */
    uint64_t run;               /* Number of the blob that is filled. */
    uint8_t key[MAX_KEY];       /* The last that was not known. */
    uint32_t key_size;
};

struct quick *
quick_new(const struct quick_field *read, uint32_t n_read,
          const struct quick_field *write, const uint32_t n_write[7])
{
    struct quick *q = calloc(1, sizeof *q);
    uint32_t n = 0;

    for (uint32_t i = 0; i < 7; i++) {
        n += n_write[i];
    }
    if (!q || !(q->read = calloc(n_read, sizeof *read))
        || !(q->write = calloc(n, sizeof *write))) {
        abort();
    }
    memcpy(q->read, read, n_read * sizeof *read);
    memcpy(q->write, write, n * sizeof *write);
    q->n_read = n_read;
    memcpy(q->n_write, n_write, sizeof q->n_write);
    return q;
}

void
quick_set_kinds(struct quick *q, uint32_t output, uint32_t group,
                uint32_t goto_table)
{
    q->kinds = (struct plain_kinds) { output, group, goto_table };
}

void
quick_free(struct quick *q)
{
    if (q) {
        terms_clear(&q->programs);
        terms_clear(&q->wires);
        for (uint32_t i = 0; i < N_ELEMENTS(q->plans); i++) {
            free(q->plans[i]);
        }
        free(q->read);
        free(q->write);
        free(q);
    }
}

/* ---- Matches ---- */

/* Reads the 40-byte match of OpenFlow 1.0, unless it has what its layers do
 * not have. */
static bool
read_match10(const uint8_t *p, struct match *match)
{
    struct flow *value = &match->value, *mask = &match->mask;
    uint32_t wild = read32(p);
    uint16_t vlan = read16(p + 18), type = read16(p + 22);
    uint8_t proto = p[25];
    bool has_type = !(wild & 1 << 4), has_proto = !(wild & 1 << 5);
    bool ip = has_type && type == 0x0800;
    bool arp = has_type && (type == 0x0806 || type == 0x8035);
    bool ports = ip && has_proto && (proto == 6 || proto == 17 || proto == 132
                                     || proto == 1);

    if (!(wild & 1 << 0)) {
        value->in_port = be32_from(read16(p + 4));
        mask->in_port = UINT32_MAX;
    }
    if (!(wild & 1 << 2)) {
        memcpy(&value->eth_src, p + 6, 6);
        memset(&mask->eth_src, 0xff, 6);
    }
    if (!(wild & 1 << 3)) {
        memcpy(&value->eth_dst, p + 12, 6);
        memset(&mask->eth_dst, 0xff, 6);
    }
    if (!(wild & 1 << 1) || !(wild & 1 << 20)) {
        uint16_t tci = 0x1000, care = 0x1000;
        if (!(wild & 1 << 1)) {
            if (vlan == 0xffff) {
                return false;
            }
            tci |= vlan & 0xfff;
            care |= 0xfff;
        }
        if (!(wild & 1 << 20)) {
            tci |= (p[20] & 7) << 13;
            care |= 0xe000;
        }
        value->vlan0_tci = be16_from(tci);
        mask->vlan0_tci = be16_from(care);
    }
    if (has_type) {
        value->eth_type = be16_from(type);
        mask->eth_type = UINT16_MAX;
    }
    uint32_t src_wild = wild >> 8 & 0x3f, dst_wild = wild >> 14 & 0x3f;
    uint32_t src_mask = src_wild >= 32 ? 0 : UINT32_MAX << src_wild;
    uint32_t dst_mask = dst_wild >= 32 ? 0 : UINT32_MAX << dst_wild;
    bool has_src = !(wild & 1 << 6), has_dst = !(wild & 1 << 7);
    bool has_tos = !(wild & 1 << 21);
    if (((src_mask || dst_mask || has_proto) && !ip && !arp)
        || (has_tos && !ip) || ((has_src || has_dst) && !ports)) {
        return false;
    }
    value->nw_src = be32_from(read32(p + 28) & src_mask);
    mask->nw_src = be32_from(src_mask);
    value->nw_dst = be32_from(read32(p + 32) & dst_mask);
    mask->nw_dst = be32_from(dst_mask);
    if (has_tos) {
        value->nw_tos = p[24] & 0xfc;
        mask->nw_tos = 0xfc;
    }
    if (has_proto) {
        value->nw_proto = proto;
        mask->nw_proto = UINT8_MAX;
    }
    if (has_src) {
        value->tp_src = be16_from(read16(p + 36));
        mask->tp_src = UINT16_MAX;
    }
    if (has_dst) {
        value->tp_dst = be16_from(read16(p + 38));
        mask->tp_dst = UINT16_MAX;
    }
    return true;
}

/* ---- flow_mods ---- */

struct mod {
    struct rule_change row;
    struct match match;
    uint8_t table;              /* As the message says it. */
    uint8_t form;               /* Whose actions: a version, 0: Nicira's. */
    const uint8_t *actions;
    uint32_t actions_size;
};

/* The head that OpenFlow 1.0 and Nicira's flow_mod have in common, from the
 * cookie to the flags. */
static bool
read_head10(const uint8_t *p, bool table_in_command, struct mod *mod)
{
    struct rule_change *c = &mod->row;
    uint16_t flags = read16(p + 22), command = read16(p + 8);

    c->cookie = read_number(p, 8);
    c->command = table_in_command ? command & 0xff : command;
    mod->table = table_in_command ? command >> 8 : 0xff;
    c->idle_timeout = read16(p + 10);
    c->hard_timeout = read16(p + 12);
    c->priority = read16(p + 14);
    c->out_port = read16(p + 20);
    c->out_port = c->out_port == 0xffff ? UINT32_MAX : c->out_port;
    c->out_group = UINT32_MAX;
    c->flags = flags | (c->command == RULE_ADD ? RF_RESET_COUNTS : 0);
    return !(flags & ~0x3) && read32(p + 16) == UINT32_MAX;
}

/* The head of OpenFlow 1.2 and later. */
static bool
read_head12(const uint8_t *p, uint8_t version, struct mod *mod)
{
    struct rule_change *c = &mod->row;
    uint64_t cookie = read_number(p, 8), mask = read_number(p + 8, 8);
    uint32_t port = read32(p + 28);
    uint16_t flags = read16(p + 36);

    mod->table = p[16];
    c->command = p[17];
    c->idle_timeout = read16(p + 18);
    c->hard_timeout = read16(p + 20);
    c->priority = read16(p + 22);
    c->out_port = port == UINT32_MAX ? UINT32_MAX : port & 0xffff;
    c->out_group = read32(p + 32);
    c->flags = flags;
    if (c->command == RULE_ADD) {
        c->cookie = cookie;
        c->importance = version >= OF14 ? read16(p + 38) : 0;
    } else {
        c->cookie = UINT64_MAX;
        c->cookie_match = cookie;
        c->cookie_mask = mask;
    }
    return !(flags & ~(version == OF12 ? 0x7 : 0x1f))
        && read32(p + 24) == UINT32_MAX
        && (mod->table != 0xff || c->command >= RULE_DELETE)
        && (port < 0xff00 || port >= 0xffffff00);
}

/* Reads the flow_mod of 'size' bytes at 'p' up to its actions; false if it is
 * something else. */
static bool
read_mod(const struct quick *q, uint8_t version, bool table_in_command,
         const uint8_t *p, uint32_t size, struct mod *mod)
{
    const uint8_t *actions;

    memset(mod, 0, sizeof *mod);
    mod->form = version == OF10 && p[1] == 4 ? 0 : version;
    if (version == OF10 && p[1] == 14) {
        /* An exact match has a priority of its own. */
        if (size < 72 || !(read32(p + 8) & 0x3fffff)
            || !read_match10(p + 8, &mod->match)
            || !read_head10(p + 48, table_in_command, mod)) {
            return false;
        }
        actions = p + 72;
    } else if (version == OF10) {
        if (size < 48 || p[1] != 4 || read32(p + 8) != NX_VENDOR
            || read32(p + 12) != 13
            || !read_head10(p + 16, table_in_command, mod)) {
            return false;
        }
        uint32_t length = read16(p + 40), room = ROUND_UP(length, 8);
        if (room > size - 48
            || !read_tlvs(q->read, q->n_read, p + 48, length, &mod->match)) {
            return false;
        }
        actions = p + 48 + room;
    } else {
        if (version < OF12 || p[1] != 14 || size < 56
            || !read_head12(p + 8, version, mod) || read16(p + 48) != 1) {
            return false;
        }
        uint32_t length = read16(p + 50), room = ROUND_UP(length, 8);
        if (length < 4 || room > size - 48
            || !read_tlvs(q->read, q->n_read, p + 52, length - 4,
                          &mod->match)) {
            return false;
        }
        actions = p + 48 + room;
    }
    mod->actions = actions;
    mod->actions_size = p + size - actions;
    struct rule_change *c = &mod->row;
    if (c->command > RULE_DELETE_STRICT || mod->table == 254) {
        return false;
    }
    c->table = mod->table == 0xff && c->command == RULE_ADD ? 0 : mod->table;
    c->reason = 2;
    if (c->command < RULE_DELETE) {
        c->out_port = c->out_group = UINT32_MAX;
    } else if (mod->actions_size) {
        return false;
    }
    if ((c->command == RULE_MODIFY || c->command == RULE_MODIFY_STRICT)
        && c->cookie != UINT64_MAX) {
        c->flags |= RF_MODIFY_ADDS;
    }
    return true;
}

/* Finds what the actions of a flow_mod mean; NULL if that is not known. */
static struct term *
program_find(struct quick *q, const struct mod *mod)
{
    struct facts facts = facts_of(&mod->match.value, mod->form, mod->table);

    if (mod->actions_size > MAX_KEY - sizeof facts) {
        q->key_size = 0;
        return NULL;
    }
    memcpy(q->key, &facts, sizeof facts);
    memcpy(q->key + sizeof facts, mod->actions, mod->actions_size);
    q->key_size = sizeof facts + mod->actions_size;
    struct term *term = *terms_find(&q->programs, q->key, q->key_size,
                                    hash_bytes(q->key, q->key_size));
    struct plain plain;
    if (!term && q->kinds.output
        && plain_read(&q->kinds, mod->form, mod->row.table, mod->actions,
                      mod->actions_size, &plain)) {
        term = terms_put(&q->programs, q->key, q->key_size,
                         (uint8_t *) plain.program, plain.program_size,
                         plain.source, plain.source_size);
    }
    return term;
}

void
quick_learn(struct quick *q, const uint8_t *program, uint32_t program_size,
            const uint8_t *source, uint32_t source_size)
{
    if (q->key_size) {
        terms_put(&q->programs, q->key, q->key_size, program, program_size,
                  source, source_size);
        q->key_size = 0;
    }
}

/* Puts the two values of 'term' into the blob, once. */
static bool
place_term(struct quick *q, struct term *term, uint8_t *blob,
           uint32_t blob_size, uint32_t *at)
{
    if (term->run != q->run) {
        uint32_t size = term->first_size + term->second_size;
        if (ROUND_UP(size, 8) > blob_size - *at) {
            return false;
        }
        memcpy(blob + *at, term->bytes + term->key_size, size);
        term->run = q->run;
        term->first_at = *at;
        term->second_at = *at + term->first_size;
        *at += ROUND_UP(size, 8);
    }
    return true;
}

void
quick_decode(struct quick *q, uint8_t version, uint8_t table_in_command,
             uint32_t bridge, const uint8_t *data, uint32_t size,
             void *rows_, uint32_t max_rows, struct quick_item *items,
             uint8_t *blob, uint32_t blob_size, struct quick_run *run)
{
    struct rule_change *rows = rows_;
    struct mod mod;

    *run = (struct quick_run) { .stop = QUICK_END };
    q->run++;
    while (size - run->used >= 8) {
        const uint8_t *p = data + run->used;
        uint32_t length = read16(p + 2), filled = run->filled;
        if (p[0] != version || length < 8) {
            run->stop = QUICK_OTHER;
            return;
        }
        if (length > size - run->used) {
            return;
        }
        if (run->n >= max_rows || blob_size - filled < sizeof mod.match) {
            run->stop = QUICK_FULL;
            return;
        }
        if (!read_mod(q, version, table_in_command, p, length, &mod)) {
            run->stop = QUICK_OTHER;
            return;
        }
        struct rule_change *c = &rows[run->n];
        *c = mod.row;
        if (c->command < RULE_DELETE) {
            struct term *term = program_find(q, &mod);
            if (!term) {
                run->stop = QUICK_UNKNOWN;
                return;
            }
            if (!place_term(q, term, blob,
                            blob_size - sizeof mod.match, &filled)) {
                run->stop = QUICK_FULL;
                return;
            }
            c->program_offset = term->first_at;
            c->program_size = term->first_size;
            c->source_offset = term->second_at;
            c->source_size = term->second_size;
        }
        c->bridge = bridge;
        c->match_offset = filled;
        memcpy(blob + filled, &mod.match, sizeof mod.match);
        items[run->n++] = (struct quick_item) {
            .offset = run->used, .length = length,
        };
        run->filled = filled + sizeof mod.match;
        run->used += length;
    }
}

/* ---- Conversations ---- */

static int64_t
time_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* Stages and publishes 'n' changes; returns how many: one may be refused. */
static uint32_t
publish(const struct quick_calls *calls, uint32_t dp,
        struct rule_change *rows, uint32_t n, const uint8_t *blob,
        uint32_t blob_size)
{
    int (*open)(uint32_t, uint64_t *) = calls->version_open;
    int (*stage)(uint64_t, struct rule_change *, uint32_t, const uint8_t *,
                 uint32_t) = calls->rules_stage;
    int (*commit)(uint64_t) = calls->version_commit;
    uint64_t version;
    uint32_t done = n;

    if (open(dp, &version)) {
        return 0;
    }
    if (stage(version, rows, n, blob, blob_size)) {
        for (done = 0; done < n && !rows[done].error; done++) {
            continue;
        }
        if (done == n) {
            done = 0;           /* No rule's fault: Python will say what. */
        }
    }
    return commit(version) ? 0 : done;
}

/* ---- packet-outs ---- */

#define FORM_OUTPUT 0x80        /* In facts.form: actions of packet-outs. */
#define MAX_FRAME 9216          /* Longer ones are for the codec. */
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
static uint32_t
send_packets(struct quick *q, const struct quick_calls *calls,
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

static bool
is_reached(const struct quick_calls *calls, uint32_t dp)
{
    uint64_t (*current)(uint32_t) = calls->version_current;
    bool (*reached)(uint32_t, uint64_t) = calls->version_reached;

    return reached(dp, current(dp));
}

/* Agrees on a version by a hello; false where it is no common one. */
static bool
agree(struct quick_talk *t, const uint8_t *p, uint32_t length)
{
    uint32_t theirs = 0, common;

    if (p[1] != 0 || !p[0] || p[0] > 31) {
        return false;
    }
    if (length == 8) {
        theirs = (UINT32_C(2) << p[0]) - 2;
    } else if (length == 16 && read16(p + 8) == 1 && read16(p + 10) == 8) {
        theirs = read32(p + 12);
    }
    common = theirs >> 1 & t->versions;
    if (!common) {
        return false;
    }
    t->version = 32 - __builtin_clz(common);
    return true;
}

/* Does for a guest what those do who know their peers; returns how many bytes
 * of the whole message at 'p' are done with. */
static uint32_t
serve_guest(struct quick_talk *t, const uint8_t *p, uint32_t length)
{
    if (!t->version) {
        return agree(t, p, length) ? length : 0;
    }
    if (t->version == OF10 && p[1] == 4 && length == 20
        && read32(p + 8) == NX_VENDOR && read32(p + 12) == 12
        && (read32(p + 16) == 0 || read32(p + 16) == 2)) {
        t->flow_format = p[19];
        return length;
    }
    return 0;
}

/* Takes in what is added to the peer's bundle; false if nothing is. */
static bool
take_added(struct quick *q, struct quick_talk *t)
{
    struct quick_run run;
    uint32_t bundle, flags;

    quick_check_bundled(q, t->version, t->data + t->used, t->size - t->used,
                        &bundle, &flags, t->added + t->n_added,
                        t->added_room - t->n_added, &run);
    if (!run.n || bundle != t->bundle || flags != t->bundle_flags) {
        return false;
    }
    t->used += run.used;
    t->n_added += run.filled;
    return true;
}

/* Does what is at the beginning of what is left; false where that is for
 * somebody else or not complete. */
static bool
answer(struct quick *q, const struct quick_calls *calls, struct quick_talk *t,
       struct rule_change *rows, uint32_t max_rows, struct quick_item *items,
       uint8_t *blob, uint32_t blob_size)
{
    const uint8_t *p = t->data + t->used;
    struct quick_run run;

    if (t->size - t->used < 8) {
        return false;
    }
    if (t->is_guest && read16(p + 2) >= 8
        && read16(p + 2) <= t->size - t->used) {
        uint32_t done = serve_guest(t, p, read16(p + 2));
        if (done) {
            t->used += done;
            return true;
        }
    }
    if (p[0] != t->version || !t->version) {
        return false;
    }
    if (p[1] == (t->version == OF10 ? 18 : 20)) {
        if (read16(p + 2) != 8 || t->n_injected || !is_reached(calls, t->dp)
            || t->n_replies + 8 > sizeof t->replies) {
            return false;
        }
        memcpy(t->replies + t->n_replies, p, 8);
        t->replies[t->n_replies + 1]++;
        t->n_replies += 8;
        t->used += 8;
        return true;
    }
    if (p[1] == 13) {
        return send_packets(q, calls, t, blob, blob_size);
    }
    if (t->has_bundle && (p[1] == 34 || (p[1] == 4 && t->version == OF13))) {
        return take_added(q, t);
    }
    quick_decode(q, t->version, t->table_in_command, t->bridge, p,
                 t->size - t->used, rows, max_rows, items, blob, blob_size,
                 &run);
    if (!run.n) {
        return false;
    }
    uint32_t done = publish(calls, t->dp, rows, run.n, blob, run.filled);
    t->used += done < run.n ? items[done].offset : run.used;
    return done == run.n;
}

/* Sends what it can of the replies. */
static bool
send_replies(struct quick_talk *t)
{
    ssize_t n = t->n_replies
        ? send(t->fd, t->replies, t->n_replies, MSG_DONTWAIT | MSG_NOSIGNAL)
        : 0;

    if (n > 0) {
        memmove(t->replies, t->replies + n, t->n_replies - n);
        t->n_replies -= n;
    }
    return !t->n_replies;
}

static bool
await_input(int fd, uint32_t linger_us)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    struct timespec linger = { .tv_nsec = linger_us * 1000L };

    return ppoll(&poll_fd, 1, &linger, NULL) == 1;
}

/* Waits for the peer to say more. */
static bool
receive(struct quick_talk *t)
{

    memmove(t->data, t->data + t->used, t->size - t->used);
    t->size -= t->used;
    t->used = 0;
    if (t->size == t->room) {
        return false;
    }
    if (t->n_added) {
        /* Who is asleep in poll() costs the sender time for each message. */
        struct timespec nap = { .tv_nsec = t->nap_us * 1000L };
        nanosleep(&nap, NULL);
    }
    if (!await_input(t->fd, t->linger_us)) {
        return false;
    }
    ssize_t n = recv(t->fd, t->data + t->size, t->room - t->size,
                     MSG_DONTWAIT);
    if (n <= 0) {
        t->is_over = !n && !t->size;
        t->is_broken = n ? errno != EAGAIN && errno != EINTR : t->size;
        return false;           /* Who reads next learns why. */
    }
    t->size += n;
    return true;
}

int
quick_admit(int listener, uint32_t linger_us, const uint8_t *hello,
            uint32_t hello_size)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && errno == EAGAIN && await_input(listener, linger_us)) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (fd < 0) {
        return errno == EAGAIN || errno == ECONNABORTED ? -1 : -2;
    }
    /* Who does not take even that will be found to have left. */
    if (send(fd, hello, hello_size, MSG_NOSIGNAL) < 0) {
        shutdown(fd, SHUT_RDWR);
    }
    return fd;
}

void
quick_converse(struct quick *q, const struct quick_calls *calls,
               struct quick_talk *t, void *rows, uint32_t max_rows,
               struct quick_item *items, uint8_t *blob, uint32_t blob_size)
{
    int64_t end_us = time_us() + t->turn_us;
    uint32_t left;

    do {
        while (answer(q, calls, t, rows, max_rows, items, blob, blob_size)) {
            continue;
        }
        left = t->size - t->used;
        if (!send_replies(t)
            || (left >= 8 && left >= read16(t->data + t->used + 2))) {
            return;             /* A whole message is for somebody else. */
        }
    } while (time_us() < end_us && receive(t));
}

void
quick_check_bundled(struct quick *q, uint8_t version, const uint8_t *data,
                    uint32_t size, uint32_t *bundle, uint32_t *flags,
                    uint8_t *out, uint32_t out_size, struct quick_run *run)
{
    struct mod mod;

    *run = (struct quick_run) { .stop = QUICK_END };
    while (size - run->used >= 8) {
        const uint8_t *p = data + run->used;
        uint32_t length = read16(p + 2), head;
        if (p[0] != version || length < 8) {
            run->stop = QUICK_OTHER;
            return;
        }
        if (length > size - run->used) {
            return;
        }
        if (version >= OF14 && p[1] == 34) {
            head = 8;
        } else if (version == OF13 && p[1] == 4 && length >= 16
                   && read32(p + 8) == ONF_VENDOR && read32(p + 12) == 2301) {
            head = 16;
        } else {
            run->stop = QUICK_OTHER;
            return;
        }
        const uint8_t *inner = p + head + 8;
        uint32_t inner_size = length >= head + 16 ? read16(inner + 2) : 0;
        if (inner_size < 8 || inner_size != length - head - 8
            || inner[0] != version || memcmp(inner + 4, p + 4, 4)
            || !read_mod(q, version, false, inner, inner_size, &mod)) {
            run->stop = QUICK_OTHER;
            return;
        }
        if (mod.row.command < RULE_DELETE && !program_find(q, &mod)) {
            run->stop = QUICK_UNKNOWN;
            return;
        }
        uint32_t where = read32(p + head), how = read16(p + head + 6);
        if ((run->n && (*bundle != where || *flags != how))
            || inner_size > out_size - run->filled) {
            run->stop = QUICK_FULL;
            return;
        }
        *bundle = where;
        *flags = how;
        memcpy(out + run->filled, inner, inner_size);
        run->filled += inner_size;
        run->n++;
        run->used += length;
    }
}

/* ---- Flow statistics ---- */

/* Writes a TLV of 'f' if the match has it, no byte more, and takes its bits
 * out of 'left'.  Returns its size, or -1 if it has bits that such a TLV
 * cannot say. */
static int
write_field(const struct quick_field *f, const struct match *match,
            struct flow *left, uint8_t *out)
{
    const uint8_t *value = (const uint8_t *) &match->value + f->offset;
    const uint8_t *mask = (const uint8_t *) &match->mask + f->offset;
    uint8_t *rest = (uint8_t *) left + f->offset;
    bool exact;

    if (f->size == 16) {
        if (is_zero(mask, 16)) {
            return 0;
        }
        exact = true;
        for (uint32_t i = 0; i < 16; i++) {
            exact &= mask[i] == 0xff;
        }
        memcpy(out + 4, value, 16);
        if (!exact) {
            memcpy(out + 20, mask, 16);
        }
        memset(rest, 0, 16);
    } else {
        uint64_t v = read_number(value, f->size);
        uint64_t m = read_number(mask, f->size);
        uint64_t place = f->ones << f->shift;
        if (!(m & place)) {
            return 0;
        }
        if (f->form == QUICK_PCP) {
            if (!(v & 0x1fff)) {
                return -1;
            }
        } else if (f->form == QUICK_WHOLE || f->form == QUICK_PORT
                   || f->form == QUICK_PORT16) {
            place = UINT64_MAX;
        }
        write_number(rest, f->size, read_number(rest, f->size) & ~place);
        v = (v >> f->shift) & f->ones;
        m = (m >> f->shift) & f->ones;
        exact = !f->maskable || m == f->ones;
        if (f->form == QUICK_PORT && v >= 0xff00) {
            v += 0xffff0000;
        }
        write_number(out + 4, f->length, v);
        if (!exact) {
            write_number(out + 4 + f->length, f->length, m);
        }
    }
    write_number(out, 4, exact ? f->header : f->header_masked);
    return exact ? 4 + f->length : 4 + 2 * f->length;
}

/* Which bytes of the value are those of the TLV as they are. */
static bool
is_verbatim(const struct quick_field *f)
{
    return f->size == 16
           || (f->form == QUICK_PLAIN && !f->shift && f->length <= f->size
               && f->ones == (f->length == 8 ? UINT64_MAX
                              : (UINT64_C(1) << 8 * f->length) - 1));
}

/* Finds out how matches with this mask and these facts are written. */
static void
plan_make(const struct quick *q, const struct match *match, struct plan *plan)
{
    uint32_t which = plan->version < OF12 ? 0 : plan->version;
    const struct quick_field *f = q->write;
    struct flow left = match->mask;

    plan->n = plan->size = 0;
    plan->is_whole = false;
    for (uint32_t i = 0; i < which; i++) {
        f += q->n_write[i];
    }
    for (const struct quick_field *end = f + q->n_write[which]; f < end; f++) {
        if (!prereq_holds(&match->value, f->prereq)) {
            continue;
        }
        if (sizeof plan->bytes - plan->size < 4 + 2 * 16
            || plan->n == N_ELEMENTS(plan->steps)) {
            return;
        }
        int n = write_field(f, match, &left, plan->bytes + plan->size);
        if (n < 0) {
            return;
        }
        if (n) {
            plan->steps[plan->n++] = (struct plan_step) {
                .field = f, .at = plan->size, .is_verbatim = is_verbatim(f),
                .from = f->offset + f->size - f->length,
            };
            plan->size += n;
        }
    }
    plan->is_whole = is_zero((uint8_t *) &left, sizeof left);
}

static const struct plan *
plan_find(struct quick *q, uint8_t version, const struct match *match)
{
    const word64 *words = (const word64 *) &match->mask;
    struct facts facts = facts_of(&match->value, version, 0);
    uint64_t hash = version, odd = 1;

    for (uint32_t i = 0; i < FLOW_WORDS; i++) {
        hash += words[i] * (odd += UINT64_C(0x9e3779b97f4a7c16));
    }
    hash ^= hash >> 32;
    hash ^= hash >> 16;
    struct plan **slot = &q->plans[(hash ^ hash >> 8) % N_ELEMENTS(q->plans)];
    struct plan *plan = *slot;
    if (!plan || plan->version != version
        || memcmp(&plan->facts, &facts, sizeof facts)
        || memcmp(&plan->mask, &match->mask, sizeof plan->mask)) {
        if (!plan) {
            plan = *slot = malloc(sizeof *plan);
            if (!plan) {
                abort();
            }
        }
        plan->version = version;
        plan->facts = facts;
        plan->mask = match->mask;
        plan_make(q, match, plan);
    }
    return plan;
}

/* Writes a match as TLVs; returns their size, or -1 if they cannot say all. */
static int
write_tlvs(struct quick *q, uint8_t version, const struct match *match,
           uint8_t *out, uint32_t room)
{
    const struct plan *plan = plan_find(q, version, match);
    struct flow left = match->mask;

    if (!plan->is_whole || plan->size > room) {
        return -1;
    }
    memcpy(out, plan->bytes, plan->size);
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plan_step *step = &plan->steps[i];
        if (step->is_verbatim) {
            memcpy(out + step->at + 4,
                   (const uint8_t *) &match->value + step->from,
                   step->field->length);
        } else if (write_field(step->field, match, &left,
                               out + step->at) < 0) {
            return -1;
        }
    }
    return plan->size;
}

static uint32_t
pad(uint8_t *out, uint32_t size)
{
    uint32_t padded = ROUND_UP(size, 8);

    memset(out + size, 0, padded - size);
    return padded;
}

static uint16_t
age(int64_t now_ms, int64_t then_ms)
{
    int64_t seconds = MAX(0, now_ms - then_ms) / 1000;

    return MIN(seconds + 1, 0xffff);
}

#define MAX_ENTRY 8192

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

    int tlvs = write_tlvs(q, version, match, out + head + match_head,
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
    uint32_t size = head + pad(out + head, match_head + tlvs);
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
        size += pad(s, 4 + 4 * 12);
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

/* ---- packet-ins ---- */

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
    int tlvs = write_tlvs(q, version, match, out + 28, MAX_ENTRY - 64);
    if (tlvs < 0) {
        return 0;
    }
    write_number(out + 24, 2, 1);
    write_number(out + 26, 2, 4 + tlvs);
    uint32_t size = 24 + pad(out + 24, 4 + tlvs);
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
