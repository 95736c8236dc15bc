/* conf.c: what a bridge is configured with (ports, bundles, mirrors), as one
 * value that is replaced as a whole, and what follows from its parts.
 *
 * Thread rule: who makes a conf owns it until it is published; from then on it
 * is never changed, and any thread inside an epoch may read it. */
#include "pipeline/private.h"

/* Frees a struct conf; of the type that epoch_retire() calls. */
void
conf_free(void *conf_)
{
    struct conf *conf = conf_;

    for (uint32_t i = 0; i < conf->n_ports; i++) {
        counters_unref(conf->ports[i].rx);
        counters_unref(conf->ports[i].tx);
    }
    free(conf->ports);
    free(conf->bundles);
    free(conf->members);
    free(conf->mirrors);
    free(conf->mirror_bundles);
    free(conf->by_ofp);
    free(conf->flood_order);
    free(conf);
}

/* Returns the port with OpenFlow number 'ofp', or NULL. */
const struct conf_port *
conf_port(const struct conf *conf, uint32_t ofp)
{
    if (!conf->by_ofp) {
        return NULL;
    }
    for (uint32_t i = hash_u32(ofp, 0) & conf->hash_mask; conf->by_ofp[i];
         i = (i + 1) & conf->hash_mask) {
        const struct conf_port *port = &conf->ports[conf->by_ofp[i] - 1];
        if (port->config.ofp == ofp) {
            return port;
        }
    }
    return NULL;
}

/* Returns bundle 'id', or NULL. */
const struct conf_bundle *
conf_bundle(const struct conf *conf, uint32_t id)
{
    for (uint32_t i = 0; i < conf->n_bundles; i++) {
        if (conf->bundles[i].config.id == id) {
            return &conf->bundles[i];
        }
    }
    return NULL;
}

static uint32_t
flood_hash(uint32_t ofp)
{
    uint32_t hash = ofp;

    for (unsigned i = 0; i < 2; i++) {
        hash = hash << 13 | hash >> 19;
        hash = hash * 5 + 0xe6546b64;
    }
    hash ^= 8;
    hash ^= hash >> 16;
    hash *= 0x85ebca6b;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35;
    return hash ^ hash >> 16;
}

/* Puts the 'n' first ports of 'order' into the order of a chained hash table
 * with 'mask' + 1 buckets, filled in the order of 'order', last one first. */
static void
bucket_sort(const struct conf *conf, uint32_t *order, uint32_t n,
            uint32_t mask)
{
    uint32_t *sorted = xcalloc(n, sizeof *sorted);
    uint32_t at = 0;

    for (uint32_t bucket = 0; bucket <= mask; bucket++) {
        for (uint32_t i = n; i-- > 0; ) {
            if ((flood_hash(conf->ports[order[i]].config.ofp) & mask)
                == bucket) {
                sorted[at++] = order[i];
            }
        }
    }
    memcpy(order, sorted, n * sizeof *order);
    free(sorted);
}

/* FLOOD and ALL visit ports in the order of the reference's hash table of
 * ports, which scripts see in datapath actions: inserted in the order in which
 * the ports came, re-hashed when it had grown to twice its buckets. */
static void
set_flood_order(struct conf *conf)
{
    uint32_t mask = 0;

    conf->flood_order = xcalloc(conf->n_ports + 1, sizeof *conf->flood_order);
    for (uint32_t i = 0; i < conf->n_ports; i++) {
        conf->flood_order[i] = i;
    }
    for (uint32_t n = 1; n <= conf->n_ports; n++) {
        if (n / 2 > mask) {
            /* What is there is read in its order and filled in anew. */
            bucket_sort(conf, conf->flood_order, n, mask);
            mask = n / 2;
            for (unsigned shift = 1; shift < 32; shift *= 2) {
                mask |= mask >> shift;
            }
            mask |= (mask & 1) << 1;
        }
    }
    if (conf->n_ports) {
        bucket_sort(conf, conf->flood_order, conf->n_ports, mask);
    }
}

/* Works out what follows from the parts of '*conf'. */
void
conf_link(struct conf *conf)
{
    uint32_t capacity = 4;

    while (capacity < conf->n_ports * 2) {
        capacity *= 2;
    }
    conf->hash_mask = capacity - 1;
    conf->by_ofp = xcalloc(capacity, sizeof *conf->by_ofp);
    set_flood_order(conf);
    for (uint32_t i = 0; i < conf->n_bundles; i++) {
        struct conf_bundle *b = &conf->bundles[i];
        b->members = conf->members + b->config.first_member;
        b->floodable = true;
        b->mirrors_in = b->mirrors_out = 0;
        b->mirror_target = false;
        for (uint32_t m = 0; m < conf->n_mirrors && m < 32; m++) {
            const struct mirror *mirror = &conf->mirrors[m];
            b->mirror_target |= mirror->out_bundle == b->config.id;
            for (uint32_t j = 0; j < mirror->n_sources; j++) {
                if (conf->mirror_bundles[mirror->first_source + j]
                    == b->config.id) {
                    b->mirrors_in |= 1U << m;
                }
            }
            for (uint32_t j = 0; j < mirror->n_destinations; j++) {
                if (conf->mirror_bundles[mirror->first_destination + j]
                    == b->config.id) {
                    b->mirrors_out |= 1U << m;
                }
            }
        }
    }
    for (uint32_t i = 0; i < conf->n_ports; i++) {
        struct conf_port *port = &conf->ports[i];
        uint32_t j = hash_u32(port->config.ofp, 0) & conf->hash_mask;
        while (conf->by_ofp[j]) {
            j = (j + 1) & conf->hash_mask;
        }
        conf->by_ofp[j] = i + 1;
        port->bundle = NULL;
        if (port->config.bundle) {
            port->bundle = (struct conf_bundle *)
                conf_bundle(conf, port->config.bundle);
        }
        if (port->bundle && port->config.config & PORT_NO_FLOOD) {
            port->bundle->floodable = false;
        }
    }
}

/* Returns a copy of the parts of 'old'; conf_link() must follow. */
struct conf *
conf_clone(const struct conf *old)
{
    struct conf *conf = xmemdup(old, sizeof *old);

    conf->ports = COPY_ARRAY(old->ports, old->n_ports);
    for (uint32_t i = 0; i < conf->n_ports; i++) {
        counters_ref(conf->ports[i].rx);
        counters_ref(conf->ports[i].tx);
    }
    conf->bundles = COPY_ARRAY(old->bundles, old->n_bundles);
    conf->members = COPY_ARRAY(old->members, old->n_members);
    conf->mirrors = COPY_ARRAY(old->mirrors, old->n_mirrors);
    conf->mirror_bundles = COPY_ARRAY(old->mirror_bundles,
                                      old->n_mirror_bundles);
    conf->by_ofp = NULL;
    conf->flood_order = NULL;
    return conf;
}
