/* flow_mod.c: the common flow_mods, read straight into changes of rules; those
 * that are added to bundles, too. */
#include "state.h"

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
