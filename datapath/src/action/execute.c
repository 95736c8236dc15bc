/* execute.c: see execute.h. */
#include "action/execute.h"

#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/header.h"

static uint32_t
random_u32(struct executor *e)
{
    uint64_t x = e->random ? e->random : UINT64_C(0x9e3779b97f4a7c15);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    e->random = x;
    return x >> 32;
}

static void
output(struct executor *e, struct packet *p, uint32_t port)
{
    if (UNLIKELY(p->cut)) {
        /* What cuts a frame ends its offload state. */
        if (p->csum_partial) {
            if (!packet_own(p, e->arena, 0)) {
                e->drop(e, p, DROP_TX_ERROR);
                return;
            }
            packet_complete(p);
        }
        p->gso_type = GSO_NONE;
        p->size -= MIN(p->size, p->cut);
    }
    p->cut = 0;
    e->output(e, p, port);
}

static void
push_nsh(struct packet *p, const struct action_push_nsh *a)
{
    uint32_t size = NSH_HEADER + a->n_metadata;
    edit_insert(p, 0, size);
    uint8_t *h = p->data;
    put_be16(h, be16_from((a->flags & 3) << 12 | (a->ttl & 0x3f) << 6
                          | size / 4));
    h[2] = a->mdtype;
    h[3] = a->np;
    put_be32(h + 4, a->path);
    memcpy(h + 8, a->metadata, a->n_metadata);
    p->packet_type = be32_from(UINT32_C(1) << 16 | ETH_TYPE_NSH);
    p->l25_ofs = p->l4_ofs = OFFSET_NONE;
    p->l3_ofs = 0;
}

/* RFC 8300: next protocol 1 IPv4, 2 IPv6, 3 Ethernet, 4 NSH, 5 MPLS. */
static bool
pop_nsh(struct packet *p)
{
    static const uint16_t types[] = {
        [1] = ETH_TYPE_IPV4, [2] = ETH_TYPE_IPV6, [4] = ETH_TYPE_NSH,
        [5] = ETH_TYPE_MPLS,
    };
    if (p->packet_type != be32_from(UINT32_C(1) << 16 | ETH_TYPE_NSH)
        || p->size < NSH_HEADER) {
        return false;
    }
    uint32_t size = (be16_to(get_be16(p->data)) & 0x3f) * 4;
    uint8_t np = p->data[3];
    if (size < NSH_HEADER || size > p->size) {
        return false;
    }
    if (np == 3) {
        p->packet_type = 0;
    } else if (np < N_ELEMENTS(types) && types[np]) {
        p->packet_type = be32_from(UINT32_C(1) << 16 | types[np]);
    } else {
        return false;
    }
    p->l25_ofs = p->l3_ofs = p->l4_ofs = OFFSET_NONE;
    edit_remove(p, 0, size);
    return true;
}

/* Runs nested actions on '*p' itself where 'is_last', else on a copy. */
static void
nested(struct executor *e, struct packet *p, const void *actions,
       uint32_t size, bool is_last)
{
    if (is_last) {
        actions_execute(e, p, actions, size);
    } else {
        p->shared = true;
        struct packet copy = *p;
        actions_execute(e, &copy, actions, size);
    }
}

