/* rx.c: which worker polls which receive queue.  Control thread, with all
 * turns. */
#include "worker/worker.h"

static void
rx_add(struct worker *w, struct datapath *dp, struct port *port,
       uint32_t queue)
{
    if (w->n_rx == w->allocated_rx) {
        w->allocated_rx = MAX(16, 2 * w->allocated_rx);
        w->rx = xrealloc(w->rx, w->allocated_rx * sizeof *w->rx);
    }
    w->rx[w->n_rx++] = (struct rx) { dp, port, queue };
    w->busy |= port->ops->busy;
}

void
rx_assign(void)
{
    uint32_t turn = 0;

    WORKER_FOR_EACH (w) {
        w->n_rx = 0;
        w->busy = false;
        w->rx_changed = true;
    }
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
            struct port *port = dp->ports[odp];
            if (!port) {
                continue;
            }
            for (uint32_t q = 0; q < port->config.n_rxq; q++) {
                uint32_t id = 0;
                if (n_workers && !port->ops->pumped) {
                    id = 1 + turn++ % n_workers;
                }
                rx_add(workers[id], dp, port, q);
            }
        }
    }
    WORKER_FOR_EACH (w) {
        worker_wake(w);         /* It must watch other descriptors. */
    }
}
