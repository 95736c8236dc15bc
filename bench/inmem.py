"""In-memory forwarding: packets per second of one worker, from a "generate" port to "discard".

    python bench/inmem.py [--scenario one,normal,exact,...] [--flows 1,1000,100000] [--seconds 1]

60-byte UDP frames of N flows in random order, made in memory, are looked up and discarded by one
worker thread. The figure is per CPU-second of that thread (its schedstat), the best and the median
of several windows; source and sink are included. `source` is the source and sink alone.

Scenarios: static (one hand-made megaflow), one (one rule), normal (a learned MAC), exact (a
megaflow per flow), masks (64 hand-made masks), vlan (push a VLAN tag), miss (NORMAL, but no room
for megaflows: each frame is translated).
"""

import argparse
import statistics
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datapath import face, program  # noqa: E402
from datapath.match import pack_match  # noqa: E402
from vswitchd.switch.netdev import PortConfig  # noqa: E402

NORMAL = 0xFFFA
ALL_VLANS = (1 << 4096) - 1
SINK_MAC = "02:00:00:00:00:02"
NO_MAC = "00:00:00:00:00:00"


def output(port: int) -> bytes:
    """The output action."""
    return struct.pack("=HHI", 1, 8, port)


def make_bridge(dp: int) -> int:
    """A bridge with ports 1 and 2, trunks of all VLANs."""
    bridge = face.bridge_add(dp, {
        "name": "br0", "mac_aging_s": 3600, "mac_table_size": 2048, "forward_bpdu": False,
        "mac": "02:00:00:00:00:ff", "flood_vlans": 0})
    face.bridge_ports_set(bridge, [
        {"ofp": n, "odp": n, "peer_bridge": 0, "peer_ofp": 0, "config": 0, "is_live": True,
         "bundle": n, "mtu": 1500, "name": f"p{n}"} for n in (1, 2)])
    face.bundles_set(bridge, [
        {"id": n, "vlan_mode": "trunk", "vlan": 0, "qinq_tpid": 0x88A8, "protected": False,
         "priority_tags": "never", "bond_mode": None, "active_ofp": 0, "first_member": n - 1,
         "n_members": 1, "trunks": ALL_VLANS, "cvlans": ALL_VLANS} for n in (1, 2)], [1, 2])
    return bridge


def add_rule(dp: int, bridge: int, port: int, match: dict) -> None:
    """One rule that outputs to `port`."""
    version = face.version_open(dp)
    value, mask = pack_match(match)
    face.rules_stage(version, [face.RuleChange(
        bridge, 0, 0, 10, value, mask, program.pack_op("output", port=port, max_len=0))])
    face.version_commit(version)


def set_up(dp: int, scenario: str) -> None:
    """Install what `scenario` needs."""
    in_port = {"in_port_oxm": (1, 0xFFFFFFFF)}
    match scenario:
        case "static":
            face.flow_put(dp, *pack_match(in_port), output(2))
        case "vlan":
            push = struct.pack("=HH", 4, 8) + struct.pack("!HH", 0x8100, 0x1005)
            face.flow_put(dp, *pack_match(in_port), push + output(2))
        case "exact":
            exact = {"ip_src": 0xFFFFFFFF, "ip_dst": 0xFFFFFFFF, "udp_src": 0xFFFF}
            face.flow_put(dp, *pack_match({name: (0, mask) for name, mask in exact.items()}), b"")
        case "masks":
            for bits in range(64):
                face.flow_put(dp, *pack_match(in_port | {
                    "ip_dst": (0x15000000, 0xFF000000 | bits)}), output(2))
            face.flow_put(dp, *pack_match(in_port | {
                "ip_dst": (0x14000000, 0xFFFF0000)}), output(2))
        case "one":
            add_rule(dp, make_bridge(dp), 2, in_port)
        case "normal" | "miss":
            bridge = make_bridge(dp)
            face.mac_set(bridge, SINK_MAC, 0, 2)
            add_rule(dp, bridge, NORMAL, {})
        case "source":
            face.flow_put(dp, *pack_match(in_port), b"")
        case _:
            sys.exit(f"no scenario {scenario}")


def fill_exact(dp: int, n_flows: int) -> None:
    """A megaflow per flow, as the generator makes them."""
    ones = {"ip_src": 0xFFFFFFFF, "ip_dst": 0xFFFFFFFF, "udp_src": 0xFFFF}
    for flow in range(n_flows):
        mixed = flow
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            mixed = (mixed ^ mixed >> shift) * factor & 0xFFFFFFFF
        values = {"ip_src": 0x0A000000 | flow & 0xFFFFFF, "ip_dst": 0x14000000 | mixed & 0xFFF,
                  "udp_src": 1024 + flow % 60000}
        face.flow_put(dp, *pack_match({n: (values[n], ones[n]) for n in ones}), output(2))


def measure(scenario: str, n_flows: int, seconds: float, n_windows: int) -> str:
    """Run one case; a line of figures."""
    dp = face.datapath_open("bench", flow_limit=0 if scenario == "miss" else 1_000_000)
    face.port_add(dp, 2, PortConfig("discard", "sink", NO_MAC, 1500))
    set_up(dp, scenario)
    if scenario == "exact":
        fill_exact(dp, n_flows)
    face.port_add(dp, 1, PortConfig("generate", "source", NO_MAC, 1500,
                                    rx_pcap=f"{n_flows},1,1"))
    face.workers_set(1)
    time.sleep(0.3 + n_flows / 1e6)
    figures = []
    for _ in range(n_windows):
        before, start, began = face.worker_stats(1), thread_ns(), time.perf_counter()
        time.sleep(seconds)
        after, end = face.worker_stats(1), thread_ns()
        n = after.n_packets - before.n_packets
        figures.append((n / ((end - start) / 1e9) / 1e6, n / (time.perf_counter() - began) / 1e6))
    stats = face.datapath_stats(dp)
    best = max(figure[0] for figure in figures)
    median = statistics.median(figure[0] for figure in figures)
    face.workers_set(0)
    face.datapath_close(dp)
    return (f"{scenario:8} {n_flows:8} flows  {best:7.2f} Mpps best {median:7.2f} median per "
            f"CPU-second, {1e3 / best:6.1f} ns/packet, {max(f[1] for f in figures):6.2f} Mpps wall, "
            f"{stats.n_flows} megaflows, {stats.n_masks} masks, "
            f"{stats.n_exact_hit * 100 // max(1, stats.n_hit)}% by signature")


def thread_ns() -> int:
    """CPU nanoseconds of the busiest other thread of this process: the worker."""
    total = 0
    main = str(Path("/proc/self").resolve().name)
    for task in Path("/proc/self/task").iterdir():
        if task.name != main:
            total = max(total, int((task / "schedstat").read_text().split()[0]))
    return total


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--scenario", default="source,static,vlan,one,normal,masks,exact,miss")
    parser.add_argument("--flows", default="1,1000,100000")
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--windows", type=int, default=4)
    options = parser.parse_args()
    for scenario in options.scenario.split(","):
        for n_flows in map(int, options.flows.split(",")):
            print(measure(scenario, n_flows, options.seconds, options.windows), flush=True)


if __name__ == "__main__":
    main()
