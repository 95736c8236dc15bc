"""Commands do the same on their short ways as on the usual, whatever a switch says.

A switch in this process answers by a script and keeps what it was told; each command runs against
it both ways.
"""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from schema import extension
from utilities.command_line import Fatal
from utilities import ofctl
from utilities.ofctl import Settings, connection, flows, pieces, short
from vswitchd.openflow.framing import Splitter
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.flow import (
    AggregateStatsReply, FlowStats, FlowStatsReply,
)
from vswitchd.openflow.messages.port import Port, PortDescReply, PortStats, PortStatsReply
from vswitchd.openflow.messages.session import FEATURE_ACTIONS, FeaturesReply
from vswitchd.openflow.text import parse_flow

ROOT = Path(__file__).resolve().parents[2]
HELLO = bytes.fromhex("0600000800000001")
BITMAP = bytes.fromhex("0600001000000001000100080000007e")
ONLY_13 = bytes.fromhex("04000010000000010001000800000010")
ECHO = bytes.fromhex("0102000800000063")
ERROR = bytes.fromhex("0101000c0000000000010003")
FLOWS = ("priority=5,tcp,tp_dst=80,actions=output:1", "actions=drop",
         "table=1,ip,in_port=2,actions=learn(table=2,idle_timeout=3),ct(commit)")
_ENTRIES = 24


def _flow(text: str) -> FlowStats:
    flow = parse_flow(text)
    return FlowStats(flow.match, flow.priority, flow.actions, flow.table, 7, (3, 5_000_000), 0, 0, 4,
                     5, 6, 7)


def replies(*parts: tuple[int, ...]) -> bytes:
    """The parts of a reply with some of FLOWS each."""
    out = b""
    for index, part in enumerate(parts):
        data = bytearray(encode(FlowStatsReply(tuple(_flow(FLOWS[n]) for n in part), "nxm"), 1, 0))
        data[11] = index + 1 < len(parts)
        out += data
    return out


class Script(NamedTuple):
    """What a switch says to a hello, to flow_mods and formats, before barriers, to requests."""

    hello: bytes = HELLO
    to_change: bytes = b""
    to_stats: bytes = replies((0, 1))
    hangs_up: bool = False              # Behind that.
    is_first: bool = False              # Says hello before it has heard it.
    has_many_names: bool = False        # So many that it tells them in parts.
    ports: tuple[Port, ...] = ()
    capabilities: frozenset[str] = frozenset(("FLOW_STATS", "ARP_MATCH_IP", "GROUP_STATS"))
    config: bytes = b"\0\0\0\x80"


class FakeSwitch:
    """A switch at `path` that follows a script; `told` is all that it was sent."""

    def __init__(self, path: Path, script: Script) -> None:
        self._script = script
        self.told: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(ConnectionError):        # It may hang up at any time.
                self._serve(peer)

    def _serve(self, peer: socket.socket) -> None:
        splitter = Splitter()
        if self._script.is_first:
            peer.sendall(self._script.hello)
        while data := peer.recv(65536):
            splitter.feed(data)
            if not all([self._answer(peer, message) for message in splitter.messages()]):
                return

    def _answer(self, peer: socket.socket, message: bytes) -> bool:
        self.told.append(message)
        xid, script, goes_on = message[4:8], self._script, True
        version, kind = message[0], message[1]
        if version > 1 and kind in (18, 20):
            kind -= 2
        match kind:
            case 0:
                answer = b"" if script.is_first else script.hello
            case 5:
                ports = script.ports if version < 4 else ()
                answer = encode(FeaturesReply(1 << 63 | 0xabc, 256, 254, 0, script.capabilities,
                                              frozenset(FEATURE_ACTIONS[2:5]), ports), version, 0)
            case 7:
                answer = bytes((version, 8, 0, 12)) + xid + script.config
            case 4 | 14:
                answer = script.to_change
            case 18:
                answer = bytes((version, 19 + 2 * (version > 1), 0, 8)) + xid
            case 16 if message[9] == 13 and script.ports:
                answer = encode(PortDescReply(script.ports), version, 0)
            case 16 if message[9] in (3, 12, 13):
                rest = message[8:10] + bytes(2 if version == 1 else 6)
                rest += b"\0\x40" + bytes(62) if message[9] == 12 else b""
                answer = bytes((version, 17 + 2 * (version > 1), 0, 8 + len(rest))) + xid + rest
                if script.has_many_names and message[9] != 3:
                    answer = (answer[:11] + b"\1" + answer[12:]) * 3 + answer
            case 16:
                answer, goes_on = script.to_stats, not script.hangs_up
            case _:
                answer = b""
        splitter = Splitter()
        splitter.feed(answer)
        # Answers have the number of the question; what nobody asked for has its own.
        out = b"".join(part if part in (ECHO, HELLO, BITMAP, ONLY_13) else part[:4] + xid + part[8:]
                       for part in splitter.messages())
        try:
            peer.sendall(out)
        except OSError:
            pass                        # It has hung up, but may have said something before.
        return goes_on

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


