"""Runs random command lines by our ovs-ofctl and by Debian's, each against a switch of Debian's.

    python -m tests.differential.client_fuzz FIRST LAST

A `Pair` has two switches that are alike, for thousands of command lines. What a case printed, its
exit code, and what it said to the switch on which connection are compared; after a difference both
switches are set anew. Every other case runs in a fork of this process, where Python has all of the
command; the others run the tool as it is installed, whose short ways are in C.
"""

import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.differential.client_cases import (
    RESET, SETUP, Case, case, flow_file, messages, segments, watching,
)
from tests.differential.recorder import Recorder, cut
from tests.differential.switches import Switch, normal
from utilities import ofctl
from utilities.programs import forgive_output
from utilities.quickstart.build import write_tools

SOCKETS = ("br0.mgmt", "br0.snoop", "br1.mgmt", "br1.snoop")
_RULES = (
    (r"(?m)^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|", "STAMP|"), (r"time=[\d.]+ ms", "time=T"),
    (r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}: ", "STAMP: "),
    (r"Finished in .*", "Finished"), (r"(pkts|bytes|lookup|matched|n_packets)=\d+", r"\1=N"),
    (r"(received: OFPT_HELLO.*)\(xid=\w+\)", r"\1"),
    (r"(failed to connect to socket) \((Protocol error|Broken pipe|Connection reset by peer)\)", r"\1"), (r"used [\d.]+", "used"),
    (r"(idle|hard)_age=\d+, ?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ""),
    (r"duration[:=]?[\d.]+s?", "T"),
    (r"\(Open vSwitch\).*", "VERSION"),
    (r"(?m)^.*\b(INFO|DBG)\|.*\b(opened log file|closing log).*\n", ""),
)
MONITORED = 0.04                # How many cases are monitors.


@dataclass(frozen=True)
class Outcome:
    """What came of a case: texts, exit code, and {socket and what was said on it}."""

    stdout: str
    stderr: str
    code: int
    said: tuple[tuple[str, tuple[str, ...]], ...]


def _shown(message: bytes) -> str:
    """A message without what is chance: what echoes hold, and whether a switch that speaks none of
    our versions is told so before it has hung up."""
    if message[1:2] == b"\1":
        return ""
    return message[:8].hex() if message[1:2] in (b"\2", b"\3") else message.hex()


def _without_numbers(message: str) -> str:
    """A message in hexadecimal without its number, and that of the one in it."""
    is_in_bundle = message[2:4] == "22" and len(message) > 48
    inner = message[32:40] + message[48:] if is_in_bundle else ""
    return message[:8] + (message[16:32] + inner if is_in_bundle else message[16:])


_UNORDERED = {"diff-flows", "dump-groups", "dump-group-stats"}


class Side:
    """A switch of Debian's, and a directory in front of it in which ovs-ofctl runs."""

    def __init__(self, directory: Path, name: str, path: str) -> None:
        self.switch = Switch(directory / f"{name}-switch", real=True)
        assert self.switch.run(SETUP) == ""
        self.front = directory / name
        self.front.mkdir()
        self.recorder = Recorder(self.front, self.switch.directory, SOCKETS)
        self.environment = {
            "PATH": path, "LC_ALL": "C", "OVS_SYSLOG_METHOD": "null", "OVS_CTL_TIMEOUT": "20",
            "HOME": str(self.front), "TZ": "UTC",
            **{f"OVS_{name}": str(self.front)
               for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}}
        rng = random.Random(1)
        (self.front / "empty").write_text("")
        (self.front / "flows").write_text(flow_file(rng))
        stream = b"".join(bytes.fromhex(message) for _ in range(8) for message in messages(rng))
        (self.front / "messages").write_bytes(stream)
        (self.front / "pcap").write_bytes(segments(stream))
        self.reset()

    def reset(self) -> None:
        self.switch.run(RESET)

    def run(self, what: Case, program: list[str] | None) -> Outcome:
        """Runs a case by `program`, or in a fork of this process."""
        self.recorder.take()
        files = [tempfile.TemporaryFile() for _ in range(3)]
        files[0].write(what.stdin.encode())
        files[0].seek(0)
        out = files[1]
        if what.out == "full":
            out = open("/dev/full", "wb", buffering=0)
        elif what.out == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            out = os.fdopen(writer, "wb")
        command = [*(program or []), *what.argv] if not what.shell else ["/bin/sh", "-c",
                                                                         what.shell]
        try:
            if program is None and not what.shell:
                code = self._fork(what, [files[0].fileno(), out.fileno(), files[2].fileno()])
            else:
                def close() -> None:
                    if what.out == "closed":
                        os.close(1)
                code = subprocess.run(command, stdin=files[0], stdout=out, stderr=files[2],
                                      timeout=40,
                                      env=self.environment, cwd=self.front,
                                      preexec_fn=close).returncode
        finally:
            texts = []
            for file in files[1:]:
                file.seek(0)
                text = self._clean(file.read().decode("utf-8", "surrogateescape"))
                # Debian's has some things in the order of a hash table.
                texts.append("".join(sorted(text.splitlines(True)))
                             if not _UNORDERED.isdisjoint(what.argv) else text)
            for file in {*files, out}:
                file.close()
        said = tuple((name, tuple(shown for message in cut(heard) if (shown := _shown(message))))
                     for name, heard in self.recorder.take() if heard)
        if "replace-flows" in what.argv:
            said = tuple((name, tuple(sorted(map(_without_numbers, messages))))
                         for name, messages in said)
        return Outcome(*texts, code, said)

    def _fork(self, what: Case, files: list[int]) -> int:
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        code = 70
        try:
            for target, source in enumerate(files):
                os.dup2(source, target)
            if what.out == "closed":
                os.close(1)
            os.environ.clear()
            os.environ.update(self.environment)
            os.chdir(self.front)
            code = _start(list(what.argv))
        finally:
            os._exit(code)

    def _clean(self, text: str) -> str:
        for pattern, replacement in _RULES:
            text = re.sub(pattern, replacement, text)
        return text.replace(str(self.front), "DIR").replace(str(self.switch.directory), "DIR")

    def state(self) -> str:
        """What the switch holds."""
        return normal(self.switch.run(
            "for c in dump-flows dump-groups dump-meters dump-tlv-map; do "
            "ovs-ofctl -OOpenFlow15 --no-stats $c br0; done; "
            "ovs-ofctl -OOpenFlow13 --no-stats dump-flows br1; "
            "ovs-ofctl show br0"), self.switch.directory)

    def close(self) -> None:
        self.recorder.close()
        self.switch.close()


def _start(argv: list[str]) -> int:
    """ovs-ofctl in a process of its own that has its modules already."""
    from utilities import command_line
    command_line.LOG.__init__()
    for number, mode in enumerate(("r", "w", "w")):
        try:
            stream = open(number, mode, encoding="utf-8", errors="surrogateescape", closefd=False)
        except OSError:
            stream = None
        setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
    forgive_output()
    try:
        code = ofctl.main(argv)
    except SystemExit as exit:
        code = exit.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 70
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, AttributeError):
            pass
    return code


