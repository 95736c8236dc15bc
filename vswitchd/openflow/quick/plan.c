/* plan.c: matches written as TLVs, by plans: all with one mask are written
 * alike. */
#include "state.h"

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
int
match_write(struct quick *q, uint8_t version, const struct match *match,
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
