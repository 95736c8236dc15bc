/* fuzz_packet.c: hostile frames through the parsers, edits, segmenter and
 * executor.  Arguments: number of frames, seed.  Aborts on a broken promise;
 * run under sanitizers for the rest.  Prints the peak of memory in kB.
 *
 * Frames are made from well-formed ones by random changes and lie at the end
 * of a heap block of exactly their size, so that any byte read behind one
 * shows. */
#include <stdio.h>
#include <sys/resource.h>

#include "action/execute.h"
#include "base/hash.h"
#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/flow.h"
#include "packet/header.h"

static uint64_t state;

static uint32_t
roll(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 32) % n;
}

#define CHECK(CONDITION)                                                \
    do {                                                                \
        if (!(CONDITION)) {                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,          \
                    #CONDITION);                                        \
            abort();                                                    \
        }                                                               \
    } while (0)

static void
random_bytes(void *p_, uint32_t n)
{
    uint8_t *p = p_;
    while (n--) {
        *p++ = roll(256);
    }
}

/* Makes a random flow such as a frame may have. */
static void
random_flow(struct flow *flow)
{
    static const uint16_t types[] = {
        ETH_TYPE_IPV4, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_IPV6,
        ETH_TYPE_ARP, ETH_TYPE_RARP, ETH_TYPE_MPLS, ETH_TYPE_NSH, 0x88cc,
        ETH_TYPE_NONE, 0x1234,
    };
    static const uint8_t protos[] = {
        PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_ICMP, PROTO_IGMP,
        PROTO_ICMPV6, 47,
    };
    memset(flow, 0, sizeof *flow);
    random_bytes(flow->eth_dst, 12);
    flow->eth_type = be16_from(types[roll(N_ELEMENTS(types))]);
    if (!roll(3)) {
        flow->vlan0_tpid = be16_from(roll(2) ? 0x8100 : 0x88a8);
        flow->vlan0_tci = be16_from(roll(65536) | VLAN_PRESENT);
        if (!roll(2)) {
            flow->vlan1_tpid = be16_from(0x8100);
            flow->vlan1_tci = be16_from(roll(65536) | VLAN_PRESENT);
        }
    }
    switch (be16_to(flow->eth_type)) {
    case ETH_TYPE_IPV6:
        random_bytes(flow->ipv6_src, 32);
        flow->ipv6_label = be32_from(roll(1 << 20));
        break;
    case ETH_TYPE_MPLS:
        flow->mpls_lse[0] = be32_from((roll(1 << 20) << 12) | roll(256)
                                      | 0x100);
        return;
    case ETH_TYPE_NSH:
        flow->nsh_mdtype = 1 + roll(2);
        flow->nsh_ttl = roll(64);
        flow->nsh_np = 1 + roll(3);
        random_bytes(&flow->nsh_path, 4);
        if (flow->nsh_mdtype == 1) {
            random_bytes(flow->nsh_c, 16);
        }
        return;
    case ETH_TYPE_IPV4:
        random_bytes(&flow->nw_src, 8);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        random_bytes(&flow->nw_src, 8);
        flow->nw_proto = 1 + roll(4);
        random_bytes(flow->arp_sha, 12);
        return;
    default:
        return;
    }
    flow->nw_tos = roll(256);
    flow->nw_ttl = roll(256);
    flow->nw_proto = protos[roll(N_ELEMENTS(protos))];
    if (!roll(8)) {
        flow->nw_frag = roll(2) ? FRAG_ANY : FRAG_ANY | FRAG_LATER;
        if (flow->nw_frag & FRAG_LATER
            && flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
            flow->nw_proto = PROTO_FRAGMENT;
        }
    }
    if (flow->nw_frag & FRAG_LATER) {
        return;
    }
    bool ipv6 = flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);
    switch (flow->nw_proto) {
    case PROTO_TCP:
        flow->tcp_flags = be16_from(roll(4096));
        /* Falls through. */
    case PROTO_UDP:
    case PROTO_SCTP:
        random_bytes(&flow->tp_src, 4);
        break;
    case PROTO_ICMP:
    case PROTO_IGMP:
        if (!ipv6) {
            flow->tp_src = be16_from(roll(256));
            flow->tp_dst = be16_from(roll(256));
            if (flow->nw_proto == PROTO_IGMP) {
                random_bytes(&flow->igmp_group, 4);
            }
        }
        break;
    case PROTO_ICMPV6:
        if (ipv6) {
            flow->tp_src = be16_from(roll(2) ? ND_SOLICIT + roll(2)
                                     : roll(256));
            if (roll(2)) {
                flow->tp_dst = be16_from(roll(256));
            }
            if (!flow->tp_dst && (flow->tp_src == be16_from(ND_SOLICIT)
                                  || flow->tp_src == be16_from(ND_ADVERT))) {
                random_bytes(&flow->nd_reserved, 4);
                random_bytes(flow->nd_target, 16);
                if (roll(2)) {
                    random_bytes(flow->arp_sha, 6);
                    flow->arp_sha[0] |= 1;
                    flow->nd_options_type = ND_SLL;
                }
                if (roll(2)) {
                    random_bytes(flow->arp_tha, 6);
                    flow->arp_tha[0] |= 1;
                    if (!flow->nd_options_type || roll(2)) {
                        flow->nd_options_type = ND_TLL;
                    }
                }
            }
        }
        break;
    }
}

