"""How fast ovs-ofctl adds and dumps flows, beside the installed one, both with the installed switch.

    python bench/ofctl.py [COUNT...]        counts of flows, 10000 and 100000 if none is given

Ours is started as `make build` makes it. The clients take turns with one switch; the best of three
rounds counts. Count 0 stands for single commands to a bridge with few flows, in milliseconds, the
median of 50.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from flows import Switch, program, write_flows
from vsctl_start import make_launchers

ROUNDS = 3
RUNS = 50
SINGLE = (("--version",), ("add-flow", "br0", "priority=5,tcp,nw_src=10.0.0.1,actions=output:1"),
          ("add-flow", "br0", "table=3,reg0=1,actions=load:5->NXM_NX_REG1[],resubmit(,4)"),
          ("-OOpenFlow13", "add-flow", "br0", "ip,nw_dst=10.0.0.0/8,actions=dec_ttl,output:2"),
          ("mod-flows", "br0", "tcp,actions=drop"), ("dump-flows", "br0"),
          ("dump-flows", "br0", "table=0"), ("-OOpenFlow13", "dump-flows", "br0"),
          ("dump-aggregate", "br0"), ("show", "br0"), ("del-flows", "br0", "cookie=1/-1"),
          ("del-flows", "br0"), ("dump-ports", "br0"),
          ("parse-flow", "ip,nw_dst=10.0.0.1,actions=output:1"))


def time_client(switch: Switch, command: list[str], *args: str) -> float:
    """Seconds that one ovs-ofctl takes."""
    began = time.perf_counter()
    switch.run(command, *args)
    return time.perf_counter() - began


def compare(count: int, clients: list[list[str]]) -> None:
    """Prints the rows of one count."""
    switch = Switch(False)
    best: dict[str, list[float]] = {}
    try:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "flows.txt"
            write_flows(path, count)
            steps = (("add-flows", "br0", str(path)), ("dump-flows", "br0"),
                     ("--no-stats", "dump-flows", "br0"), ("del-flows", "br0"),
                     ("--bundle", "add-flows", "br0", str(path)))
            for _ in range(ROUNDS):
                for index, client in enumerate(clients):
                    for step in steps:
                        seconds = time_client(switch, client, *step)
                        row = best.setdefault(" ".join(word for word in step if "/" not in word
                                                       and word != "br0"), [seconds, 1e9])
                        row[index] = min(row[index], seconds)
    finally:
        switch.close()
    for name, (ours, theirs) in best.items():
        print(f"| {name}, {count:,} flows | {ours:.3f} s | {theirs:.3f} s "
              f"| {theirs / ours:.2f} |", flush=True)


def compare_single(clients: list[list[str]]) -> None:
    """Prints the rows of single commands."""
    switch = Switch(False)
    seconds: dict[tuple[str, ...], list[list[float]]] = {}
    try:
        for _ in range(RUNS):
            for index, client in enumerate(clients):
                for step in SINGLE:
                    row = seconds.setdefault(step, [[], []])
                    row[index].append(time_client(switch, client, *step))
    finally:
        switch.close()
    for step, both in seconds.items():
        ours, theirs = map(statistics.median, both)
        print(f"| {' '.join(step)} | {ours * 1000:.1f} ms | {theirs * 1000:.1f} ms "
              f"| {theirs / ours:.2f} |", flush=True)


if __name__ == "__main__":
    print("| what | ours | installed | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        found = [[make_launchers(Path(name))["ovs-ofctl"]], program("ovs-ofctl", False)]
        for number in [int(word) for word in sys.argv[1:]] or [10_000, 100_000]:
            if number:
                compare(number, found)
            else:
                compare_single(found)
