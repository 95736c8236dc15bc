/* learned.c: what learn ops make of packets: rules to be, which wait for the
 * control thread; and notes of rules that were their reason to be.
 *
 * A learned rule's source is LEARNED_MARK and its ops: Python renders it from
 * these.  Any thread; learn_forget(): control thread. */
#include "pipeline/field.h"

#define MARK_SIZE 2

void
learned_ref(struct learned *l)
{
    __atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
}

void
learned_unref(struct learned *l)
{
    if (l && !__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL)) {
        program_unref(l->program);
        free(l);
    }
}

static void *
put_op(struct buffer *ops, unsigned code, uint32_t size)
{
    uint16_t source = 0;

    OPS_FOR_EACH (before, ops->data, ops->size) {
        source = before->source + 1;
    }
    struct op *op = buffer_put_zeros(ops, ROUND_UP(size, 8));
    op->code = code;
    op->size = ROUND_UP(size, 8);
    op->source = source;
    return op;
}

/* Sets the bits of 's' in 'mask'. */
static void
set_ones(const struct subfield *s, struct flow *mask)
{
    uint8_t ones[16];

    memset(ones, 0xff, sizeof ones);
    subfield_write(s, ones, mask);
}

static struct program *
learned_program(struct buffer *ops)
{
    struct buffer source = { NULL, 0, 0 };
    struct program *program;

    buffer_put(&source, "\0L", MARK_SIZE);
    buffer_put(&source, ops->data, ops->size);
    program = program_get(ops->data, ops->size, source.data, source.size);
    buffer_destroy(&source);
    return program;
}

static bool
is_port_number(const uint8_t value[16])
{
    static const uint8_t zeros[14];

    return !memcmp(value, zeros, sizeof zeros);
}

struct learned *
learn_make(const struct op_learn *op, const struct flow *flow,
           uint32_t bridge)
{
    const struct learn_args *args = (const void *) op->tail;
    const struct learn_spec *specs = (const void *) (args + 1);
    struct learned *l = xzalloc(sizeof *l);
    struct buffer ops = { NULL, 0, 0 };

    l->refs = 1;
    l->bridge = bridge;
    l->args = *args;
    if (args->fin_idle || args->fin_hard) {
        struct op_fin_timeout *fin = put_op(&ops, OP_FIN_TIMEOUT, sizeof *fin);
        fin->idle = args->fin_idle;
        fin->hard = args->fin_hard;
    }
    for (unsigned i = 0; i < args->n_specs; i++) {
        const struct learn_spec *s = &specs[i];
        uint8_t value[16];
        if (s->from_field) {
            subfield_read(&s->src, flow, value);
        } else {
            memcpy(value, s->value, 16);
        }
        if (s->kind == LEARN_MATCH) {
            subfield_write(&s->dst, value, &l->value);
            set_ones(&s->dst, &l->mask);
        } else if (s->kind == LEARN_LOAD) {
            const struct field *f = &fields[s->dst.field];
            struct op_set_field *set = put_op(&ops, OP_SET_FIELD,
                                              sizeof *set);
            struct flow v = { 0 }, m = { 0 };
            subfield_write(&s->dst, value, &v);
            set_ones(&s->dst, &m);
            set->field = s->dst.field;
            memcpy(set->value, (char *) &v + f->offset, f->size);
            memcpy(set->mask, (char *) &m + f->offset, f->size);
        } else if (is_port_number(value)) {
            struct op_output *output = put_op(&ops, OP_OUTPUT, sizeof *output);
            output->port = value[14] << 8 | value[15];
        }
    }
    l->program = learned_program(&ops);
    buffer_destroy(&ops);
    return l;
}

void
learn_later(struct pipeline *p, struct learned *l)
{
    learned_ref(l);
    lock_take(&p->learn_lock);
    if (p->n_learned == p->allocated_learned) {
        p->allocated_learned = p->allocated_learned
                               ? p->allocated_learned * 2 : 16;
        p->learned = xrealloc(p->learned,
                              p->allocated_learned * sizeof *p->learned);
    }
    p->learned[p->n_learned] = l;
    __atomic_store_n(&p->n_learned, p->n_learned + 1, __ATOMIC_RELAXED);
    lock_drop(&p->learn_lock);
}

static bool
note_orphans(const struct learn_args *args, void *rule_)
{
    struct rule *rule = rule_;
    struct learned *l = xzalloc(sizeof *l);

    l->refs = 1;
    l->bridge = rule->bridge->handle;
    l->args = *args;
    l->next = rule->bridge->pipeline->orphans;
    rule->bridge->pipeline->orphans = l;
    return false;
}

void
learn_forget(struct rule *rule)
{
    if (rule->program->deletes_learned) {
        program_each_deleting(rule->program, note_orphans, rule);
    }
}
