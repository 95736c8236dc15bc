/* program.c: compiled ops with the source they were made from, one for all
 * rules and buckets that do the same.
 *
 * Any thread; the table of all is under its lock. */
#include "pipeline/private.h"

static struct lock programs_lock = LOCK_INITIALIZER;
/* Guarded by it. */
static struct program **programs;       /* By hash; chains. */
static uint32_t n_programs, n_program_chains;

/* Guarded by it. */
static struct program **programs;       /* By hash; chains. */
static uint32_t n_programs, n_program_chains;

struct deleting {               /* Who asks for learn ops that clean up. */
    bool (*found)(const struct learn_args *, void *);
    void *aux;
};

static bool
find_deleting(const struct op *op, void *deleting)
{
    const struct deleting *d = deleting;
    const struct learn_args *args
        = (const void *) ((const struct op_learn *) op)->tail;

    return op->code == OP_LEARN && args->flags & LEARN_DELETE_LEARNED
           && d->found(args, d->aux);
}

bool
program_each_deleting(const struct program *program,
                      bool (*found)(const struct learn_args *, void *),
                      void *aux)
{
    struct deleting d = { found, aux };

    return ops_visit(program->bytes, program->size, find_deleting, &d);
}

static bool
always(const struct learn_args *args UNUSED, void *aux UNUSED)
{
    return true;
}

static struct program *
program_new(const uint8_t *ops, uint32_t size, const uint8_t *source,
            uint32_t source_size)
{
    struct program *p = xzalloc(sizeof *p + ROUND_UP(size, 8) + source_size);
    uint32_t n = 0;

    p->refs = 1;
    p->size = size;
    p->source_size = source_size;
    if (size) {
        memcpy(p->bytes, ops, size);
    }
    if (source_size) {
        memcpy((uint8_t *) program_source(p), source, source_size);
    }
    OPS_FOR_EACH (op, p->bytes, size) {
        n += op->code == OP_CONJUNCTION;
    }
    if (n) {
        p->conjunctions = xcalloc(n, sizeof *p->conjunctions);
        OPS_FOR_EACH (op, p->bytes, size) {
            if (op->code == OP_CONJUNCTION) {
                const struct op_conjunction *c = (const void *) op;
                p->conjunctions[p->n_conjunctions++] = (struct conjunction) {
                    .id = c->id, .clause = c->clause,
                    .n_clauses = c->n_clauses,
                };
            }
        }
    }
    p->deletes_learned = program_each_deleting(p, always, NULL);
    return p;
}

static void
grow_programs(void)
{
    uint32_t n = n_program_chains ? n_program_chains * 2 : 256;
    struct program **bigger = xcalloc(n, sizeof *bigger);

    for (uint32_t i = 0; i < n_program_chains; i++) {
        for (struct program *p = programs[i], *next; p; p = next) {
            next = p->next;
            p->next = bigger[p->hash & (n - 1)];
            bigger[p->hash & (n - 1)] = p;
        }
    }
    free(programs);
    programs = bigger;
    n_program_chains = n;
}

struct program *
program_get(const uint8_t *ops, uint32_t size, const uint8_t *source,
            uint32_t source_size)
{
    uint32_t hash = hash_bytes(source, source_size,
                               hash_bytes(ops, size, 0));
    struct program *p;

    lock_take(&programs_lock);
    if (n_programs >= n_program_chains) {
        grow_programs();
    }
    struct program **chain = &programs[hash & (n_program_chains - 1)];
    for (p = *chain; p; p = p->next) {
        if (p->hash == hash && p->size == size
            && p->source_size == source_size
            && (!size || !memcmp(p->bytes, ops, size))
            && (!source_size || !memcmp(program_source(p), source,
                                        source_size))) {
            program_ref(p);
            break;
        }
    }
    if (!p) {
        p = program_new(ops, size, source, source_size);
        p->hash = hash;
        p->next = *chain;
        *chain = p;
        n_programs++;
    }
    lock_drop(&programs_lock);
    return p;
}

void
program_ref(struct program *p)
{
    __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
}

static void
program_free(void *p_)
{
    struct program *p = p_;

    free(p->conjunctions);
    free(p);
}

/* The last reference is given back under the lock: program_get() must not
 * find what goes. */
void
program_unref(struct program *p)
{
    uint32_t refs = p ? __atomic_load_n(&p->refs, __ATOMIC_RELAXED) : 0;

    while (refs > 1) {
        if (__atomic_compare_exchange_n(&p->refs, &refs, refs - 1, true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
            return;
        }
    }
    if (!p) {
        return;
    }
    lock_take(&programs_lock);
    bool last = !__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL);
    if (last) {
        struct program **link = &programs[p->hash & (n_program_chains - 1)];
        while (*link != p) {
            link = &(*link)->next;
        }
        *link = p->next;
        n_programs--;
    }
    lock_drop(&programs_lock);
    if (last) {
        epoch_retire(p, program_free);
    }
}
