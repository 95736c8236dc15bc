/* state.h: the quick codec's own structures, shared by the files that make it
 * up: flow_mod.c, packet_out.c and talk.c (what peers say), plan.c,
 * flow_stats.c and packet_in.c (what they are told), quick.c (its life). */
#pragma once
#include "quick.h"
#include "api.h"
#include "base/base.h"
#include "generated/seam.h"
#include "plain.h"
#include "reading.h"
#include "terms.h"

#define OF10 1
#define OF12 3
#define OF13 4
#define OF14 5
#define OF15 6
#define NX_VENDOR 0x00002320
#define ONF_VENDOR 0x4f4e4600

#define MAX_KEY 4096

/* What the meaning of actions and fields hangs on, besides themselves. */
struct facts {
    uint8_t form, table, nw_proto, nw_frag;
    be16 eth_type, tci, tp_src, tp_dst;
    be32 ct_state;
};

static inline struct facts
facts_of(const struct flow *flow, uint8_t form, uint8_t table)
{
    bool nd = flow->nw_proto == 58;

    return (struct facts) {
        .form = form, .table = table, .nw_proto = flow->nw_proto,
        .nw_frag = flow->nw_frag, .eth_type = flow->eth_type,
        .tci = flow->vlan0_tci & CONSTANT_BE16(0x1000),
        .tp_src = nd ? flow->tp_src : 0, .tp_dst = nd ? flow->tp_dst : 0,
        .ct_state = flow->ct_state,
    };
}

/* How the matches with one mask are written: all bytes but the values'. */
struct plan {
    struct flow mask;
    struct facts facts;
    uint8_t version;
    bool is_whole;              /* TLVs can say it. */
    uint32_t n, size;
    struct plan_step {
        const struct quick_field *field;
        uint16_t at, from;      /* In the bytes, and in the value... */
        bool is_verbatim;       /* ...if it is copied. */
    } steps[64];
    uint8_t bytes[1024];
};

struct quick {
    struct quick_field *read, *write;
    uint32_t n_read, n_write[7];
    struct terms programs;      /* Facts and actions -> program, source. */
    struct terms wires;         /* Version and source -> actions. */
    struct plan *plans[1024];   /* By their hash. */
    struct plain_kinds kinds;   /* All 0: not known. */
    uint64_t run;               /* Number of the blob that is filled. */
    uint32_t n_vain_spins;      /* One after the other. */
    uint32_t n_unspun;          /* Times to wait asleep before the next. */
    uint8_t key[MAX_KEY];       /* The last that was not known. */
    uint32_t key_size;
};

#define MAX_ENTRY 8192          /* Bytes of an entry, less its actions. */
#define MAX_FRAME 9216          /* Longer ones are for the codec. */

static inline uint32_t
pad8(uint8_t *out, uint32_t size)
{
    uint32_t padded = ROUND_UP(size, 8);

    memset(out + size, 0, padded - size);
    return padded;
}

/* Writes a match as TLVs; returns their size, or -1 if they cannot say all. */
int match_write(struct quick *, uint8_t version, const struct match *,
                uint8_t *out, uint32_t room);

/* Sends the packet-outs at the beginning of what is left; returns how many. */
uint32_t packets_send(struct quick *, const struct quick_calls *,
                      struct quick_talk *, uint8_t *blob, uint32_t blob_size);
