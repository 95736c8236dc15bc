/* execute.h: runs a list of datapath actions on a frame.
 *
 * What the list asks of the rest of the datapath (send, look up again, tell
 * userspace, count a drop) goes through 'struct executor', which a worker
 * fills once.  A frame is copied only when it is changed while an output of it
 * is still waiting: a descriptor is marked shared then and packet_own() does
 * the rest.  The list must have passed actions_verify().  Owner: one
 * worker. */
#pragma once

#include "action/action.h"
#include "generated/drops.h"
#include "packet/arena.h"
#include "packet/packet.h"

struct executor {
    struct arena *arena;        /* For frames that must be copied. */
    uint64_t random;            /* State of the generator for sample. */

    /* Sends '*p' to 'port'; takes the descriptor. */
    void (*output)(struct executor *, struct packet *p, uint32_t port);
    /* Looks '*p' up again (recirc_id is set); takes the descriptor. */
    void (*recirculate)(struct executor *, struct packet *p);
    /* Copies what it needs of '*p'.  'actions' is the list being run. */
    void (*userspace)(struct executor *, struct packet *p,
                      const struct action_userspace *,
                      const uint8_t *actions, uint32_t size);
    /* Returns false where meter 'id' says to drop '*p'. */
    bool (*meter)(struct executor *, struct packet *p, uint32_t id);
    void (*drop)(struct executor *, struct packet *p, enum drop_reason);
};

/* Runs the list on '*p', which is used up. */
void actions_execute(struct executor *, struct packet *p,
                     const uint8_t *actions, uint32_t size);

/* Runs set, without copying: '*p' must be owned.  Other keys than those of
 * headers are metadata. */
bool action_set_execute(struct packet *p, const struct action_set *);

/* Decrements the TTL or hop limit; false where it is not more than 1. */
bool action_dec_ttl_execute(struct packet *p);

/* Hashes addresses, protocol and ports; the same both ways if 'symmetric'. */
uint32_t packet_hash_l4(struct packet *, bool symmetric, uint32_t basis);
