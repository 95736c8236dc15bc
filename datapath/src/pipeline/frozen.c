/* frozen.c: frozen states, the memory of a translation that will go on when
 * its frame has been recirculated.
 *
 * Equal states share an id; ids are handed out in order and skipped while in
 * use.  References are held by the credits of megaflows and by whoever looks
 * one up; a state nobody refers to is retired.  Any thread. */
#include "pipeline/header.h"

#define KEY_START offsetof(struct frozen, bridge)

static uint32_t
frozen_key_size(const struct frozen *f)
{
    return sizeof *f - KEY_START + frozen_bytes_size(f);
}

struct frozen *
frozen_put(struct pipeline *p, const struct frozen *template,
           const uint8_t *bytes)
{
    uint32_t n_bytes = frozen_bytes_size(template);
    struct frozen *new = xzalloc(sizeof *new + n_bytes);

    memcpy((char *) new + KEY_START, (const char *) template + KEY_START,
           sizeof *new - KEY_START);
    if (n_bytes) {
        memcpy(new->bytes, bytes, n_bytes);
    }
    uint32_t size = frozen_key_size(new);
    new->hash = hash_bytes((char *) new + KEY_START, size, 0);
    new->refs = 1;

    lock_take(&p->frozen_lock);
    struct frozen **link = &p->frozen_by_hash[new->hash % FROZEN_HASH];
    for (struct frozen *f = *link; f; f = f->next_hash) {
        if (f->hash == new->hash && frozen_key_size(f) == size
            && !memcmp((char *) f + KEY_START, (char *) new + KEY_START,
                       size)) {
            f->refs++;
            lock_drop(&p->frozen_lock);
            free(new);
            return f;
        }
    }
    for (;;) {
        new->id = p->next_recirc_id++;
        if (!new->id) {
            continue;
        }
        struct frozen *f = p->frozen_by_id[new->id % FROZEN_HASH];
        while (f && f->id != new->id) {
            f = f->next_id;
        }
        if (!f) {
            break;
        }
    }
    new->next_hash = *link;
    *link = new;
    new->next_id = p->frozen_by_id[new->id % FROZEN_HASH];
    p->frozen_by_id[new->id % FROZEN_HASH] = new;
    p->n_frozen++;
    lock_drop(&p->frozen_lock);
    return new;
}

struct frozen *
frozen_find(struct pipeline *p, uint32_t id)
{
    lock_take(&p->frozen_lock);
    struct frozen *f = p->frozen_by_id[id % FROZEN_HASH];
    while (f && f->id != id) {
        f = f->next_id;
    }
    if (f) {
        f->refs++;
    }
    lock_drop(&p->frozen_lock);
    return f;
}

void
frozen_unref(struct pipeline *p, struct frozen *f)
{
    if (!f) {
        return;
    }
    lock_take(&p->frozen_lock);
    if (!--f->refs) {
        struct frozen **link = &p->frozen_by_hash[f->hash % FROZEN_HASH];
        while (*link != f) {
            link = &(*link)->next_hash;
        }
        *link = f->next_hash;
        link = &p->frozen_by_id[f->id % FROZEN_HASH];
        while (*link != f) {
            link = &(*link)->next_id;
        }
        *link = f->next_id;
        p->n_frozen--;
        epoch_retire(f, free);
    }
    lock_drop(&p->frozen_lock);
}

static uint32_t
record_tail(const struct frozen *f)
{
    return ROUND_UP(f->stack_size, 8) + ROUND_UP(f->action_set_size, 8)
           + ROUND_UP(f->ops_size, 8) + ROUND_UP(f->userdata_size, 8);
}

static void
record_write(const struct frozen *f, uint8_t *buffer)
{
    struct frozen_record *r = (void *) buffer;

    memset(r, 0, sizeof *r + record_tail(f));
    r->size = sizeof *r + record_tail(f);
    r->recirc_id = f->id;
    r->bridge = f->bridge;
    r->table = f->table;
    r->conntracked = f->conntracked;
    r->cookie = f->cookie;
    r->metadata = f->metadata;
    r->stack_size = f->stack_size;
    r->action_set_size = f->action_set_size;
    r->ops_size = f->ops_size;
    r->userdata_size = f->userdata_size;
    r->in_port = f->in_port;
    r->mirrors = f->mirrors;
    memcpy(r->regs, f->regs, sizeof r->regs);
    memcpy(buffer + sizeof *r, f->bytes, frozen_bytes_size(f));
}