static void
check_parsers_agree(struct packet *p)
{
    struct packet copy = *p;
    struct key key, projected;
    struct flow flow, expanded;

    flow_extract(p, &flow);
    if (key_extract(&copy, &key)) {
        key_expand(&key, &expanded);
        CHECK(!memcmp(&flow, &expanded, sizeof flow));
        CHECK(key_project(&flow, &projected));
        CHECK(!memcmp(&key, &projected, sizeof key));
        CHECK(copy.l3_ofs == p->l3_ofs && copy.l4_ofs == p->l4_ofs
              && copy.l25_ofs == p->l25_ofs);
    }
}

/* The transport checksum of a well-formed frame must hold. */
static void
check_checksums(const struct packet *p)
{
    struct packet copy = *p;
    uint8_t *frame = xmemdup(p->data, p->size);
    copy.data = frame;
    checksum_transport(&copy);
    if (packet_network(&copy) == NETWORK_IPV4) {
        uint8_t *ip = frame + copy.l3_ofs;
        checksum_ipv4_header(ip, (ip[0] & 15) * 4);
    }
    CHECK(!memcmp(frame, p->data, p->size));
    free(frame);
}

static uint64_t n_out, n_dropped;

static void
on_output(struct executor *e, struct packet *p, uint32_t port)
{
    (void) e;
    (void) port;
    n_out++;
    struct flow flow;
    flow_extract(p, &flow);
}

static void
on_drop(struct executor *e, struct packet *p, enum drop_reason reason)
{
    (void) e;
    (void) p;
    CHECK(reason && reason < N_DROPS);
    n_dropped++;
}

static void
on_recirculate(struct executor *e, struct packet *p)
{
    on_output(e, p, 0);
}

static void
on_userspace(struct executor *e, struct packet *p,
             const struct action_userspace *a, const uint8_t *actions,
             uint32_t size)
{
    (void) a;
    (void) actions;
    (void) size;
    struct packet copy = *p;
    on_output(e, &copy, 0);
}

static bool
on_meter(struct executor *e, struct packet *p, uint32_t id)
{
    (void) e;
    (void) p;
    return id % 2;
}

static struct arena arena;
static struct executor executor = {
    .arena = &arena, .random = 1, .output = on_output,
    .recirculate = on_recirculate, .userspace = on_userspace,
    .meter = on_meter, .drop = on_drop,
};

/* Appends a random set; true: it changes nothing that a checksum does not
 * follow. */
static void
put_random_set(struct actions *list)
{
    static const struct { uint16_t key, size; } keys[] = {
        { KEY_SKB_PRIORITY, 4 }, { KEY_ETHERNET, 12 }, { KEY_IPV4, 12 },
        { KEY_IPV6, 40 }, { KEY_TCP, 4 }, { KEY_UDP, 4 }, { KEY_ICMP, 2 },
        { KEY_ICMPV6, 2 }, { KEY_ARP, 24 }, { KEY_ND, 28 },
        { KEY_SKB_MARK, 4 }, { KEY_SCTP, 4 }, { KEY_MPLS, 4 },
        { KEY_NSH, 24 }, { KEY_ND_EXT, 8 },
    };
    uint32_t i = roll(N_ELEMENTS(keys));
    uint8_t value[64], mask[64];
    random_bytes(value, sizeof value);
    random_bytes(mask, sizeof mask);
    if (roll(2)) {
        memset(mask, 0xff, sizeof mask);
    }
    actions_put_set(list, keys[i].key, value, mask, keys[i].size);
}

