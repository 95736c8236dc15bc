/* quick.c: the life of the quick codec; see quick.h. */
#include "state.h"

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
