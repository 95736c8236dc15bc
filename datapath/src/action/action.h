/* action.h: how datapath actions are encoded.
 *
 * A list of actions is a run of records.  Each starts with the 4-byte head
 * {u16 type, u16 size}; 'size' counts the whole record, nested actions and
 * padding included, and is a multiple of 8, so every record starts 8-aligned.
 * Types are numbered as in facts of the kernel's ABI (OVS_ACTION_ATTR_*), keys
 * of set as OVS_KEY_ATTR_*.  Numbers are in host byte order except those of C
 * type be16 and be32, which are as on the wire.  Padding is zero: two equal
 * lists are equal bytes.
 *
 * The fixed part of each record is the struct below with its name.  Tails:
 *   userspace   'n_data' bytes
 *   set         a key struct with values and one with masks, each
 *               ROUND_UP(KEY size, 8) bytes ('key_size' is the KEY size)
 *   sample, clone, dec_ttl      nested actions until 'size'
 *   check_len   'greater_size' bytes of nested actions for frames longer than
 *               'length', then those for the others
 *   push_nsh    'n_metadata' bytes
 *   tnl_push    'header_size' bytes
 * An empty list, or ACTION_DROP, drops.
 *
 * The translator writes lists with actions_put() and actions_begin();
 * actions_execute() (execute.h) runs them; datapath/text.py renders them.
 * Any thread. */
#pragma once

#include "base/base.h"
#include "base/buffer.h"

enum action_type {
    ACTION_OUTPUT = 1,
    ACTION_USERSPACE = 2,
    ACTION_PUSH_VLAN = 4,
    ACTION_POP_VLAN = 5,
    ACTION_SAMPLE = 6,
    ACTION_RECIRC = 7,
    ACTION_HASH = 8,
    ACTION_PUSH_MPLS = 9,
    ACTION_POP_MPLS = 10,
    ACTION_SET = 11,            /* Always with mask; 3 (without) is unused. */
    ACTION_CT = 12,
    ACTION_TRUNC = 13,
    ACTION_PUSH_ETH = 14,
    ACTION_POP_ETH = 15,
    ACTION_CT_CLEAR = 16,
    ACTION_PUSH_NSH = 17,
    ACTION_POP_NSH = 18,
    ACTION_METER = 19,
    ACTION_CLONE = 20,
    ACTION_CHECK_LEN = 21,
    ACTION_ADD_MPLS = 22,
    ACTION_DEC_TTL = 23,
    ACTION_DROP = 24,
    ACTION_PSAMPLE = 25,
    ACTION_TNL_PUSH = 26,
    ACTION_TNL_POP = 27,
    ACTION_LB_OUTPUT = 28,
    N_ACTION_TYPES
};

struct action {                 /* Head; also pop_vlan, pop_eth, ct_clear,
                                 * pop_nsh, with 4 bytes of padding. */
    uint16_t type;              /* enum action_type. */
    uint16_t size;              /* Whole record, a multiple of 8. */
};

struct action_output { struct action head; uint32_t port; };

/* What a frame is sent to userspace for. */
enum userspace_kind {
    USERSPACE_RAW = 0,          /* userdata only. */
    USERSPACE_SLOW_PATH = 1,    /* 'reason': SLOW_* bits. */
    USERSPACE_CONTROLLER = 2,
    USERSPACE_SFLOW = 3,        /* 'vlan_tci', 'output'. */
    USERSPACE_FLOW_SAMPLE = 4,
    USERSPACE_IPFIX = 5,        /* 'output'. */
};
enum {                          /* 'flags' of action_userspace. */
    USERSPACE_DONT_SEND = 1,
    USERSPACE_CONTINUATION = 2,
    USERSPACE_ACTIONS = 4,      /* 'actions': list the flow's actions. */
    USERSPACE_TUNNEL_OUT = 8,   /* 'tunnel_out_port' is given. */
    USERSPACE_INGRESS = 16,     /* Of flow_sample. */
    USERSPACE_EGRESS = 32,
};