static void
put_random_action(struct actions *list, uint32_t depth)
{
    uint32_t type = 1 + roll(N_ACTION_TYPES - 1), start;
    if (depth > 3 || roll(2)) {
        put_random_set(list);
        return;
    }
    switch (type) {
    case ACTION_OUTPUT:
        actions_put_output(list, roll(10));
        break;
    case ACTION_USERSPACE:
        actions_put(list, type, sizeof(struct action_userspace));
        break;
    case ACTION_PUSH_VLAN: {
        struct action_push_vlan *a = actions_put(list, type, sizeof *a);
        a->tpid = be16_from(0x8100);
        a->tci = be16_from(roll(65536));
        break;
    }
    case ACTION_SAMPLE:
    case ACTION_CLONE:
    case ACTION_DEC_TTL:
        start = actions_begin(list, type, 8);
        for (uint32_t n = roll(4); n; n--) {
            put_random_action(list, depth + 1);
        }
        actions_end(list, start);
        break;
    case ACTION_CHECK_LEN: {
        start = actions_begin(list, type, sizeof(struct action_check_len));
        put_random_action(list, depth + 1);
        uint32_t greater = list->buffer.size - start
                           - sizeof(struct action_check_len);
        put_random_action(list, depth + 1);
        actions_end(list, start);
        struct action_check_len *a
            = (void *) (list->buffer.data + start);
        a->length = roll(200);
        a->greater_size = greater;
        break;
    }
    case ACTION_TRUNC: {
        struct action_trunc *a = actions_put(list, type, sizeof *a);
        a->max_len = 14 + roll(100);
        break;
    }
    case ACTION_PUSH_MPLS:
    case ACTION_ADD_MPLS: {
        struct action_push_mpls *a = actions_put(list, type, sizeof *a);
        a->eth_type = be16_from(ETH_TYPE_MPLS);
        a->lse = be32_from(roll(1 << 30));
        a->flags = roll(2);
        break;
    }
    case ACTION_POP_MPLS: {
        struct action_pop_mpls *a = actions_put(list, type, sizeof *a);
        a->eth_type = be16_from(roll(2) ? ETH_TYPE_IPV4 : ETH_TYPE_MPLS);
        break;
    }
    case ACTION_PUSH_ETH:
        actions_put(list, type, sizeof(struct action_push_eth));
        break;
    case ACTION_PUSH_NSH: {
        struct action_push_nsh *a = actions_put(list, type, sizeof *a + 16);
        a->mdtype = 1;
        a->np = 1 + roll(4);
        a->n_metadata = 16;
        break;
    }
    case ACTION_RECIRC:
    case ACTION_METER:
    case ACTION_POP_VLAN:
    case ACTION_POP_ETH:
    case ACTION_CT_CLEAR:
    case ACTION_POP_NSH: {
        struct action_meter *a = actions_put(list, type, 8);
        a->id = roll(4) ? 1 : 0;
        break;
    }
    case ACTION_HASH:
        actions_put(list, type, sizeof(struct action_hash));
        break;
    default:
        put_random_set(list);
    }
}

static void
run_actions(const struct packet *original)
{
    struct actions list = ACTIONS_EMPTY;
    struct packet p = *original;
    uint32_t n = 1 + roll(6);

    while (n--) {
        put_random_action(&list, 0);
    }
    CHECK(!actions_verify(list.buffer.data, list.buffer.size));
    p.shared = roll(2);
    if (!p.shared) {
        p.shared = true;        /* A frame of its own, without headroom. */
        packet_own(&p, &arena, 0);
    }
    actions_execute(&executor, &p, list.buffer.data, list.buffer.size);

    /* Damaged lists must be refused or harmless. */
    if (list.buffer.size && !roll(4)) {
        list.buffer.data[roll(list.buffer.size)] ^= 1 << roll(8);
        if (!actions_verify(list.buffer.data, list.buffer.size)) {
            p = *original;
            p.shared = true;
            actions_execute(&executor, &p, list.buffer.data,
                            list.buffer.size);
        }
    }
    actions_destroy(&list);
}

static struct packet kept;      /* What on_keep() was given last. */

static void
on_keep(struct executor *e, struct packet *p, uint32_t port)
{
    (void) e;
    (void) port;
    kept = *p;
}

/* A change of a frame whose checksum is partial, completed afterwards, must
 * give what the same change of the complete frame gives. */
