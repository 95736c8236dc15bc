/* churn.c: two or more workers forward while the control thread adds and
 * deletes ports, flows, bridges and rules, dumps, settles and changes the
 * number of workers.  Arguments: workers, rounds.  For ThreadSanitizer. */
#include <stdio.h>
#include <string.h>

#include "action/action.h"
#include "api.h"
#include "base/base.h"
#include "generated/flow.h"
#include "generated/ops.h"
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

/* Makes a bridge of ports 3 (a source), 10 and 11 that floods and learns. */
static uint32_t
add_bridge(uint32_t dp)
{
    struct bridge_config config = {
        .name = "br0", .mac_aging_s = 300, .mac_table_size = 64,
    };
    static const uint32_t members[3] = { 3, 10, 11 };
    struct bridge_port ports[3];
    struct bundle bundles[3];
    uint32_t bridge;

    memset(ports, 0, sizeof ports);
    memset(bundles, 0, sizeof bundles);
    for (uint32_t i = 0; i < 3; i++) {
        ports[i].ofp = ports[i].odp = ports[i].bundle = members[i];
        ports[i].state = BP_LIVE;
        ports[i].mtu = 1500;
        bundles[i].id = members[i];
        bundles[i].vlan_mode = VLAN_TRUNK;
        bundles[i].first_member = i;
        bundles[i].n_members = 1;
        memset(bundles[i].trunks, 0xff, sizeof bundles[i].trunks);
    }
    check(bridge_add(dp, &config, &bridge), "bridge_add");
    check(bridge_ports_set(bridge, ports, 3), "bridge_ports_set");
    check(bundles_set(bridge, bundles, 3, members, 3), "bundles_set");
    return bridge;
}

/* Adds or deletes (by 'command') a rule for frames to a /'n_bits' of
 * 20.0.0.0. */
static void
change_rule(uint32_t dp, uint32_t bridge, uint32_t n_bits, uint16_t command,
            uint32_t port)
{
    struct {
        struct flow match[2];
        struct op_output op;
    } blob;
    struct rule_change change = {
        .bridge = bridge, .command = command, .priority = n_bits,
        .out_port = UINT32_MAX, .out_group = UINT32_MAX,
        .program_offset = sizeof blob.match, .program_size = sizeof blob.op,
    };
    uint64_t version;

    memset(&blob, 0, sizeof blob);
    if (n_bits) {
        blob.match[0].eth_type = be16_from(0x0800);
        blob.match[1].eth_type = UINT16_MAX;
        blob.match[0].nw_dst = be32_from(0x14000000);
        blob.match[1].nw_dst = be32_from(UINT32_MAX << (32 - n_bits));
    }
    blob.op.head.code = OP_OUTPUT;
    blob.op.head.size = sizeof blob.op;
    blob.op.port = port;
    check(version_open(dp, &version), "version_open");
    check(rules_stage(version, &change, 1, (const uint8_t *) &blob,
                      sizeof blob), "rules_stage");
    check(version_commit(version), "version_commit");
}

/* Puts others in the place of all rules, in one version, and frees some of
 * what was there before; 'gives_up': or nothing after all. */
static void
replace_rules(uint32_t dp, uint32_t bridge, uint32_t number, bool gives_up)
{
    static struct {
        struct flow match[2];
        struct op_output op;
    } blob[100];
    struct rule_change changes[1 + N_ELEMENTS(blob)];
    uint32_t n_freed;
    uint64_t version;

    memset(blob, 0, sizeof blob);
    for (uint32_t i = 0; i <= N_ELEMENTS(blob); i++) {
        uint32_t at = i ? i - 1 : 0;
        bool is_hidden = i == N_ELEMENTS(blob);
        changes[i] = (struct rule_change) {
            .bridge = bridge, .command = i ? RULE_ADD : RULE_DELETE,
            .priority = is_hidden ? 1 << 17 : i, .out_port = UINT32_MAX, .out_group = UINT32_MAX,
            .match_offset = at * sizeof *blob,
            .program_offset = at * sizeof *blob + sizeof blob->match,
            .program_size = i ? sizeof blob->op : 0,
        };
        blob[at].match[0].eth_type = be16_from(0x0800);
        blob[at].match[1].eth_type = at ? UINT16_MAX : 0;
        blob[at].match[0].nw_dst = be32_from(0x14000000 + number + at);
        blob[at].match[1].nw_dst = be32_from(at ? UINT32_MAX << at % 24 : 0);
        blob[at].op.head.code = OP_OUTPUT;
        blob[at].op.head.size = sizeof blob->op;
        blob[at].op.port = 10 + (number + i) % 2;
    }
    check(version_open(dp, &version), "version_open");
    check(rules_stage(version, changes, N_ELEMENTS(changes),
                      (const uint8_t *) blob, sizeof blob), "rules_stage");
    check(gives_up ? version_abort(version) : version_commit(version),
          "version_abort or version_commit");
    check(dp_reclaim(64, &n_freed), "dp_reclaim");
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
    add_port(dp, 3, "generate");
    add_port(dp, 10, "discard");
    add_port(dp, 11, "discard");
    add_port(dp, 5, "dummy-pmd");
    check(workers_set(n), "workers_set");
    uint32_t bridge = add_bridge(dp);
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
        if (i % 4 == 1) {       /* Busy sources, the bridge's too. */
            uint32_t source = 1 + i / 4 % 3;
            check(port_del(dp, source), "port_del source");
            if (i % 8 == 1) {
                check(dp_pump(&n_work), "pump");
            }
            add_port(dp, source, "generate");
        }
        change_rule(dp, bridge, 0, RULE_ADD, i % 3 ? 0xfffa : 0xfffb);
        change_rule(dp, bridge, 8 + i % 16, RULE_ADD, 10 + i % 2);
        if (i > 4) {
            change_rule(dp, bridge, 8 + (i - 4) % 16, RULE_DELETE_STRICT, 0);
        }
        replace_rules(dp, bridge, i, i % 3 == 1);
        if (i % 8 == 3) {
            check(flows_revalidate(dp), "revalidate");
        } else if (i % 8 == 5) {
            check(bridge_del(bridge), "bridge_del");
            bridge = add_bridge(dp);
        }
        check(dp_pump(&n_work), "pump");
        check(flows_settle(dp), "settle");
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
