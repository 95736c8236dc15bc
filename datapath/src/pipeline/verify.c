/* verify.c: checks a program once when it is loaded, so that the translator
 * can trust it: sizes, nesting, known ops, fields and their bits, tables.
 * Any thread. */
#include "pipeline/field.h"

static const char *const op_names[N_OPS] = { OP_NAMES };

#define MAX_NESTING 16

static int
bad(const struct op *op, const char *what)
{
    return error_set(EINVAL, "op %s: %s",
                     op->code < N_OPS && op_names[op->code]
                     ? op_names[op->code] : "?", what);
}

static int
check_field(const struct op *op, unsigned id, bool write)
{
    if (id >= N_FIELDS || !fields[id].name) {
        return bad(op, "no such field");
    }
    if (!fields[id].size) {
        return error_set(EOPNOTSUPP, "field %s is not supported",
                         fields[id].name);
    }
    if (write && !fields[id].writable) {
        return bad(op, "the field is not writable");
    }
    return 0;
}

static int
check_subfield(const struct op *op, const struct subfield *s, bool write)
{
    int error = check_field(op, s->field, write);

    if (!error && (!s->n_bits || s->n_bits > 128
                   || s->ofs + s->n_bits > field_bits(&fields[s->field]))) {
        return bad(op, "bits outside of the field");
    }
    return error;
}

static int
check_encap(const struct op_encap *op)
{
    uint32_t n = op->n;

    if (n > op->head.size - sizeof *op || n % 4) {
        return bad(&op->head, "properties too long");
    }
    for (uint32_t at = 0; at < n; ) {
        const struct encap_property *p = (const void *) (op->tail + at);
        if (n - at < sizeof *p) {
            return bad(&op->head, "property cut off");
        } else if (p->kind == ENCAP_MD_TYPE) {
            at += sizeof *p;
        } else if (p->kind == ENCAP_TLV && p->size >= sizeof *p
                   && p->size % 4 == 0 && p->size <= n - at) {
            at += p->size;
        } else {
            return bad(&op->head, "unknown property");
        }
    }
    return 0;
}

static bool
is_subfield(const struct subfield *s, bool writable)
{
    const struct field *f = s->field < N_FIELDS ? &fields[s->field] : NULL;

    return f && f->name && f->size && s->n_bits && s->n_bits <= 128
           && s->ofs + s->n_bits <= f->width && (!writable || f->writable);
}

static int
check_learn(const struct op_learn *op)
{
    const struct learn_args *args = (const void *) op->tail;
    const struct learn_spec *specs = (const void *) (args + 1);

    if (op->n > op->head.size - sizeof *op || op->n < sizeof *args
        || op->n < sizeof *args + args->n_specs * sizeof *specs
        || args->table >= N_TABLES) {
        return error_set(EINVAL, "op learn: wrong size or table");
    }
    if (args->flags & LEARN_WRITE_RESULT
        && !is_subfield(&args->result, true)) {
        return error_set(EINVAL, "op learn: bad result");
    }
    for (unsigned i = 0; i < args->n_specs; i++) {
        const struct learn_spec *s = &specs[i];
        const struct subfield *ends[2] = { &s->src, &s->dst };
        for (unsigned e = 0; e < 2; e++) {
            if (e ? s->kind == LEARN_OUTPUT : !s->from_field) {
                continue;
            }
            if (!is_subfield(ends[e], e && s->kind == LEARN_LOAD)) {
                return error_set(EINVAL, "op learn: bad field");
            }
        }
        if (s->kind > LEARN_OUTPUT) {
            return error_set(EINVAL, "op learn: bad specification");
        }
    }
    return 0;
}