static void
run_partial(const struct packet *whole)
{
    uint8_t *checksum;
    struct packet partial = *whole, complete = *whole;
    int proto = packet_transport(whole, &checksum);
    struct executor keeper = executor;
    struct actions list = ACTIONS_EMPTY;

    if ((proto != PROTO_TCP && proto != PROTO_UDP) || !checksum) {
        return;
    }
    keeper.output = on_keep;
    partial.shared = complete.shared = true;
    CHECK(packet_own(&partial, &arena, 0) && packet_own(&complete, &arena, 0));
    partial.csum_partial = true;
    partial.csum_start = partial.l4_ofs;
    partial.csum_offset = proto == PROTO_TCP ? 16 : 6;
    uint8_t *ip = partial.data + partial.l3_ofs;
    uint32_t size = (packet_network(&partial) == NETWORK_IPV6
                     ? IPV6_HEADER + be16_to(get_be16(ip + 4))
                     : be16_to(get_be16(ip + 2)));
    put_be16(partial.data + partial.csum_start + partial.csum_offset,
             checksum_fold(checksum_pseudo(
                 ip, packet_network(&partial) == NETWORK_IPV6, proto,
                 size - (partial.l4_ofs - partial.l3_ofs))));

    for (uint32_t n = 1 + roll(3); n; n--) {
        put_random_set(&list);
        if (!roll(4)) {
            struct action_push_vlan *a
                = actions_put(&list, ACTION_PUSH_VLAN, sizeof *a);
            a->tpid = be16_from(0x8100);
        }
    }
    actions_put_output(&list, 1);
    actions_execute(&keeper, &partial, list.buffer.data, list.buffer.size);
    partial = kept;
    packet_complete(&partial);
    actions_execute(&keeper, &complete, list.buffer.data, list.buffer.size);
    CHECK(partial.size == kept.size);
    CHECK(!memcmp(partial.data, kept.data, kept.size));
    actions_destroy(&list);
}

static void
run_segments(struct packet *p)
{
    struct segmenter s;
    struct packet segment;
    uint32_t payload = 0;

    p->gso_size = 1 + roll(200);
    p->gso_type = roll(6);
    if (segmenter_init(&s, p)) {
        uint32_t total = s.payload_size;
        while (segmenter_next(&s, &arena, &segment)) {
            CHECK(segment.size <= s.header_size + p->gso_size);
            payload += segment.size - s.header_size;
            check_checksums(&segment);
        }
        CHECK(payload == total);
    }
    CHECK(packet_segment_size(p) <= p->size);
    CHECK(packet_l3_size(p) <= p->size);
    p->gso_type = GSO_NONE;
}

static void
one(uint64_t number)
{
    uint8_t made[512];
    struct flow flow, parsed;
    struct packet p;

    flow_set_vlan_limit(2);
    random_flow(&flow);
    uint32_t payload = roll(80);
    uint32_t size = frame_make(&flow, payload, true, made, sizeof made);
    CHECK(size);
    packet_init(&p, made, size, 0, 0);
    flow_extract(&p, &parsed);
    if (memcmp(&flow, &parsed, sizeof flow)) {
        for (uint32_t i = 0; i < FLOW_SIZE; i++) {
            if (((uint8_t *) &flow)[i] != ((uint8_t *) &parsed)[i]) {
                fprintf(stderr, "frame %llu byte %u: made %02x parsed %02x\n",
                        (unsigned long long) number, i,
                        ((uint8_t *) &flow)[i], ((uint8_t *) &parsed)[i]);
            }
        }
        abort();
    }
    check_parsers_agree(&p);
    if (!(flow.nw_frag & FRAG_ANY)) {
        if (flow.nw_proto == PROTO_SCTP) {
            checksum_transport(&p);     /* frame_make() leaves it at 0. */
        }
        check_checksums(&p);
        run_partial(&p);
        run_segments(&p);
    }
    run_actions(&p);

    /* Now hostile: bits flipped, cut off. */
    for (uint32_t n = roll(6); n; n--) {
        made[roll(MIN(size, 90))] ^= 1 << roll(8);
    }
    size = roll(3) ? size : roll(size + 1);
    uint8_t *block = xmalloc(size);
    memcpy(block, made, size);
    packet_init(&p, block, size, 0, 0);
    flow_set_vlan_limit(1 + roll(2));
    if (!roll(10)) {
        p.packet_type = be32_from(UINT32_C(1) << 16 | 0x0800);
    }
    check_parsers_agree(&p);
    run_segments(&p);
    if (!roll(4)) {
        p.csum_partial = true;
        p.csum_start = roll(600);
        p.csum_offset = roll(20);
    }
    run_actions(&p);
    free(block);
    arena_reset(&arena);
}

int
main(int argc, char **argv)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
    state = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1)
            * UINT64_C(0x9e3779b97f4a7c15);
    struct rusage usage;
    long early = 0;

    for (uint64_t i = 0; i < n; i++) {
        one(i);
        if (i == n / 10) {
            getrusage(RUSAGE_SELF, &usage);
            early = usage.ru_maxrss;
        }
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%llu out, %llu dropped, %ld kB, %ld kB\n",
           (unsigned long long) n_out, (unsigned long long) n_dropped, early,
           usage.ru_maxrss);
    arena_destroy(&arena);
    return 0;
}
