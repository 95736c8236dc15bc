"""How fast flows go into the switch and out of it, beside the installed one, by ovs-ofctl's clock.

    python bench/flows.py [COUNT...]        counts of flows, 10000, 100000 and 500000 if none is
                                        given

The installed ovs-ofctl is the client of both daemons. For each count: add-flows one by one (a
barrier behind each), in a bundle, dump-flows, del-flows; flows have 5-tuple matches with some
masks and 50 different actions. Then the memory that a flow takes. Ours and the peer's take turns;
the best of two rounds counts.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_RUN = f"import sys; sys.path.insert(0, {str(ROOT)!r}); " \
       "from utilities.programs import start; start({name!r})"
_PATH = "/usr/sbin:/usr/bin"
ROUNDS = 2


def program(name: str, ours: bool) -> list[str]:
    """The command that runs a program, ours or the installed one."""
    if ours:
        return [sys.executable, "-I", "-c", _RUN.format(name=name)]
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise SystemExit(f"{name} is not installed: nothing to compare with")
    return [found]


class Switch:
    """A database and a switch with one dummy bridge, br0."""

    def __init__(self, ours: bool) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="flows-"))
        self.environment = os.environ | {
            f"OVS_{name}": str(self.directory)
            for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")} | {"OVS_CTL_TIMEOUT": "600"}
        schema = ROOT / "schema" / "vswitch.ovsschema"
        database = str(self.directory / "conf.db")
        self.run(program("ovsdb-tool", True), "create", database, str(schema))
        daemon = ("--detach", "--no-chdir", "--pidfile", "-vconsole:off")
        self.run(program("ovsdb-server", ours), f"--remote=punix:{self.directory}/db.sock", database,
                 *daemon)
        self.vsctl("--no-wait", "init")
        self.run(program("ovs-vswitchd", ours), "--enable-dummy", "--disable-system", *daemon)
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy",
                   "fail_mode=secure")
        self.pid = int((self.directory / "ovs-vswitchd.pid").read_text())

    def run(self, command: list[str], *args: str) -> None:
        """Runs a program to its end; what it prints is lost."""
        subprocess.run([*command, *args], check=True, env=self.environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def vsctl(self, *args: str) -> None:
        """Runs the installed ovs-vsctl."""
        self.run(program("ovs-vsctl", False), *args)

    def time(self, *args: str) -> float:
        """Seconds that the installed ovs-ofctl takes."""
        begin = time.perf_counter()
        self.run(program("ovs-ofctl", False), *args)
        return time.perf_counter() - begin

    def cpu(self) -> float:
        """Seconds of processor time that the switch has used."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident bytes of the switch."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("the switch has ended")

    def close(self) -> None:
        """Ends both daemons."""
        for name in ("ovs-vswitchd", "ovsdb-server"):
            os.kill(int((self.directory / f"{name}.pid").read_text()), signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)


def write_flows(path: Path, count: int) -> None:
    """A file of `count` flows."""
    with path.open("w") as file:
        for n in range(count):
            file.write(f"table={n % 3},priority={n % 1000},tcp,nw_src=10.{n >> 16 & 255}."
                       f"{n >> 8 & 255}.{n & 255},nw_dst=192.168.{n % 256}.0/{24 + n % 4},"
                       f"tp_dst={n % 60000},actions=output:{n % 50 + 1}\n")


def measure(switch: Switch, flows: str) -> dict[str, float]:
    """Seconds of each step."""
    return {"add-flows": switch.time("add-flows", "br0", flows),
            "dump-flows": switch.time("dump-flows", "br0"),
            "del-flows": switch.time("del-flows", "br0"),
            "--bundle add-flows": switch.time("--bundle", "add-flows", "br0", flows),
            "--bundle del-flows": switch.time("--bundle", "del-flows", "br0")}


def compare(count: int) -> None:
    """Prints the rows of one count."""
    with tempfile.TemporaryDirectory() as directory:
        flows = Path(directory) / "flows.txt"
        write_flows(flows, count)
        best: dict[bool, dict[str, float]] = {}
        memory = {}
        for _ in range(ROUNDS):
            for ours in (True, False):
                switch = Switch(ours)
                try:
                    for name, seconds in measure(switch, str(flows)).items():
                        kept = best.setdefault(ours, {}).setdefault(name, seconds)
                        best[ours][name] = min(kept, seconds)
                finally:
                    switch.close()
        for ours in (True, False):
            switch = Switch(ours)
            try:
                before = switch.memory()
                switch.time("--bundle", "add-flows", "br0", str(flows))
                memory[ours] = (switch.memory() - before) / count
            finally:
                switch.close()
    for name, seconds in best[True].items():
        print(f"| {name}, {count:,} flows | {seconds:.2f} s | {best[False][name]:.2f} s "
              f"| {best[False][name] / seconds:.2f} |", flush=True)
    print(f"| memory of a flow, {count:,} flows | {memory[True]:.0f} bytes "
          f"| {memory[False]:.0f} bytes | {memory[False] / memory[True]:.2f} |", flush=True)


if __name__ == "__main__":
    print("| what | ours | installed | ratio |\n|---|---|---|---|")
    for number in [int(word) for word in sys.argv[1:]] or [10_000, 100_000, 500_000]:
        compare(number)
