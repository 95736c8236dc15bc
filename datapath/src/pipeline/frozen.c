/* frozen.c: frozen states, the memory of a translation that will go on when
 * its frame has been recirculated.
 *
 * Equal states share an id; ids are handed out in order and skipped while in
 * use.  References are held by the credits of megaflows and by whoever looks
 * one up; a state nobody refers to is retired.  Any thread. */
#include "pipeline/private.h"

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

int
frozen_get(uint32_t dp, uint32_t recirc_id, uint8_t *buffer, uint32_t size,
           uint32_t *n_bytes)
{
    struct pipeline *p = pipeline_find(dp);
    struct frozen *f = p ? frozen_find(p, recirc_id) : NULL;

    *n_bytes = 0;
    if (!f) {
        return error_set(ENOENT, "no frozen state %#x", recirc_id);
    }
    struct frozen_record *r = (void *) buffer;
    uint32_t tail = ROUND_UP(f->stack_size, 8)
                    + ROUND_UP(f->action_set_size, 8)
                    + ROUND_UP(f->ops_size, 8);
    if (size < sizeof *r + tail) {
        frozen_unref(p, f);
        return error_set(ENOBUFS, "frozen state needs %zu bytes",
                         sizeof *r + tail);
    }
    memset(r, 0, sizeof *r);
    r->size = sizeof *r + tail;
    r->recirc_id = f->id;
    r->bridge = f->bridge;
    r->table = f->table;
    r->conntracked = f->conntracked;
    r->cookie = f->cookie;
    r->metadata = f->metadata;
    r->stack_size = f->stack_size;
    r->action_set_size = f->action_set_size;
    r->ops_size = f->ops_size;
    r->in_port = f->in_port;
    memcpy(r->regs, f->regs, sizeof r->regs);
    memcpy(buffer + sizeof *r, f->bytes, tail);
    *n_bytes = r->size;
    frozen_unref(p, f);
    return 0;
}