void
actions_execute(struct executor *e, struct packet *p, const uint8_t *actions,
                uint32_t size)
{
    enum drop_reason failed = DROP_UNSUPPORTED;

    if (!size) {
        e->drop(e, p, DROP_RULE);
        return;
    }
    ACTIONS_FOR_EACH (a, actions, size) {
        const uint8_t *next = (const uint8_t *) a + a->size;
        bool is_last = next >= actions + size;

        switch ((enum action_type) a->type) {
        case ACTION_OUTPUT: {
            const struct action_output *out = (const void *) a;
            if (is_last) {
                output(e, p, out->port);
                return;
            }
            p->shared = true;
            struct packet copy = *p;
            output(e, &copy, out->port);
            p->cut = 0;
            break;
        }

        case ACTION_USERSPACE:
            e->userspace(e, p, (const void *) a, actions, size);
            p->cut = 0;
            break;

        case ACTION_SET:
            if (!packet_own(p, e->arena, 0)
                || !action_set_execute(p, (const void *) a)) {
                goto drop;
            }
            break;

        case ACTION_PUSH_VLAN: {
            const struct action_push_vlan *push = (const void *) a;
            if (!packet_own(p, e->arena, VLAN_HEADER)) {
                goto drop;
            }
            edit_push_vlan(p, push->tpid, push->tci);
            break;
        }

        case ACTION_POP_VLAN:
            if (!packet_own(p, e->arena, 0)) {
                goto drop;
            }
            edit_pop_vlan(p);
            break;

        case ACTION_SAMPLE: {
            const struct action_sample *sample = (const void *) a;
            uint32_t n = a->size - sizeof *sample;
            if (n && (sample->probability == UINT32_MAX
                      || random_u32(e) < sample->probability)) {
                nested(e, p, sample->nested, n, is_last);
            }
            if (is_last) {
                return;
            }
            break;
        }

        case ACTION_RECIRC: {
            const struct action_recirc *recirc = (const void *) a;
            if (is_last) {
                p->recirc_id = recirc->id;
                e->recirculate(e, p);
                return;
            }
            p->shared = true;
            struct packet copy = *p;
            copy.recirc_id = recirc->id;
            e->recirculate(e, &copy);
            break;
        }

        case ACTION_HASH: {
            const struct action_hash *hash = (const void *) a;
            p->dp_hash = packet_hash_l4(p, hash->algorithm == HASH_SYM_L4,
                                        hash->basis);
            break;
        }

        case ACTION_PUSH_MPLS: {
            const struct action_push_mpls *push = (const void *) a;
            if (!packet_own(p, e->arena, MPLS_HEADER)) {
                goto drop;
            }
            edit_push_mpls(p, push->eth_type, push->lse);
            break;
        }

        case ACTION_ADD_MPLS: {
            const struct action_push_mpls *push = (const void *) a;
            if (!packet_own(p, e->arena, MPLS_HEADER)) {
                goto drop;
            }
            edit_add_mpls(p, push->eth_type, push->lse, !(push->flags & 1));
            break;
        }

        case ACTION_POP_MPLS: {
            const struct action_pop_mpls *pop = (const void *) a;
            if (!packet_own(p, e->arena, 0)) {
                goto drop;
            }
            edit_pop_mpls(p, pop->eth_type);
            break;
        }

        case ACTION_TRUNC: {
            const struct action_trunc *trunc = (const void *) a;
            p->cut = p->size - MIN(p->size, trunc->max_len);
            break;
        }

        case ACTION_PUSH_ETH: {
            const struct action_push_eth *push = (const void *) a;
            if (!packet_own(p, e->arena, ETH_HEADER)) {
                goto drop;
            }
            edit_push_eth(p, push->dst, push->src);
            break;
        }

        case ACTION_POP_ETH:
            if (!packet_own(p, e->arena, 0)) {
                goto drop;
            }
            edit_pop_eth(p);
            break;

        case ACTION_CT_CLEAR:
            p->ct = NULL;
            break;

        case ACTION_PUSH_NSH: {
            const struct action_push_nsh *push = (const void *) a;
            if (!packet_own(p, e->arena, NSH_HEADER + push->n_metadata)) {
                goto drop;
            }
            push_nsh(p, push);
            break;
        }

        case ACTION_POP_NSH:
            if (!packet_own(p, e->arena, 0) || !pop_nsh(p)) {
                failed = DROP_NSH_DECAP;
                goto drop;
            }
            break;

        case ACTION_METER: {
            const struct action_meter *meter = (const void *) a;
            if (!e->meter(e, p, meter->id)) {
                failed = DROP_METER;
                goto drop;
            }
            break;
        }

        case ACTION_CLONE: {
            const struct action_clone *clone = (const void *) a;
            uint32_t n = a->size - sizeof *clone;
            if (n) {
                nested(e, p, clone->nested, n, is_last);
            }
            if (is_last) {
                return;
            }
            break;
        }

        case ACTION_CHECK_LEN: {
            const struct action_check_len *check = (const void *) a;
            const uint8_t *branch = (const uint8_t *) check->nested;
            uint32_t n = check->greater_size;
            if (packet_segment_size(p) <= check->length) {
                branch += n;
                n = a->size - sizeof *check - n;
            }
            if (n) {
                nested(e, p, branch, n, is_last);
            } else if (is_last) {
                e->drop(e, p, DROP_RULE);
            }
            if (is_last) {
                return;
            }
            break;
        }

        case ACTION_DEC_TTL: {
            const struct action_dec_ttl *dec = (const void *) a;
            if (!packet_own(p, e->arena, 0)) {
                goto drop;
            }
            if (!action_dec_ttl_execute(p)) {
                uint32_t n = a->size - sizeof *dec;
                actions_execute(e, p, (const uint8_t *) dec->nested, n);
                return;
            }
            break;
        }

        case ACTION_DROP: {
            const struct action_drop *drop = (const void *) a;
            failed = drop->reason && drop->reason < N_DROPS
                     ? drop->reason : DROP_RULE;
            goto drop;
        }

        case ACTION_CT:         /* XXX conntrack. */
        case ACTION_PSAMPLE:
        case ACTION_TNL_PUSH:   /* XXX tunnels. */
        case ACTION_TNL_POP:
        case ACTION_LB_OUTPUT:
        case N_ACTION_TYPES:
            goto drop;
        }
    }
    return;

drop:
    e->drop(e, p, failed);
}
