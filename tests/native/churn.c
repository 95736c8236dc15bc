/* churn.c: two or more workers forward while the control thread adds and
 * deletes ports and flows, dumps, settles and changes the number of workers.
 * Arguments: workers, rounds.  For ThreadSanitizer. */
#include <stdio.h>
#include <string.h>

#include "action/action.h"
#include "api.h"
#include "base/base.h"
#include "generated/flow.h"
#include "generated/seam.h"

static void
check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: %d %s\n", what, error, dp_error());
        abort();
    }
}

static void
add_port(uint32_t dp, uint32_t odp, const char *kind)
{
    struct port_config c = {
        .odp = odp, .fd = -1, .mtu = 1500, .n_rxq = 2, .flags = PORT_UP,
    };
    snprintf(c.name, sizeof c.name, "p%u", odp);
    snprintf(c.kind, sizeof c.kind, "%s", kind);
    snprintf(c.rx_pcap, sizeof c.rx_pcap, "%s",
             strcmp(kind, "generate") ? "" : "1000,1,16");
    check(port_add(dp, &c), "port_add");
}

static void
put_flow(uint32_t dp, uint32_t in_port, uint32_t dst_mask, uint32_t dst,
         uint32_t port)
{
    struct flow pair[2];
    struct actions list = ACTIONS_EMPTY;
    memset(pair, 0, sizeof pair);
    pair[0].in_port = be32_from(in_port);
    pair[1].in_port = UINT32_MAX;
    pair[0].nw_dst = be32_from(dst);
    pair[1].nw_dst = be32_from(dst_mask);
    actions_put_output(&list, port);
    actions_put_output(&list, port + 1);
    check(flow_put(dp, (const uint8_t *) pair, list.buffer.data,
                   list.buffer.size, true, false), "flow_put");
    actions_destroy(&list);
}

int
main(int argc, char **argv)
{
    uint32_t n = argc > 1 ? atoi(argv[1]) : 2;
    uint32_t rounds = argc > 2 ? atoi(argv[2]) : 20;
    struct datapath_config config = {
        .name = "t", .max_idle_ms = 10000, .flow_limit = 10000,
        .vlan_limit = 1, .flags = DP_MEGAFLOWS,
    };
    static uint8_t buffer[1 << 18], frame[100];
    uint32_t dp;

    check(datapath_open(&config, &dp), "datapath_open");
    add_port(dp, 1, "generate");
    add_port(dp, 2, "generate");
    add_port(dp, 10, "discard");
    add_port(dp, 11, "discard");
    add_port(dp, 5, "dummy-pmd");
    check(workers_set(n), "workers_set");
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t in = 1 + i % 2, n_bytes, n_records;
        uint64_t cursor = 0, n_work;
        struct datapath_stats stats;
        struct port_stats port;

        put_flow(dp, in, 0xff000000 << (i % 8), 0x14000000, 10);
        put_flow(dp, 5, 0, 0, 10);
        check(port_receive(dp, 5, i % 2, frame, sizeof frame), "receive");
        add_port(dp, 20, i % 2 ? "discard" : "dummy-pmd");
        put_flow(dp, in, 0xfff, i % 16, 20);
        do {
            check(flows_dump(dp, &cursor, buffer, sizeof buffer, &n_bytes,
                             &n_records), "dump");
        } while (cursor);
        check(datapath_stats_get(dp, &stats), "stats");
        check(port_stats_get(dp, 10, &port), "port stats");
        check(port_del(dp, 20), "port_del");
        check(dp_pump(&n_work), "pump");
        if (i % 8 == 7) {
            check(flows_flush(dp), "flush");
        }
        if (i % 16 == 15) {
            check(workers_set(1 + i / 16 % n), "workers_set");
        }
    }
    struct port_stats port;
    check(port_stats_get(dp, 10, &port), "port stats");
    printf("%llu frames\n", (unsigned long long) port.tx_packets);
    if (!port.tx_packets) {
        fprintf(stderr, "nothing was forwarded\n");
        return 1;
    }
    check(datapath_close(dp), "close");
    check(workers_set(0), "workers_set");
    return 0;
}
