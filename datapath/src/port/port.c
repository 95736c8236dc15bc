/* port.c: what all port kinds share; see port.h. */
#include "port/port.h"

#include "packet/checksum.h"
#include "packet/edit.h"
#include "port/kinds.h"
#include "port/pcap.h"

const struct port_ops *const port_kinds[] = {
    &port_dummy, &port_dummy_internal, &port_dummy_pmd, &port_discard,
    &port_generate, &port_system, &port_tap, &port_internal, NULL,
};

static const struct port_ops *
find_kind(const char *kind)
{
    for (const struct port_ops *const *k = port_kinds; *k; k++) {
        if (!strcmp((*k)->kind, kind)) {
            return *k;
        }
    }
    return NULL;
}

static void
pcaps_close(struct port *port)
{
    pcap_close(port->rx_pcap);
    pcap_close(port->tx_pcap);
    port->rx_pcap = port->tx_pcap = NULL;
}

static int
pcaps_open(struct port *port)
{
    const struct port_config *c = &port->config;
    if (port->ops == &port_generate) {
        return 0;               /* rx_pcap says what to generate. */
    }
    if (c->rx_pcap[0]) {
        port->rx_pcap = pcap_open(c->rx_pcap);
        if (!port->rx_pcap) {
            return error_set(errno, "%s: %s", c->rx_pcap, strerror(errno));
        }
    }
    if (c->tx_pcap[0]) {
        port->tx_pcap = (strcmp(c->rx_pcap, c->tx_pcap)
                         ? pcap_open(c->tx_pcap) : pcap_ref(port->rx_pcap));
        if (!port->tx_pcap) {
            return error_set(errno, "%s: %s", c->tx_pcap, strerror(errno));
        }
    }
    return 0;
}

int
port_new(uint32_t dp, const struct port_config *config, struct port **out)
{
    char kind[sizeof config->kind + 1] = "";
    memcpy(kind, config->kind, sizeof config->kind);
    const struct port_ops *ops = find_kind(kind);
    if (!ops) {
        return error_set(EAFNOSUPPORT, "unknown port kind '%s'", kind);
    }
    struct port *port = xaligned_zalloc(CACHE_LINE, sizeof *port);
    port->ops = ops;
    port->config = *config;
    port->config.n_rxq = MIN(MAX(config->n_rxq, 1), MAX_RXQ);
    port->dp = dp;
    int error = pcaps_open(port);
    if (!error) {
        error = ops->open(port);
    }
    if (error) {
        pcaps_close(port);
        free(port);
        return error;
    }
    *out = port;
    return 0;
}

int
port_reconfigure(struct port *port, const struct port_config *config)
{
    struct port_config old = port->config;
    port->config = *config;
    memcpy(port->config.kind, old.kind, sizeof old.kind);
    port->config.n_rxq = old.n_rxq;
    if (strcmp(old.rx_pcap, config->rx_pcap)
        || strcmp(old.tx_pcap, config->tx_pcap)) {
        pcaps_close(port);
        int error = pcaps_open(port);
        if (error) {
            return error;
        }
    }
    return port->ops->set ? port->ops->set(port, &old) : 0;
}

void
port_destroy(struct port *port)
{
    if (port) {
        port->ops->close(port);
        pcaps_close(port);
        for (int i = 0; i < MAX_THREADS; i++) {
            free(port->tx[i]);
        }
        free(port);
    }
}

uint32_t
port_receive_burst(struct port *port, uint32_t queue, uint32_t thread,
                   struct packet *burst)
{
    uint32_t n = port->ops->receive(port, queue, burst, BURST);
    if (!n) {
        return 0;
    }
    struct port_stats *stats = &port->stats[thread];
    if (UNLIKELY(!(port->config.flags & PORT_UP))) {
        /* No bridge has it yet, or it went down after it had heard them. */
        count_add(&stats->rx_dropped, n);
        return 0;
    }
    uint64_t n_bytes = 0, n_gso = 0;
    for (uint32_t i = 0; i < n; i++) {
        n_bytes += burst[i].size;
        n_gso += packet_is_gso(&burst[i]);
    }
    if (n_gso) {
        count_add(&stats->rx_gso, n_gso);
    }
    count_add(&stats->rx_packets, n);
    count_add(&stats->rx_bytes, n_bytes);
    if (UNLIKELY(port->rx_pcap != NULL)) {
        for (uint32_t i = 0; i < n; i++) {
            pcap_write(port->rx_pcap, burst[i].data, burst[i].size);
        }
        pcap_flush(port->rx_pcap);
    }
    return n;
}

