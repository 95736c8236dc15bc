/* bench.c: "generate", an endless source of small frames in memory, and
 * "discard", which counts what it is sent.
 *
 * The rx_pcap of a "generate" port says what it makes instead of naming a
 * file: "N,MODE,PORTS": N flows in MODE 0 sequential, 1 uniform random order,
 * with PORTS different UDP destination ports (65536: random headers).  Flow f
 * is 10.x.y.z -> 20.0.a.b, UDP, 60 bytes; the same f gives the same frame. */
#include "port/kinds.h"

#include <stdio.h>

#define FRAME_SIZE 60
#define STRIDE 256              /* Bytes from frame to frame. */

struct generator {
    uint32_t n_flows, mode, n_ports;
    uint64_t random;
    uint32_t next;
    uint8_t *frames;            /* BURST frames with headroom. */
} __attribute__((aligned(CACHE_LINE)));         /* One per queue. */

static uint32_t
mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    return x ^ x >> 16;
}

static inline uint32_t
next_flow(struct generator *g)
{
    if (!g->mode) {
        uint32_t f = g->next;
        g->next = f + 1 >= g->n_flows ? 0 : f + 1;
        return f;
    }
    uint64_t x = g->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    g->random = x;
    return (x >> 32) * g->n_flows >> 32;
}

static const uint8_t template[64] = {
    0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1, 0x08, 0x00,
    0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 26, 0, 0,
};

static inline void
write_frame(const struct generator *g, uint8_t *frame, uint32_t f)
{
    uint32_t src = UINT32_C(0x0a000000) | (f & 0xffffff);
    uint32_t dst = UINT32_C(0x14000000) | (mix(f) & 0xfff);
    uint16_t sport = 1024 + f % 60000, dport = 1;
    if (g->n_ports == 65536) {
        src = mix(f + 0x1234567);
        sport = mix(f ^ 0x77777);
        dport = mix(f ^ 0x999999);
    } else if (g->n_ports > 1) {
        dport += mix(f ^ 0x5bd1e995) % g->n_ports;
    }
    memcpy(frame, template, sizeof template);
    uint32_t sum = 0x4500 + 46 + 1 + 0x4011 + (src >> 16) + (src & 0xffff)
                   + (dst >> 16) + (dst & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    put_be16(frame + 24, be16_from(~sum));
    put_be32(frame + 26, be32_from(src));
    put_be32(frame + 30, be32_from(dst));
    put_be16(frame + 34, be16_from(sport));
    put_be16(frame + 36, be16_from(dport));
}

static int
generate_open(struct port *port)
{
    struct generator first = { .n_flows = 1, .mode = 1, .n_ports = 1 };
    if (sscanf(port->config.rx_pcap, "%u,%u,%u", &first.n_flows, &first.mode,
               &first.n_ports) < 1 || !first.n_flows || !first.n_ports) {
        return error_set(EINVAL, "generate needs \"flows,mode,ports\"");
    }
    uint32_t n = port->config.n_rxq;
    struct generator *g = xaligned_zalloc(CACHE_LINE, n * sizeof *g);
    for (uint32_t q = 0; q < n; q++) {
        g[q] = first;
        g[q].random = UINT64_C(0x9e3779b97f4a7c15) + 1 + q;
        g[q].frames = xaligned_zalloc(CACHE_LINE, BURST * STRIDE);
    }
    port->private = g;
    return 0;
}

static void
generate_close(struct port *port)
{
    struct generator *g = port->private;
    for (uint32_t q = 0; q < port->config.n_rxq; q++) {
        free(g[q].frames);
    }
    free(g);
}

static uint32_t
generate_receive(struct port *port, uint32_t queue, struct packet *burst,
                 uint32_t max)
{
    struct generator *g = (struct generator *) port->private + queue;
    if (!(port->config.flags & PORT_UP)) {
        return 0;
    }
    for (uint32_t i = 0; i < max; i++) {
        uint8_t *frame = g->frames + i * STRIDE + HEADROOM;
        write_frame(g, frame, next_flow(g));
        packet_init(&burst[i], frame, FRAME_SIZE, HEADROOM, port->config.odp);
    }
    return max;
}

static int
discard_open(struct port *port UNUSED)
{
    return 0;
}

static void
discard_close(struct port *port UNUSED)
{
}

static uint32_t
discard_receive(struct port *port UNUSED, uint32_t queue UNUSED,
                struct packet *burst UNUSED, uint32_t max UNUSED)
{
    return 0;
}

static uint32_t
discard_transmit(struct port *port UNUSED, struct packet *burst UNUSED,
                 uint32_t n, struct tx_context *tx UNUSED)
{
    return n;
}

static int
no_fd(struct port *port UNUSED, uint32_t queue UNUSED)
{
    return -1;
}

const struct port_ops port_discard = {
    .kind = "discard", .open = discard_open, .close = discard_close,
    .receive = discard_receive, .transmit = discard_transmit,
    .poll_fd = no_fd,
};

const struct port_ops port_generate = {
    .kind = "generate", .busy = true, .open = generate_open,
    .close = generate_close, .receive = generate_receive,
    .transmit = discard_transmit, .poll_fd = no_fd,
};