def our_tool(directory: Path) -> Path:
    """Our ovs-ofctl as it is installed; it is made unless it is there."""
    installed = Path(os.environ.get("OVS_OFCTL") or Path(sys.executable).parent / "ovs-ofctl")
    if installed.exists():
        return installed
    place = directory / "tools"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python3").symlink_to(sys.executable)
    complaint = write_tools(place, sysconfig.get_path("purelib"), ["ovs-ofctl"])
    assert not complaint, complaint
    return place / "bin" / "ovs-ofctl"


class Pair:
    """Debian's ovs-ofctl and ours, each with a switch."""

    def __init__(self, directory: Path) -> None:
        self.tool = our_tool(directory)
        shadow = directory / "shadow"
        shadow.mkdir()
        (shadow / "ovs-ofctl").symlink_to(self.tool)
        _load()
        path = os.environ["PATH"]
        self.theirs = Side(directory, "a", path)
        self.ours = Side(directory, "b", f"{shadow}:{path}")

    def difference(self, what: Case, is_forked: bool) -> tuple[Outcome, Outcome] | None:
        """What came of a case by Debian's and by ours, if that differs."""
        theirs = self.theirs.run(what, ["ovs-ofctl"])
        ours = self.ours.run(what, None if is_forked else [str(self.tool)])
        if theirs == ours:
            return None
        self.reset()
        return theirs, ours

    def reset(self) -> None:
        for side in (self.theirs, self.ours):
            side.reset()

    def close(self) -> None:
        for side in (self.theirs, self.ours):
            side.close()


def _load() -> None:
    """Loads all that forks may need."""
    for _, _, _, _, place, _ in ofctl.COMMANDS:
        if "." in place:
            __import__(f"utilities.ofctl.{place.split('.')[0]}")


def numbered(seed: int) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    return watching(rng) if rng.random() < MONITORED else case(rng)


def run(directory: Path, first: int, last: int):
    """Yields (seed, case, theirs, ours) of cases that differ."""
    pair = Pair(directory)
    try:
        for seed in range(first, last):
            what = numbered(seed)
            found = pair.difference(what, seed % 2 == 1)
            if found is not None:
                yield seed, what, *found
            if seed % 100 == 99:
                theirs, ours = pair.theirs.state(), pair.ours.state()
                if theirs != ours:
                    yield seed, Case(shell="state"), Outcome(theirs, "", 0, ()), Outcome(ours, "",
                                                                                         0, ())
                pair.reset()
    finally:
        pair.close()


def show(theirs: Outcome, ours: Outcome) -> str:
    """How two outcomes differ."""
    lines = []
    for name in ("stdout", "stderr", "code"):
        one, other = getattr(theirs, name), getattr(ours, name)
        if one != other:
            lines.append(f"  {name}:\n    - {one!r}\n    + {other!r}")
    if theirs.said != ours.said:
        lines.append("  said:")
        for sign, side in (("-", theirs), ("+", ours)):
            lines += [f"    {sign} {name} {' '.join(said)}" for name, said in side.said]
    return "\n".join(lines)


if __name__ == "__main__":
    first, last = map(int, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as place:
        count = 0
        for seed, what, theirs, ours in run(Path(place), first, last):
            count += 1
            print(f"#{seed} {'fork' if seed % 2 else 'tool'} {what.shell or list(what.argv)!r} "
                  f"{what.stdin!r} {what.out}\n{show(theirs, ours)}", flush=True)
        print(f"{count} of {last - first} differ")
