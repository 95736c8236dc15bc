"""Hostile frames through the whole packet path, in this process: pump.py EARLY LATE SEED.

Two bridges with the flows of `hostile`, joined by a patch, take LATE frames; prints the resident
kilobytes after EARLY and after LATE of them as JSON, and how many frames went which way. A program
of its own, so that a test can run it with the library built with sanitizers: with ASan it also asks
for leaks, once all is closed, and writes them where ASAN_OPTIONS=log_path says.
"""

import ctypes
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datapath import face, upcall  # noqa: E402
from tests.fuzz import hostile  # noqa: E402
from tests.vswitchd.twin import Ours  # noqa: E402

BURST = 64


def build() -> Ours:
    """Both bridges, with few megaflows allowed, so that the table fills early."""
    ours = Ours()
    face.datapath_set(ours.dp, "ovs-dummy", 10_000, 2000, 2)
    ours.bridge("br0", {f"p{n}": {"ofp": n, "tag": hostile.TAGGED.get(n, 0)}
                        for n in range(1, hostile.PORTS + 1)} | {
                            "pa": {"ofp": 9, "peer": ("br1", "pb")}})
    ours.bridge("br1", {"q1": {"ofp": 11}, "pb": {"ofp": 8, "peer": ("br0", "pa")}})
    for number, (kind, buckets) in hostile.GROUPS.items():
        ours.group("br0", number, kind, list(buckets))
    ours.flows("br0", [*hostile.FLOWS, *hostile.DEBUG_FLOWS])
    ours.flows("br1", ["actions=normal"])
    return ours


def drain() -> int:
    """Pumps until all is done and takes what came out; how many records."""
    taken = 0
    while face.pump():
        pass
    for queue in upcall.Queue:
        while records := len(list(upcall.take(queue))):
            taken += records
    return taken


def resident_kb() -> int:
    """Of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def look_for_leaks() -> None:
    """Asks the leak checker, if this process has one."""
    check = getattr(ctypes.CDLL(None), "__lsan_do_recoverable_leak_check", None)
    if check is not None:
        check()


def main(early: int, late: int, seed: int) -> None:
    """See the top of this file."""
    rng = random.Random(seed)
    ours = build()
    found: dict[str, int] = {"out": 0}
    for start in range(0, late, BURST):
        if start // BURST == early // BURST:
            found["early"] = resident_kb()
        for _ in range(BURST):
            face.port_receive(ours.dp, rng.randint(1, hostile.PORTS), 0, hostile.frame(rng))
        found["out"] += drain()
        if start % (BURST * 64) == 0:
            face.clock(True, face.now() + 1500)
            face.flows_settle(ours.dp)
            if rng.random() < 0.1:
                face.flows_revalidate(ours.dp)
    stats = face.datapath_stats(ours.dp)
    found |= {"late": resident_kb(), "hit": stats.n_hit, "missed": stats.n_missed,
              "dropped": sum(face.drops(ours.dp).values())}
    ours.close()
    drain()
    look_for_leaks()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