struct action_userspace {
    struct action head;
    uint8_t kind;               /* enum userspace_kind. */
    uint8_t flags;
    uint16_t reason;            /* SLOW_* or OpenFlow packet-in reason. */
    uint32_t pid;
    uint32_t tunnel_out_port;
    uint64_t cookie;            /* Controller: of the rule. */
    uint32_t recirc_id;         /* Controller: frozen state. */
    uint16_t controller_id;
    uint16_t max_len;
    uint32_t bridge;            /* Handle of the bridge it is sent for. */
    uint32_t ofp;               /* Its OpenFlow input port. */
    uint32_t probability;       /* Sample: of 65535. */
    uint32_t collector_set;
    uint32_t obs_domain, obs_point;
    uint32_t output;            /* sFlow output interface, output_port. */
    be16 vlan_tci;
    uint16_t n_data;            /* Bytes of userdata that follow. */
    uint64_t rule;              /* Controller: handle of the rule, or 0. */
    uint32_t table;             /* Controller: table id. */
    uint32_t pad;
    uint8_t data[];
};

struct action_push_vlan { struct action head; be16 tpid; be16 tci; };

struct action_sample {
    struct action head;
    uint32_t probability;       /* UINT32_MAX: always. */
    struct action nested[];
};

struct action_recirc { struct action head; uint32_t id; };

enum { HASH_L4 = 0, HASH_SYM_L4 = 1 };
struct action_hash {
    struct action head;
    uint32_t algorithm;         /* HASH_*. */
    uint32_t basis;
    uint32_t pad;
};

struct action_push_mpls {       /* And add_mpls. */
    struct action head;
    be16 eth_type;
    uint16_t flags;             /* add_mpls: bit 0 set: after the Ethernet
                                 * header, else in front of it. */
    be32 lse;
    uint32_t pad;
};

struct action_pop_mpls { struct action head; be16 eth_type; uint16_t pad; };

enum key_type {                 /* Attributes that set can write. */
    KEY_SKB_PRIORITY = 2,
    KEY_ETHERNET = 4,
    KEY_IPV4 = 7,
    KEY_IPV6 = 8,
    KEY_TCP = 9,
    KEY_UDP = 10,
    KEY_ICMP = 11,
    KEY_ICMPV6 = 12,
    KEY_ARP = 13,
    KEY_ND = 14,
    KEY_SKB_MARK = 15,
    KEY_TUNNEL = 16,
    KEY_SCTP = 17,
    KEY_MPLS = 21,
    KEY_NSH = 28,
    KEY_ND_EXT = 30,
};

struct action_set {
    struct action head;
    uint16_t key;               /* enum key_type. */
    uint16_t key_size;          /* sizeof of its struct. */
    uint8_t data[];             /* Values, then masks, each padded to 8. */
};

struct key_u32 { uint32_t value; };     /* skb_priority, skb_mark. */
struct key_ethernet { uint8_t src[6], dst[6]; };
struct key_ipv4 { be32 src, dst; uint8_t proto, tos, ttl, frag; };
struct key_ipv6 {
    uint8_t src[16], dst[16];
    be32 label;
    uint8_t proto, tclass, hlimit, frag;
};
struct key_ports { be16 src, dst; };    /* tcp, udp, sctp. */
struct key_icmp { uint8_t type, code; };        /* icmp, icmpv6. */
struct key_arp {
    be32 sip, tip;
    be16 op;
    uint8_t sha[6], tha[6];
    uint16_t pad;
};
struct key_nd { uint8_t target[16], sll[6], tll[6]; };
struct key_nd_ext { be32 reserved; uint8_t options_type, pad[3]; };
struct key_mpls { be32 lse; };          /* Outermost label. */
struct key_nsh {
    uint8_t flags, ttl, mdtype, np;
    be32 path;                          /* spi << 8 | si. */
    be32 c[4];
};
struct key_tunnel { uint8_t bytes[336]; };      /* Start of struct flow, up to
                                                 * 'metadata'. */

enum {                          /* 'flags' of action_ct. */
    CT_COMMIT = 1, CT_FORCE = 2, CT_NAT = 4, CT_NAT_SRC = 8, CT_NAT_DST = 16,
    CT_NAT_PERSISTENT = 32, CT_NAT_HASH = 64, CT_NAT_RANDOM = 128,
};
struct action_ct {
    struct action head;
    uint16_t flags;
    uint16_t zone;
    uint32_t mark, mark_mask;
    uint8_t label[16], label_mask[16];
    char helper[16];            /* "" : none. */
    char timeout[32];
    uint8_t family;             /* Of the NAT addresses: 0 none, 4, 6. */
    uint8_t pad[3];
    uint16_t port_min, port_max;
    uint8_t address_min[16], address_max[16];   /* IPv4: first 4 bytes. */
};