static int
check(const uint8_t *ops, uint32_t size, unsigned depth)
{
    /* Sizes of the fixed parts. */
#define FIXED(NAME, NAME2) [OP_##NAME] = sizeof(struct op_##NAME2)
    static const uint16_t fixed[N_OPS] = {
        FIXED(OUTPUT, output), FIXED(OUTPUT_REG, output_reg),
        FIXED(OUTPUT_TRUNC, output_trunc), FIXED(CONTROLLER, controller),
        FIXED(ENQUEUE, enqueue), FIXED(SET_QUEUE, set_queue),
        FIXED(POP_QUEUE, pop_queue), FIXED(SET_FIELD, set_field),
        FIXED(MOVE, move), FIXED(PUSH, push), FIXED(POP, pop),
        FIXED(PUSH_VLAN, push_vlan), FIXED(POP_VLAN, pop_vlan),
        FIXED(SET_VLAN_VID, set_vlan_vid), FIXED(SET_VLAN_PCP, set_vlan_pcp),
        FIXED(PUSH_MPLS, push_mpls), FIXED(POP_MPLS, pop_mpls),
        FIXED(DEC_MPLS_TTL, dec_mpls_ttl), FIXED(DEC_TTL, dec_ttl),
        FIXED(RESUBMIT, resubmit), FIXED(GOTO_TABLE, goto_table),
        FIXED(GROUP, group), FIXED(LEARN, learn),
        FIXED(CONJUNCTION, conjunction), FIXED(CT, ct),
        FIXED(CT_CLEAR, ct_clear), FIXED(NAT, nat),
        FIXED(CLONE, clone), FIXED(EXIT, exit), FIXED(NOTE, note),
        FIXED(FIN_TIMEOUT, fin_timeout),
        FIXED(CHECK_PKT_LARGER, check_pkt_larger),
        FIXED(WRITE_ACTIONS, write_actions),
        FIXED(CLEAR_ACTIONS, clear_actions), FIXED(METER, meter),
        FIXED(SAMPLE, sample), FIXED(BUNDLE, bundle),
        FIXED(MULTIPATH, multipath), FIXED(DELETE_FIELD, delete_field),
        FIXED(ENCAP, encap), FIXED(DECAP, decap),
        FIXED(DEC_NSH_TTL, dec_nsh_ttl),
        FIXED(UNROLL, unroll), FIXED(DEBUG_RECIRC, debug_recirc),
        FIXED(DEBUG_SLOW, debug_slow),
    };
#undef FIXED
    uint32_t at = 0;

    if (depth > MAX_NESTING) {
        return error_set(EINVAL, "ops are nested too deep");
    }
    if (size > UINT16_MAX * 16) {
        return error_set(EINVAL, "program is too long");
    }
    while (at < size) {
        const struct op *op = (const void *) (ops + at);
        int error = 0;

        if (size - at < sizeof *op || op->size < sizeof *op || op->size % 8
            || op->size > size - at) {
            return error_set(EINVAL, "op with a wrong size");
        }
        if (!op->code || op->code >= N_OPS) {
            return error_set(EINVAL, "no op %u", op->code);
        }
        if (!fixed[op->code]) {
            return error_set(EOPNOTSUPP, "%s is not supported",
                             op_names[op->code]);
        }
        if (op->size < fixed[op->code]) {
            return bad(op, "too short");
        }
        switch (op->code) {
        case OP_OUTPUT_REG:
            error = check_subfield(
                op, &((const struct op_output_reg *) op)->src, false);
            break;
        case OP_CONTROLLER: {
            const struct op_controller *o = (const void *) op;
            if (o->n > op->size - sizeof *o) {
                return bad(op, "userdata too long");
            }
            break;
        }
        case OP_SET_FIELD:
            error = check_field(op, ((const struct op_set_field *) op)->field,
                                true);
            break;
        case OP_MOVE: {
            const struct op_move *o = (const void *) op;
            error = check_subfield(op, &o->src, false);
            error = error ? error : check_subfield(op, &o->dst, true);
            if (!error && o->src.n_bits != o->dst.n_bits) {
                return bad(op, "widths differ");
            }
            break;
        }
        case OP_PUSH:
            error = check_subfield(op, &((const struct op_push *) op)->src,
                                   false);
            break;
        case OP_POP:
            error = check_subfield(op, &((const struct op_pop *) op)->dst,
                                   true);
            break;
        case OP_CHECK_PKT_LARGER:
            error = check_subfield(
                op, &((const struct op_check_pkt_larger *) op)->dst, true);
            break;
        case OP_DEC_TTL: {
            const struct op_dec_ttl *o = (const void *) op;
            if (o->n > (op->size - sizeof *o) / sizeof *o->tail) {
                return bad(op, "too few controller ids");
            }
            break;
        }
        case OP_GOTO_TABLE:
            if (((const struct op_goto_table *) op)->table >= N_TABLES) {
                return bad(op, "no such table");
            }
            break;
        case OP_CONJUNCTION: {
            const struct op_conjunction *o = (const void *) op;
            if (o->n_clauses < 2 || o->n_clauses > 64
                || o->clause >= o->n_clauses) {
                return bad(op, "no such clause");
            }
            break;
        }
        case OP_CT: {
            const struct op_ct *o = (const void *) op;
            if (o->zone_src.n_bits) {
                error = check_subfield(op, &o->zone_src, false);
            }
            break;
        }
        case OP_MULTIPATH:
            error = check_subfield(
                op, &((const struct op_multipath *) op)->dst, true);
            break;
        case OP_BUNDLE: {
            const struct op_bundle *o = (const void *) op;
            if (o->n > (op->size - sizeof *o) / sizeof *o->tail) {
                return bad(op, "too few members");
            }
            if (o->dst.n_bits) {
                error = check_subfield(op, &o->dst, true);
            }
            break;
        }
        case OP_DELETE_FIELD: {
            uint16_t id = ((const struct op_delete_field *) op)->field;
            if (id >= N_FIELDS || !fields[id].name) {
                return bad(op, "no such field");
            }
            break;
        }
        case OP_ENCAP:
            error = check_encap((const void *) op);
            break;
        case OP_LEARN:
            error = check_learn((const void *) op);
            break;
        }
        const void *tail = op_tail(op);
        if (!error && tail) {
            error = check(tail, op_tail_size(op, tail), depth + 1);
        }
        if (error) {
            return error;
        }
        at += op->size;
    }
    return 0;
}

int
program_verify(const uint8_t *ops, uint32_t size, bool nested)
{
    return check(ops, size, nested);
}
