/* verify.c: the check that lets all code after it trust a list of actions. */
#include "action/action.h"
#include "generated/flow.h"

_Static_assert(sizeof(struct key_tunnel) == offsetof(struct flow, metadata),
               "key_tunnel");

#define MAX_DEPTH 16

/* Bytes of the fixed part of each type, 0: unknown. */
static const uint16_t fixed_sizes[N_ACTION_TYPES] = {
    [ACTION_OUTPUT] = sizeof(struct action_output),
    [ACTION_USERSPACE] = sizeof(struct action_userspace),
    [ACTION_PUSH_VLAN] = sizeof(struct action_push_vlan),
    [ACTION_POP_VLAN] = 8,
    [ACTION_SAMPLE] = sizeof(struct action_sample),
    [ACTION_RECIRC] = sizeof(struct action_recirc),
    [ACTION_HASH] = sizeof(struct action_hash),
    [ACTION_PUSH_MPLS] = sizeof(struct action_push_mpls),
    [ACTION_POP_MPLS] = sizeof(struct action_pop_mpls),
    [ACTION_SET] = sizeof(struct action_set),
    [ACTION_CT] = sizeof(struct action_ct),
    [ACTION_TRUNC] = sizeof(struct action_trunc),
    [ACTION_PUSH_ETH] = sizeof(struct action_push_eth),
    [ACTION_POP_ETH] = 8,
    [ACTION_CT_CLEAR] = 8,
    [ACTION_PUSH_NSH] = sizeof(struct action_push_nsh),
    [ACTION_POP_NSH] = 8,
    [ACTION_METER] = sizeof(struct action_meter),
    [ACTION_CLONE] = sizeof(struct action_clone),
    [ACTION_CHECK_LEN] = sizeof(struct action_check_len),
    [ACTION_ADD_MPLS] = sizeof(struct action_push_mpls),
    [ACTION_DEC_TTL] = sizeof(struct action_dec_ttl),
    [ACTION_DROP] = sizeof(struct action_drop),
    [ACTION_PSAMPLE] = sizeof(struct action_psample),
    [ACTION_TNL_PUSH] = sizeof(struct action_tnl_push),
    [ACTION_TNL_POP] = sizeof(struct action_tnl_pop),
    [ACTION_LB_OUTPUT] = sizeof(struct action_lb_output),
};

static const uint16_t key_sizes[] = {
    [KEY_SKB_PRIORITY] = sizeof(struct key_u32),
    [KEY_ETHERNET] = sizeof(struct key_ethernet),
    [KEY_IPV4] = sizeof(struct key_ipv4),
    [KEY_IPV6] = sizeof(struct key_ipv6),
    [KEY_TCP] = sizeof(struct key_ports),
    [KEY_UDP] = sizeof(struct key_ports),
    [KEY_ICMP] = sizeof(struct key_icmp),
    [KEY_ICMPV6] = sizeof(struct key_icmp),
    [KEY_ARP] = sizeof(struct key_arp),
    [KEY_ND] = sizeof(struct key_nd),
    [KEY_SKB_MARK] = sizeof(struct key_u32),
    [KEY_TUNNEL] = sizeof(struct key_tunnel),
    [KEY_SCTP] = sizeof(struct key_ports),
    [KEY_MPLS] = sizeof(struct key_mpls),
    [KEY_NSH] = sizeof(struct key_nsh),
    [KEY_ND_EXT] = sizeof(struct key_nd_ext),
};

static int
verify_at(const uint8_t *p, uint32_t size, unsigned int depth)
{
    if (depth > MAX_DEPTH) {
        return error_set(EINVAL, "actions are nested too deeply");
    }
    while (size) {
        struct action head;
        if (size < 8) {
            return error_set(EINVAL, "action is cut off");
        }
        memcpy(&head, p, sizeof head);
        uint32_t fixed = (head.type < N_ACTION_TYPES
                          ? fixed_sizes[head.type] : 0);
        if (!fixed) {
            return error_set(EINVAL, "unknown action type %u", head.type);
        }
        if (head.size % 8 || head.size < fixed || head.size > size) {
            return error_set(EINVAL, "action type %u has bad size %u",
                             head.type, head.size);
        }

        uint32_t n_tail = 0;
        int error = 0;
        switch (head.type) {
        case ACTION_USERSPACE: {
            struct action_userspace a;
            memcpy(&a, p, sizeof a);
            n_tail = a.n_data;
            break;
        }
        case ACTION_SET: {
            struct action_set a;
            memcpy(&a, p, sizeof a);
            if (a.key >= N_ELEMENTS(key_sizes) || !key_sizes[a.key]
                || a.key_size != key_sizes[a.key]) {
                return error_set(EINVAL, "set of bad key %u with %u bytes",
                                 a.key, a.key_size);
            }
            n_tail = 2 * ROUND_UP(a.key_size, 8);
            break;
        }
        case ACTION_PUSH_NSH: {
            struct action_push_nsh a;
            memcpy(&a, p, sizeof a);
            n_tail = a.n_metadata;
            if (n_tail > 248 || n_tail % 4
                || (a.mdtype == 1 && n_tail != 16)) {
                return error_set(EINVAL, "push_nsh with %u bytes of metadata",
                                 n_tail);
            }
            break;
        }
        case ACTION_TNL_PUSH: {
            struct action_tnl_push a;
            memcpy(&a, p, sizeof a);
            n_tail = MIN(a.header_size, UINT16_MAX);
            break;
        }
        case ACTION_SAMPLE:
        case ACTION_CLONE:
        case ACTION_DEC_TTL:
            n_tail = head.size - fixed;
            error = verify_at(p + fixed, n_tail, depth + 1);
            break;
        case ACTION_CHECK_LEN: {
            struct action_check_len a;
            memcpy(&a, p, sizeof a);
            n_tail = head.size - fixed;
            if (a.greater_size > n_tail) {
                return error_set(EINVAL, "check_pkt_len is cut off");
            }
            error = verify_at(p + fixed, a.greater_size, depth + 1);
            if (!error) {
                error = verify_at(p + fixed + a.greater_size,
                                  n_tail - a.greater_size, depth + 1);
            }
            break;
        }
        default:
            break;
        }
        if (error) {
            return error;
        }
        if (fixed + n_tail > head.size) {
            return error_set(EINVAL, "action type %u is too short", head.type);
        }
        p += head.size;
        size -= head.size;
    }
    return 0;
}

int
actions_verify(const uint8_t *actions, uint32_t size)
{
    return verify_at(actions, size, 0);
}
