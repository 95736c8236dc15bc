/* stats.c: the counters of a port: what its device refused, and the sum over
 * all workers. */
#include "port/port.h"

void
port_refused(struct port *port, const struct packet *p, int error,
             struct tx_context *tx)
{
    struct port_stats *stats = &port->stats[tx->thread];
    tx->n_refused++;
    tx->n_refused_bytes += p->size;
    if (error == EIO || error == ENETDOWN || error == ENXIO) {
        /* So taps and packet sockets say that their device is down. */
        count_add(&stats->tx_dropped, 1);
        count_add(&tx->drops[DROP_PORT_DOWN], 1);
    } else if (error == EMSGSIZE) {
        count_add(&stats->tx_dropped, 1);
        count_add(&stats->tx_too_big, 1);
        count_add(&tx->drops[DROP_TOO_BIG], 1);
    } else {
        count_add(&stats->tx_errors, 1);
        count_add(&tx->drops[DROP_TX_ERROR], 1);
    }
}

void
port_stats_sum(const struct port *port, struct port_stats *sum)
{
    uint64_t *to = (uint64_t *) sum;
    memset(sum, 0, sizeof *sum);
    for (int i = 0; i < MAX_THREADS; i++) {
        const uint64_t *from = (const uint64_t *) &port->stats[i];
        for (size_t j = 0; j < sizeof *sum / sizeof *to; j++) {
            to[j] += count_get(&from[j]);
        }
    }
}