SCRIPTS = {
    "usual": Script(), "parts": Script(to_stats=replies((0, 1), (1, 1, 0), ())),
    "bitmap": Script(hello=BITMAP), "other version": Script(hello=ONLY_13),
    "no hello": Script(hello=ERROR), "error": Script(to_change=ERROR, to_stats=ERROR),
    "no NXM": Script(to_change=ERROR),
    "something between": Script(to_change=ECHO, to_stats=ECHO + replies((0, 0))),
    "rare flow": Script(to_stats=replies((0, 1), (0, 2, 1), (1,))),
    "rare flow first": Script(to_stats=replies((2,), (0,))),
    "error behind a part": Script(to_stats=replies((0,), ())[:-_ENTRIES] + ERROR),
    "gone": Script(to_stats=replies((0,), ())[:-_ENTRIES], hangs_up=True),
    "gone at once": Script(to_stats=b"", hangs_up=True),
}


def run(directory: Path, script: Script, command, stats: bool, capfdbinary) -> tuple:
    """What a command prints, what it ends with, and what it said to the switch."""
    switch = FakeSwitch(directory / "br0.mgmt", script)
    settings = Settings()
    settings.stats = stats
    settings.protocols &= 0xF
    connection._xid = 0
    flows.port_names.__globals__["_known"].clear()
    flows.table_names.__globals__["_tables"].cache_clear()
    try:
        end = command(settings, ["br0"])
    except Fatal as fatal:
        end = str(fatal.text)
    finally:
        connection._xid = 0             # other tests run programs in forks of this process
        switch.close()
        (directory / "br0.mgmt").unlink()
    out, log = capfdbinary.readouterr()
    return end, out, re.sub(rb"(?m)^.*?\|.*?\|", b"", log), switch.told


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("stats", [True, False])
def test_dumps_are_the_same_both_ways(name, stats, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    usual, found = (run(tmp_path, SCRIPTS[name], command, stats, capfdbinary)
                    for command in (flows.dump_flows, short.dump_flows))
    assert found == usual
    assert usual[-1], "the switch was told nothing"


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """What ovs-ofctl does before Python is there: from words to its exit code, -1 for none."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    pieces.write()
    library = tmp_path_factory.mktemp("short") / "short.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library,
                    f"-I{ROOT / 'vswitchd/openflow/quick'}",
                    f'-DEXT_SUFFIX="{extension.VERSIONED}"', ROOT / "utilities/ofctl/short.c",
                    ROOT / "utilities/ofctl/flow.c", ROOT / "utilities/ofctl/show.c"],
                   check=True)
    call = ctypes.CDLL(str(library)).ofctl_short

    def run_words(*words: str, root: Path = ROOT) -> tuple:
        argv = (ctypes.c_char_p * (len(words) + 2))(b"ovs-ofctl", *map(str.encode, words), None)
        talk = Talk()
        code = call(len(words) + 1, argv, bytes(root), ctypes.byref(talk))
        return code, (talk.fd, talk.xid, talk.n_sent, ctypes.string_at(talk.data, talk.size),
                      ctypes.string_at(talk.input, talk.input_size) if talk.input else None)

    return run_words


NOTHING = -1, (-1, 0, 0, b"", None)


class Talk(ctypes.Structure):
    """struct short_talk."""

    _fields_ = (("fd", ctypes.c_int), ("xid", ctypes.c_uint32), ("n_sent", ctypes.c_uint32),
                ("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("input", ctypes.c_void_p),
                ("input_size", ctypes.c_size_t))


USUAL_FOR_C = {"usual", "bitmap", "parts", "no NXM", "rare flow", "rare flow first", "error behind a part",
               "gone", "gone at once"}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("is_first", [True, False])
def test_deletions_in_c_say_what_python_says_or_leave_it_to_python(
        name, is_first, in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    monkeypatch.setenv("OVS_CTL_TIMEOUT", "7")
    script = SCRIPTS[name]._replace(to_change=b"" if name == "no NXM" else SCRIPTS[name].to_change,
                                    is_first=is_first)
    usual = run(tmp_path, script, flows.del_flows, True, capfdbinary)

    def delete(settings, words):
        code, (fd, *_) = in_c("del-flows", *words)
        if fd >= 0:
            os.close(fd)
        return code

    found = run(tmp_path, script, delete, True, capfdbinary)
    assert found[1:3] == (b"", b"")
    if name in USUAL_FOR_C:
        assert found[0] == 0 and usual[0] is None
        assert found[3] == usual[3]
        assert any(message[1] == 14 for message in usual[3])
        return
    assert found[0] == -1
    # A switch that wants something else is left without a word.
    assert found[3] == ([] if is_first and name in ("other version", "no hello")
                        else usual[3][:len(found[3])])


@pytest.mark.parametrize("words", [
    (), ("del-flows",), ("del-flows", "br0", "port"), ("dump-flows", "br0", "actions=1"),
    ("del-flows", "-O"), ("-O", "OpenFlow11", "del-flows", "br0"), ("-OOpenFlow16", "del-flows"),
    ("del-flows", "unix:br0"), ("del-flows", "a@br0"), ("del-flows", "/x"), ("del-flows", ""),
    ("del-flows", "none"), ("--names", "dump-flows", "br0"), ("del-flows", "x" * 200),
    ("add-flow", "br0"), ("add-flows", "br0", "/none"), ("add-flow", "br0", "tcp"),
    ("add-flow", "br0", "in_port=a:b,actions=drop"), ("add-flow", "br0", "actions=drop", "x"),
    ("--bundle", "add-flow", "br0", "actions=drop"), ("-F", "nxm", "del-flows", "br0"),
    ("--", "del-flows", "br0"), ("-OOpenFlow10,OpenFlow16", "del-flows", "br0"),
    ("-OOpenFlow10,", "del-flows", "br0"), ("-OOpenFlow10,,OpenFlow13", "show", "br0"),
    ("-O", ",", "show", "br0"), ("-OOpenFlow10OpenFlow13", "show", "br0"),
    ("dump-ports", "br0", "eth0"), ("dump-ports", "br0", "65535"), ("dump-ports", "br0", "-1"),
    ("dump-ports-desc", "br0", "0x1"), ("dump-ports", "br0", "1", "2"), ("dump-ports", "br0", "all"),
    ("-OOpenFlow15", "dump-aggregate", "br0"), ("dump-flow", "br0")])
def test_other_command_lines_are_for_python(words, in_c, tmp_path, monkeypatch):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    switch = FakeSwitch(tmp_path / "br0.mgmt", Script())
    assert in_c(*words) == NOTHING
    switch.close()
    assert switch.told == []


ANEW = {"other version", "no hello", "error", "no NXM", "something between"}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("stats", [True, False])
def test_dumps_in_c_are_those_of_python_which_goes_on_where_c_stops(
        name, stats, in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    kinds = []

    def dump(settings, words):
        code, talk = in_c(*(["dump-flows"] if stats else ["--no-stats", "dump-flows"]), *words)
        kinds.append("done" if code == 0 else "gone on" if talk[0] >= 0 else "anew")
        if code < 0:
            monkeypatch.setitem(sys.modules, "_quickstart", SimpleNamespace(talk=talk))
            short.dump_flows(settings, words)
            monkeypatch.delitem(sys.modules, "_quickstart")

    script = SCRIPTS[name]._replace(is_first=True)
    usual = run(tmp_path, script, flows.dump_flows, stats, capfdbinary)
    found = run(tmp_path, script, dump, stats, capfdbinary)
    assert kinds == ["done" if name in ("usual", "bitmap") else "anew" if name in ANEW else "gone on"]
    assert found[:3] == usual[:3]
    if kinds == ["anew"]:
        assert found[3][-len(usual[3]):] == usual[3]
    else:
        assert found[3] == usual[3]


def test_without_the_extension_dumps_are_for_python(in_c, tmp_path, monkeypatch):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    assert in_c("dump-flows", "br0", root=tmp_path) == NOTHING


def parts13(*flow_lists: tuple[int, ...]) -> bytes:
    """The parts of a reply of OpenFlow 1.3."""
    out = b""
    for index, part in enumerate(flow_lists):
        data = bytearray(encode(FlowStatsReply(tuple(_flow(FLOWS[n]) for n in part)), 4, 0))
        data[11] = index + 1 < len(flow_lists)
        out += data
    return out


SUMS = encode(AggregateStatsReply(5, 1 << 40, 3, "nxm"), 1, 0)
SUMS13 = encode(AggregateStatsReply(5, 77, 3), 4, 0)
USES_13 = Script(hello=ONLY_13, to_stats=parts13((0, 1), (1,)), has_many_names=True)
FOUND = Script(to_stats=replies((0, 1)))
LINES = {
    "add-flow br0 priority=5,tcp,nw_src=10.0.0.1,actions=output:1": Script(),
    "add-flow br0 table=3,in_port=2,actions=drop": Script(),
    "add-flow br0 reg0=1,actions=resubmit(,2)": Script(),
    "add-flow br0 table=3,reg0=1,actions=resubmit(,2)": Script(),
    "--no-names add-flow br0 ip,actions=normal": Script(),
    "mod-flows br0 ip,actions=normal": Script(),
    "--strict mod-flows br0 ip,priority=3,actions=normal": Script(),
    "--strict del-flows br0 ip,priority=3": Script(),
    "del-flows br0 cookie=0x10/-1": Script(),
    "del-flows br0 out_port=3 -O openflow10": Script(),
    "-OOpenFlow13 add-flow br0 ip,actions=set_field:1.2.3.4->nw_src,2": USES_13,
    "--protocols=OpenFlow13 del-flows br0": USES_13,
    "-O OpenFlow13 --no-names del-flows br0 cookie=1/-1": USES_13,
    "-O OpenFlow13 dump-flows br0": USES_13, "-O OpenFlow13 --no-stats dump-flows br0": USES_13,
    "-O OpenFlow13 dump-flows br0 table=1": USES_13,
    "-O OpenFlow13 dump-aggregate br0": USES_13._replace(to_stats=SUMS13),
    "dump-flows br0 table=0": FOUND, "dump-flows br0 tcp --no-stats": FOUND,
    "--no-names dump-flows br0 cookie=1/-1": FOUND,
    "dump-aggregate br0": Script(to_stats=SUMS), "dump-aggregate br0 table=1": Script(to_stats=SUMS),
}


FILE = """
# Flows.
priority=5,tcp,nw_src=10.0.0.1,actions=output:1
  table=3,in_port=2,actions=drop       # Both need the table.

delete_strict table=3,priority=7,ip
modify table=2,ip actions=2
"""
LINES |= {
    "add-flows br0 FILE": Script(), "-OOpenFlow13 add-flows br0 FILE": USES_13,
    "--no-names add-flows br0 /dev/null": Script(),
}


MAC = bytes(range(1, 7))
PORTS = (Port(3, MAC, "eth3", 0x41, 0x301, 0xa28a, 0x1, 0xffff, 0x3, 10_000_000, 40_000_000),
         Port(0xfffe, MAC, "br0", 1, 1), Port(1, MAC, "a" * 15, 0, 0x4), Port(0xff00 - 1, MAC, ""),
         Port(3, MAC, "again", 0x20, 0x200, 0x40, 0, 0x20))
SHOWN = Script(ports=PORTS)
LINES |= {f"-OOpenFlow1{minor} show br0": SHOWN._replace(
              hello=bytes.fromhex("06000010000000010001000800000000")[:15] + bytes((2 << minor,)),
              ports=tuple(port.replace(state=port.state & 7) if minor else port for port in PORTS))
          for minor in (0, 2, 3, 4, 5)}
NAMES = "add-flow br0 in_port=again,actions=resubmit(eth3,5),output:aaaaaaaaaaaaaaa"
LINES |= {NAMES: SHOWN, "dump-flows br0 in_port=again": SHOWN._replace(to_stats=replies((0, 1))),
          f"-OOpenFlow13 {NAMES}": SHOWN._replace(
              hello=ONLY_13, ports=tuple(port.replace(state=0) for port in PORTS)),
          f"-OOpenFlow14 {NAMES}": SHOWN._replace(
              hello=ONLY_13[:-1] + b"\x20", ports=tuple(port.replace(state=0) for port in PORTS))}
COUNTED = (PortStats(0xfffe, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, (5, 0)),
           PortStats(9, *(None,) * 12, (5, 30_000_000)), PortStats(10, 1 << 40, duration=(5, 1200)),
           PortStats(0xff00 - 1, *range(1 << 63, (1 << 63) + 12)))
for versions, version in (("10", 1), ("11", 2), ("13", 4), ("14", 5), ("15", 6), ("10,OpenFlow13", 4),
                          ("10,OpenFlow11,openflow12", 3), ("14,OpenFlow15", 6)):
    answers = Script(hello=ONLY_13[:-1] + bytes((1 << version,)),
                     to_stats=encode(PortStatsReply(COUNTED), version, 0),
                     ports=tuple(port.replace(state=port.state & 7) if version > 1 else port
                                 for port in PORTS))
    LINES |= {f"-OOpenFlow{versions} {words}": answers for words in (
        "dump-ports br0", "dump-ports br0 65279", "dump-ports br0 LOCAL", "dump-ports-desc br0",
        "dump-ports-desc br0 local", "dump-ports-desc br0 3")}
    if version != 2:
        LINES[f"-OOpenFlow{versions} del-flows br0"] = answers
LINES |= {"dump-ports br0": Script(to_stats=encode(PortStatsReply(()), 1, 0))}
LINES |= {"show br0": SHOWN, "show br0 -OOpenFlow10": Script(config=b"\0\6\xff\xff",
                                                           capabilities=frozenset())}


def _words(line: str, directory: Path) -> list[str]:
    (directory / "flows.txt").write_text(FILE)
    return line.replace("FILE", str(directory / "flows.txt")).split()


def _both(line: str, script: Script, in_c, directory: Path, capfdbinary, monkeypatch
          ) -> tuple[tuple, tuple, tuple]:
    """What Python does at a line, and C with Python behind it; and what C has left."""
    words = _words(line, directory)
    left = [(0, ())]

    def command(*_):
        left[0] = code, talk = in_c(*words)
        if code == 0:
            return 0
        monkeypatch.setitem(sys.modules, "_quickstart", SimpleNamespace(talk=talk))
        try:
            return ofctl._main(words)
        finally:
            monkeypatch.delitem(sys.modules, "_quickstart")

    usual = run(directory, script, lambda *_: ofctl._main(words), True, capfdbinary)
    return usual, run(directory, script, command, True, capfdbinary), left[0]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("is_first", [True, False])
def test_single_commands_in_c_say_and_print_what_python_does(
        line, is_first, in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    usual, found, left = _both(line, LINES[line]._replace(is_first=is_first), in_c, tmp_path,
                               capfdbinary, monkeypatch)
    assert (found[0], usual[0], left[0]) == (0, 0, 0)
    assert found[1:] == usual[1:]
    assert not ("dump" in line or "show" in line) or found[1]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("change", [
    {"to_change": ERROR, "to_stats": ERROR}, {"hello": ERROR}, {"hello": BITMAP[:15] + b"\4"},
    {"to_change": ECHO, "to_stats": b"", "hangs_up": True},
    {"to_stats": replies((2,)) + parts13((2,))}, {"config": b"\0\3\0\0"},
    {"ports": (Port(5, MAC, "odd\x07"), Port(4, MAC, "x"))}])
def test_at_other_answers_python_goes_on_or_begins_anew(
        line, change, in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    script = LINES[line]._replace(is_first=True, **change)
    usual, found, left = _both(line, script, in_c, tmp_path, capfdbinary, monkeypatch)
    assert found[:3] == usual[:3]
    if left[0] == 0 or left[1][0] >= 0:
        assert found[3] == usual[3]
    else:
        assert found[3][-len(usual[3]):] == usual[3]


@pytest.mark.parametrize("flow", ["in_port=nobody,actions=drop", "actions=output:nobody",
                                  "in_port=eth3,actions=nobody", "actions=eth3"])
def test_names_that_are_not_known_in_c_are_for_python(
        flow, in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    usual, found, left = _both(f"add-flow br0 {flow}", SHOWN, in_c, tmp_path, capfdbinary,
                               monkeypatch)
    assert left[0] == -1
    assert found[:3] == usual[:3]
    assert found[3][-len(usual[3]):] == usual[3]


def test_what_was_read_from_stdin_is_handed_on(in_c, tmp_path, monkeypatch):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    text = b"actions=drop\nactions=odd\n"
    before = os.dup(0)
    reader, writer = os.pipe()
    try:
        os.dup2(reader, 0)
        os.write(writer, text)
        os.close(writer)
        code, talk = in_c("add-flows", "br0", "-")
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reader)
    assert (code, talk) == (-1, (-1, 0, 0, b"", text))
    monkeypatch.setitem(sys.modules, "_quickstart", SimpleNamespace(talk=talk))
    assert flows.read_file("-") == text