int
frozen_get(uint32_t dp, uint32_t recirc_id, uint8_t *buffer, uint32_t size,
           uint32_t *n_bytes)
{
    struct pipeline *p = pipeline_find(dp);
    struct frozen *f = p ? frozen_find(p, recirc_id) : NULL;
    int error = 0;

    *n_bytes = 0;
    if (!f) {
        return error_set(ENOENT, "no frozen state %#x", recirc_id);
    }
    uint32_t needed = sizeof(struct frozen_record) + record_tail(f);
    if (size < needed) {
        error = error_set(ENOBUFS, "frozen state needs %u bytes", needed);
    } else {
        record_write(f, buffer);
        *n_bytes = needed;
    }
    frozen_unref(p, f);
    return error;
}

void
pipeline_frozen(struct pipeline *p, uint32_t id, struct flow *flow,
                struct buffer *record)
{
    struct frozen *f = frozen_find(p, id);

    if (!f) {
        return;
    }
    frozen_restore(f, flow);
    if (record) {
        record_write(f, buffer_put_zeros(record, sizeof(struct frozen_record)
                                                 + record_tail(f)));
    }
    frozen_unref(p, f);
}

void
frozen_restore(const struct frozen *f, struct flow *flow)
{
    if (!f->conntracked) {
        flow_clear_conntrack(flow);
    }
    flow->in_port = be32_from(f->in_port);
    flow->metadata = be64_from(f->metadata);
    for (unsigned i = 0; i < 32; i++) {
        flow->regs[i] = be32_from(f->regs[i]);
    }
    memcpy(flow, f->tunnel, sizeof f->tunnel);
}

void
frozen_save(struct frozen *f, const struct flow *flow)
{
    f->in_port = be32_to(flow->in_port);
    f->metadata = be64_to(flow->metadata);
    for (unsigned i = 0; i < 32; i++) {
        f->regs[i] = be32_to(flow->regs[i]);
    }
    memcpy(f->tunnel, flow, sizeof f->tunnel);
}

struct frozen *
frozen_put_record(struct pipeline *p, const struct frozen_record *r,
                  const struct flow *flow)
{
    struct frozen template;

    memset(&template, 0, sizeof template);
    frozen_save(&template, flow);
    template.bridge = r->bridge;
    template.table = r->table;
    template.conntracked = r->conntracked;
    template.in_port = r->in_port;
    template.mirrors = r->mirrors;
    template.cookie = r->cookie;
    template.stack_size = r->stack_size;
    template.action_set_size = r->action_set_size;
    template.ops_size = r->ops_size;
    return frozen_put(p, &template, (const uint8_t *) (r + 1));
}

int
pipeline_verify(const uint8_t *ops, uint32_t size)
{
    return program_verify(ops, size, false);
}

int
pipeline_verify_record(const uint8_t *record, uint32_t size)
{
    const struct frozen_record *r = (const void *) record;

    if (size < sizeof *r || size % 8
        || r->stack_size > size || r->stack_size % STACK_ENTRY
        || r->action_set_size > size || r->ops_size > size
        || r->userdata_size) {
        return error_set(EINVAL, "no frozen record");
    }
    uint64_t set = sizeof *r + ROUND_UP(r->stack_size, 8);
    uint64_t ops = set + ROUND_UP(r->action_set_size, 8);
    if (ops + ROUND_UP(r->ops_size, 8) > size) {
        return error_set(EINVAL, "frozen record is too short");
    }
    for (uint32_t i = 0; i < r->stack_size; i += STACK_ENTRY) {
        uint64_t n_bits = get_u64((const char *) (r + 1) + i + 16);
        if (!n_bits || n_bits > 128) {
            return error_set(EINVAL, "bad stack");
        }
    }
    int error = program_verify((const uint8_t *) r + set,
                               r->action_set_size, false);
    return error ? error : program_verify((const uint8_t *) r + ops,
                                          r->ops_size, false);
}