/* Passes 'n' ready frames to the kind. */
static void
send(struct port *port, struct packet *burst, uint32_t n,
     struct tx_context *tx)
{
    struct port_stats *stats = &port->stats[tx->thread];
    tx->n_refused = 0;
    tx->n_refused_bytes = 0;
    uint32_t n_sent = port->ops->transmit(port, burst, n, tx);
    uint64_t n_bytes = 0;
    for (uint32_t i = 0; i < n_sent; i++) {
        n_bytes += burst[i].size;
        if (UNLIKELY(port->tx_pcap != NULL)) {
            pcap_write(port->tx_pcap, burst[i].data, burst[i].size);
        }
    }
    count_add(&stats->tx_packets, n_sent - tx->n_refused);
    count_add(&stats->tx_bytes, n_bytes - tx->n_refused_bytes);
    if (UNLIKELY(n_sent < n)) {
        count_add(&stats->tx_dropped, n - n_sent);
        count_add(&tx->drops[DROP_TX_FULL], n - n_sent);
    }
}

/* Cuts '*p' into segments and sends them. */
static void
send_segments(struct port *port, struct packet *p, struct tx_context *tx)
{
    struct port_stats *stats = &port->stats[tx->thread];
    struct packet burst[BURST];
    struct segmenter s;
    uint32_t n = 0;

    if (!segmenter_init(&s, p)) {
        count_add(&stats->tx_errors, 1);
        count_add(&tx->drops[DROP_TX_ERROR], 1);
        return;
    }
    while (segmenter_next(&s, tx->arena, &burst[n])) {
        if (++n == BURST) {
            send(port, burst, n, tx);
            n = 0;
        }
    }
    if (n) {
        send(port, burst, n, tx);
    }
}

void
port_transmit(struct tx_batch *batch, struct tx_context *tx)
{
    struct port *port = batch->port;
    struct port_stats *stats = &port->stats[tx->thread];
    struct packet *ready = batch->packets;
    uint32_t n_ready = 0;
    uint32_t n = batch->n;

    batch->n = 0;
    if (UNLIKELY(!(port->config.flags & PORT_UP))) {
        count_add(&stats->tx_dropped, n);
        count_add(&tx->drops[DROP_PORT_DOWN], n);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct packet *p = &batch->packets[i];
        if (UNLIKELY(port->config.mtu
                     && p->size > port->config.mtu + 14
                     && packet_l3_size(p) > port->config.mtu)) {
            count_add(&stats->tx_dropped, 1);
            count_add(&stats->tx_too_big, 1);
            count_add(&tx->drops[DROP_TOO_BIG], 1);
            continue;
        }
        if (UNLIKELY(p->csum_partial | packet_is_gso(p))
            && !(port->config.flags & PORT_OFFLOADS)) {
            if (packet_is_gso(p)) {
                /* Keep the order: first what is waiting. */
                send(port, ready, n_ready, tx);
                n_ready = 0;
                send_segments(port, p, tx);
                count_add(&stats->tx_gso, 1);
                continue;
            }
            if (!packet_own(p, tx->arena, 0)) {
                count_add(&stats->tx_errors, 1);
                count_add(&tx->drops[DROP_TX_ERROR], 1);
                continue;
            }
            packet_complete(p);
        }
        if (&ready[n_ready] != p) {
            ready[n_ready] = *p;
        }
        n_ready++;
    }
    if (n_ready) {
        send(port, ready, n_ready, tx);
    }
    if (UNLIKELY(port->tx_pcap != NULL)) {
        pcap_flush(port->tx_pcap);
    }
}