struct action_trunc { struct action head; uint32_t max_len; };
struct action_push_eth { struct action head; uint8_t dst[6], src[6]; };
struct action_push_nsh {
    struct action head;
    uint8_t flags, ttl, mdtype, np;
    be32 path;
    uint32_t n_metadata;        /* 16 with mdtype 1. */
    uint8_t metadata[];
};
struct action_meter { struct action head; uint32_t id; };
struct action_clone {
    struct action head;
    uint32_t pad;
    struct action nested[];
};
struct action_check_len {
    struct action head;
    uint16_t length;
    uint16_t pad;
    uint32_t greater_size;
    uint32_t pad1;
    struct action nested[];
};
struct action_dec_ttl {         /* Nested: for frames whose TTL is 1 or 0. */
    struct action head;
    uint32_t pad;
    struct action nested[];
};
struct action_drop { struct action head; uint32_t reason; };
struct action_psample {
    struct action head;
    uint32_t group;
    uint8_t cookie[16];
    uint32_t n_cookie, pad;
};
struct action_tnl_push {
    struct action head;
    uint32_t tnl_port, out_port;
    uint32_t tnl_type;          /* Kernel's number of the tunnel kind. */
    uint32_t header_size;
    uint32_t pad;
    uint8_t header[];
};
struct action_tnl_pop { struct action head; uint32_t port; };
struct action_lb_output { struct action head; uint32_t bond; };

_Static_assert(sizeof(struct action_userspace) % 8 == 0, "userspace");
_Static_assert(offsetof(struct action_set, data) == 8, "set");

/* A list under construction. */
struct actions {
    struct buffer buffer;
};

#define ACTIONS_EMPTY { { NULL, 0, 0 } }

static inline void
actions_clear(struct actions *list)
{
    list->buffer.size = 0;
}

static inline void
actions_destroy(struct actions *list)
{
    buffer_destroy(&list->buffer);
}

/* Appends a zeroed record of 'type' with 'size' bytes, rounded up to 8, and
 * returns it; it may move with the next append.  NULL where it would be too
 * long for the encoding. */
static inline void *
actions_put(struct actions *list, enum action_type type, uint32_t size)
{
    uint32_t padded = ROUND_UP(size, 8);
    if (padded > UINT16_MAX) {
        return NULL;
    }
    struct action *a = buffer_put_zeros(&list->buffer, padded);
    a->type = type;
    a->size = padded;
    return a;
}

/* Appends a record with nested actions; returns its offset for
 * actions_end(). */
static inline uint32_t
actions_begin(struct actions *list, enum action_type type, uint32_t size)
{
    uint32_t start = list->buffer.size;
    actions_put(list, type, size);
    return start;
}

/* Ends the record begun at 'start': all actions appended since are nested in
 * it.  Returns false where they are too many; then they are removed. */
static inline bool
actions_end(struct actions *list, uint32_t start)
{
    uint32_t size = list->buffer.size - start;
    if (size > UINT16_MAX) {
        list->buffer.size = start;
        return false;
    }
    struct action *a = (struct action *) (void *) (list->buffer.data + start);
    a->size = size;
    return true;
}

static inline void
actions_put_output(struct actions *list, uint32_t port)
{
    struct action_output *a = actions_put(list, ACTION_OUTPUT, sizeof *a);
    a->port = port;
}

/* Appends set of 'key' with 'value' under 'mask', 'key_size' bytes each. */
static inline void
actions_put_set(struct actions *list, enum key_type key, const void *value,
                const void *mask, uint32_t key_size)
{
    uint32_t padded = ROUND_UP(key_size, 8);
    struct action_set *a = actions_put(list, ACTION_SET,
                                       sizeof *a + 2 * padded);
    a->key = key;
    a->key_size = key_size;
    memcpy(a->data, value, key_size);
    memcpy(a->data + padded, mask, key_size);
}

/* Iterates over the records in 'size' bytes at 'actions'. */
#define ACTIONS_FOR_EACH(A, ACTIONS, SIZE)                              \
    for (const struct action *A = (const void *) (ACTIONS),             \
         *A##_end = (const void *) ((const char *) A + (SIZE));         \
         A < A##_end;                                                   \
         A = (const void *) ((const char *) A + A->size))

/* Checks an untrusted list: sizes, nesting, known types, key sizes.  Returns 0
 * or EINVAL with a sentence. */
int actions_verify(const uint8_t *actions, uint32_t size);
