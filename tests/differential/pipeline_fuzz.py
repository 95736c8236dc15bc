"""Runs random pipeline cases against our switch and Debian's, and makes what differs small.

    python -m tests.differential.pipeline_fuzz FIRST LAST [MOST [CONFIGURATION]]

CONFIGURATION 0 is the plain one, 1 has frames with two tags, others are random: VLAN modes of
ports, settings of bridges and ports, what happens to fragments.

A `Pair` holds one process of each for thousands of cases; it speaks OpenFlow and the control
protocol over their sockets itself. `Pair.difference(case)` is None or what differs; `shrink` leaves
out probes, flows, groups and actions while it still does.
"""

import itertools
import json
import random
import re
import socket
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.differential import pipeline_cases as cases
from tests.differential.switches import Switch
from vswitchd.openflow.framing import HEADER
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.flow import FlowMod, FlowStatsRequest
from vswitchd.openflow.messages.group import GroupMod, GroupStatsRequest
from vswitchd.openflow.messages.meter import MeterConfig, MeterMod, MeterStatsRequest
from vswitchd.openflow.messages.session import (
    FlowModTableId, Hello, SetConfig, SetPacketInFormat,
)
from vswitchd.openflow.print import format_message

VERSIONS = "protocols='[OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15]'"
SETUP = " -- ".join((
    f"ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure {VERSIONS}",
    *(f"add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n} "
      f"options:tx_pcap=p{n}.pcap" for n in cases.PORTS),
    "set port p4 tag=10", "set port p5 vlan_mode=native-untagged tag=20 trunks=10,20,30",
    f"add-br br1 -- set bridge br1 datapath_type=dummy fail_mode=secure {VERSIONS}",
    # As in 3.1, where others have none.
    *(f"set bridge {bridge} flow_tables:{table}=@f{bridge}{table} -- --id=@f{bridge}{table} "
      "create Flow_Table prefixes=ip_dst,ip_src"
      for bridge in ("br0", "br1") for table in range(cases.TABLES + 1)),
    "add-port br0 a -- set interface a type=patch ofport_request=9 options:peer=b",
    "add-port br1 b -- set interface b type=patch ofport_request=9 options:peer=a",
    *(f"add-port br1 p{n} -- set interface p{n} type=dummy ofport_request={n - 10} "
      f"options:tx_pcap=p{n}.pcap" for n in (11, 12))))
OPTIONS = "; ".join(f"ovs-ofctl add-tlv-map {bridge} '{{class=0xffff,type=0,len=4}}->tun_metadata0,"
                    "{class=0xffff,type=1,len=8}->tun_metadata1'" for bridge in ("br0", "br1"))
BARRIER = {1: 18} | dict.fromkeys(range(2, 7), 20)
PACKET_IN2, RESUME = struct.pack("!II", 0x2320, 30), struct.pack("!II", 0x2320, 28)
TRANSMITTERS = (*cases.PORTS, 11, 12)


@dataclass(frozen=True)
class Configuration:
    """What a pair is like: arguments of ovs-vsctl, lines of shell, what happens to fragments."""

    settings: str = ""
    lines: tuple[str, ...] = ()
    fragments: int = 0


def configuration(number: int) -> Configuration:
    """One of the configurations."""
    if number < 2:
        return (Configuration(), Configuration("set open . other_config:vlan-limit=2"))[number]
    rng = random.Random(number)
    settings = [f"set open . other_config:vlan-limit={rng.choice((0, 1, 2, 2))}"]
    settings += [f"set bridge br0 {words}" for words in (
        "other_config:forward-bpdu=true", "flood_vlans=10,5", "other_config:mac-table-size=4") if rng.random() < 0.3]
    lines = []
    for port in (*(f"p{number}" for number in cases.PORTS), "br0", "a"):
        mode = rng.choice(("access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel", "", ""))
        words = ["trunks=[]", "tag=[]"]
        if mode:
            words.append(f"vlan_mode={mode}")
            if mode != "trunk":
                words[1] = f"tag={rng.choice((10, 20, 30))}"
            if mode != "access" and mode != "dot1q-tunnel":
                words[0] = f"trunks={rng.choice(('[]', '10,20', '0,5,10', '20,30,100'))}"
            if mode == "dot1q-tunnel":
                words += [f"cvlans={rng.choice(('[]', '5,10', '0,100'))}",
                          f"other_config:qinq-ethtype={rng.choice(('802.1q', '802.1ad'))}"]
        else:
            words.append("vlan_mode=[]")
        if rng.random() < 0.4:
            words.append(f"other_config:priority-tags={rng.choice(('always', 'if-nonzero', 'never'))}")
        if rng.random() < 0.15:
            words.append("protected=true")
        settings.append(f"set port {port} {' '.join(words)}")
        if rng.random() < 0.2:
            lines.append(f"ovs-ofctl mod-port br0 {port} {rng.choice(('down', 'no-flood', 'no-forward', 'no-receive', 'no-packet-in'))}")
    return Configuration(" -- ".join(settings), tuple(lines), rng.choice((0, 0, 1, 3)))


class Channel:
    """An OpenFlow connection; `xids` count on, so that errors tell what they are about."""

    def __init__(self, path: str, version: int):
        self.version = version
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(20)
        self._sock.connect(path)
        self._file = self._sock.makefile("rb")
        self._sock.sendall(encode(Hello((version,)), version, 1) if version > 1
                           else HEADER.pack(1, 0, 8, 1))
        self.read()

    def read(self) -> bytes:
        """The next message."""
        head = self._file.read(8)
        return head + self._file.read(HEADER.unpack(head)[2] - 8)

    def ask(self, messages: list[bytes]) -> list[bytes]:
        """Sends the messages and a barrier; what came until its reply."""
        kind = BARRIER[self.version]
        self._sock.sendall(b"".join(messages) + HEADER.pack(self.version, kind, 8, 0xffff))
        answers = []
        while True:
            message = self.read()
            if message[1] == kind + 1:
                return answers
            if message[1] == 2:
                self._sock.sendall(bytes([message[0], 3]) + message[2:])
            else:
                answers.append(message)


class Control:
    """A connection to a daemon's control socket."""

    def __init__(self, path: str):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(20)
        self._sock.connect(path)
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def ask(self, method: str, *params: str) -> str:
        """The answer to a command, or "error: " and what is wrong."""
        self._sock.sendall(json.dumps({"id": 0, "method": method, "params": params}).encode())
        while True:
            try:
                reply, at = self._decoder.raw_decode(self._buffer)
                self._buffer = self._buffer[at:].lstrip()
                return reply["result"] if reply.get("error") is None else f"error: {reply['error']}"
            except ValueError:
                more = self._sock.recv(1 << 16)
                if not more:
                    raise ConnectionError(f"{method} {params}") from None
                self._buffer += more.decode()


class Side:
    """One of the two, with its connections."""

    def __init__(self, switch: Switch, setting: Configuration):
        self.switch = switch
        directory = self.directory = switch.directory
        extra = setting.settings
        said = self.switch.run(SETUP + (f" -- {extra}" if extra else ""))
        said += "".join(map(self.switch.run, (OPTIONS, *setting.lines)))
        assert "ovs-vsctl:" not in said and "ovs-ofctl:" not in said, said
        self.control = Control(f"{directory}/ovs-vswitchd.{self.switch.pid('ovs-vswitchd')}.ctl")
        self.channels = {version: Channel(f"{directory}/br0.mgmt", version) for version in BARRIER}
        self.other = Channel(f"{directory}/br1.mgmt", 6)
        self.control.ask("time/stop")
        # Packets that no rule matches go to controllers of 1.0, which this makes it one.
        self.channels[1].ask([encode(FlowModTableId(True), 1, 5), encode(SetConfig(setting.fragments), 1, 6)])
        self.listener = Channel(f"{directory}/br0.mgmt", 4)
        self.listener.ask([encode(SetPacketInFormat("nxt_packet_in2"), 4, 1),
                           encode(SetConfig(setting.fragments, 65535, None), 4, 2)])
        self._changes = False
        self._seen = {port: 24 for port in TRANSMITTERS}

    def load(self, case: cases.Case) -> list[str]:
        """Puts the tables of a case in place; the errors that came."""
        self._version = case.version
        wipe = [encode(FlowMod("delete", table=255), 6, 1),
                encode(GroupMod("delete", 0xfffffffc, 0, ()), 6, 2)]
        said = []
        text = " ".join(flow.text() for flow in (*case.flows, *case.flows1))
        # What frames change is seen by others when megaflows are looked at again, some time.
        self._changes = "learn(" in text or "NORMAL" in text or "fin_timeout" in text
        main, groups, meters = (self.channels[version] for version in (case.version, 6, 4))
        groups.ask(wipe)
        self.other.ask(wipe)
        meters.ask([encode(MeterMod("delete", MeterConfig(0xffffffff, 0, ())), 4, 3)])
        self.control.ask("fdb/flush")
        self.control.ask("revalidator/purge")
        for channel, messages in (
                (meters, [cases.encode_meter(text, xid) for xid, text in enumerate(case.meters, 400)]),
                (groups, [cases.encode_group(group, xid) for xid, group in enumerate(case.groups, 500)]),
                (main, [cases.encode_flow(flow, case.version, xid) for xid, flow in enumerate(case.flows, 1000)]),
                (self.other, [cases.encode_flow(flow, 6, xid) for xid, flow in enumerate(case.flows1, 2000)])):
            said += [format_message(message).splitlines()[0] + f" xid={HEADER.unpack_from(message)[3]}"
                     for message in channel.ask(messages) if message[1] == 1]
        self.listener.ask([])
        return said

    def frames(self) -> list[str]:
        """The frames that have left since the last call."""
        found = []
        for port, at in self._seen.items():
            with open(f"{self.directory}/p{port}.pcap", "rb") as file:
                file.seek(at)
                data = file.read()
            self._seen[port] += len(data)
            while data:
                size = int.from_bytes(data[8:12], sys.byteorder)
                found.append(f"p{port} {data[16:16 + size].hex()}")
                data = data[16 + size:]
        return found

    def put(self, probe: cases.Probe) -> list[str]:
        """What a probe brings forth."""
        if probe.kind == "change":
            channel = self.channels[self._version]
            answers = channel.ask([cases.encode_change(*probe.words, self._version, 3000)])
            return [format_message(message) for message in answers if message[1] == 1]
        if probe.kind == "frame":
            self.listener.ask([])       # What traces that generate a packet have sent.
            self.frames()
            if self._changes:
                self.control.ask("revalidator/purge")
            said = self.control.ask("netdev-dummy/receive", *probe.words)
            self.control.ask("version")
            heard = self.listener.ask([])
            told = []
            for _ in range(5):          # What is paused goes on.
                told += map(quiet, map(format_message, heard))
                paused = [message for message in heard if message[8:16] == PACKET_IN2
                          and "continuation" in format_message(message)]
                if not paused:
                    break
                heard = self.listener.ask([message[:8] + RESUME + message[16:] for message in paused])
                self.control.ask("version")
                heard += self.listener.ask([])
            return [said, *self.frames(), *told]
        if probe.kind == "keys":
            return [line for key in probe.words
                    for line in [key, *number_recirculations(self.control.ask("ofproto/trace", key)).splitlines()]]
        command = "ofproto/trace" if probe.kind == "trace" else "ofproto/trace-packet-out"
        return number_recirculations(self.control.ask(command, *probe.words)).splitlines()

    def keys(self) -> list[str]:
        """What some flows of the datapath match, but for what comes back."""
        lines = self.control.ask("dpctl/dump-flows", "-m").splitlines()
        keys = [line.split(", packets:")[0].partition(", ")[2] for line in lines]
        return sorted(key for key in keys if "recirc_id(0)" in key and "eth(" in key
                      and not re.search(r"eth_type\(0/|nsh\(|encap\(\)", key))[:3]

    def dumps(self) -> dict[str, list[str]]:
        """What the frames of a case have left behind."""
        found = {"datapath flows": [blank(line) for line in self.control.ask("dpctl/dump-flows").splitlines()]}
        self.control.ask("revalidator/purge")           # Counts what the flows counted, at once.
        for name, request, version in (
                ("flows", FlowStatsRequest(), 6), ("groups", GroupStatsRequest(0xfffffffc), 6),
                ("meters", MeterStatsRequest(0xffffffff), 4)):
            texts = [format_message(message)
                     for message in self.channels[version].ask([encode(request, version, 9)])]
            # What 1.5 cannot say is no use in a comparison.
            found[name] = [] if any("decode error" in text for text in texts) else [
                blank(line) for text in texts for line in text.splitlines()[1:]]
        return {name: sorted(lines) for name, lines in found.items()}


def quiet(text: str) -> str:
    """A packet-in without its number and its continuation."""
    text = re.sub(r"\(xid=0x\w+\)", "", text)
    return re.sub(r"(continuation\.bridge=)\S+", r"\1B", text)


def blank(line: str) -> str:
    """A line of a dump without times and numbers of recirculations."""
    line = re.sub(r"recirc(_id)?\((0x[0-9a-f]*[1-9a-f][0-9a-f]*|[1-9]\d*)\)", r"recirc\1(N)", line)
    line = re.sub(r"recirc_id=\d+", "recirc_id=N", line)
    line = re.sub(r"dp_hash\(0x[0-9a-f]*(.)/0xf\)", r"dp_hash(\1)", line)
    line = re.sub(r"(?<=[(,])mpls\([^)]*\)", "mpls()", line)   # Ours match whole labels.
    line = re.sub(r"duration=[\d.]+s|idle_age=\d+,?|hard_age=\d+,?|used:[\d.]+s|used:never|duration:[\d.]+", "T", line)
    return line


def number_recirculations(text: str) -> str:
    """Text whose recirculation ids are counted from 1 by first appearance."""
    numbers: dict[str, int] = {}

    def count(match: re.Match) -> str:
        value = match[2]
        if int(value, 0) == 0:
            return match[0]
        return f"{match[1]}#{numbers.setdefault(hex(int(value, 0)), len(numbers) + 1)}"

    return re.sub(r"(recirc\(|recirc_id=|recirc_id\()(0x[0-9a-f]+|\d+)", count, text)


def _split(actions: str) -> list[str]:
    """Datapath actions, one by one."""
    found, depth, begin = [], 0, 0
    for at, char in enumerate(actions + ","):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            found.append(actions[begin:at])
            begin = at + 1
    return found


def settle_floods(line: str) -> str:
    """A line with its datapath actions in one order, each with the tags it meets: that of the
    reference's floods is chance."""
    head, sign, actions = line.rpartition("actions:")
    if not sign:
        return line
    tags: list[str] = []
    found = []
    for word in _split(actions.strip()):
        if word.startswith("push_vlan"):
            tags = [] if tags == ["popped"] else [*tags, word]
        elif word == "pop_vlan":
            tags = tags[:-1] if tags else ["popped"]
        else:
            found.append("/".join([*tags, word]))
    return head + sign + " ".join(sorted(found))


class Gone(Exception):
    """The reference has ended, and another one has been started."""


class Pair:
    """Both switches."""

    def __init__(self, directory: Path, setting: Configuration = Configuration()):
        self._switches: list[Switch] = []
        self._directory, self._setting = directory, setting
        try:
            self.real, self.ours = self._side(True), self._side(False)
        except BaseException:
            self.close()
            raise

    def _side(self, real: bool) -> Side:
        switch = Switch(self._directory / f"{'real' if real else 'ours'}{len(self._switches)}", real)
        self._switches.append(switch)
        return Side(switch, self._setting)

    def both(self, method, *arguments):
        """The answers of both to a method of Side."""
        try:
            theirs = method(self.real, *arguments)
        except (OSError, struct.error) as error:      # It runs into its own assertions at times.
            self.real.switch.close()
            self.real = self._side(True)
            raise Gone from error
        return [theirs, method(self.ours, *arguments)]

    def difference(self, case: cases.Case) -> str | None:
        """What differs first, as lines "- theirs" and "+ ours"; None also where the reference
        does not live to tell."""
        try:
            return self._difference(case)
        except Gone:
            return None

    def _difference(self, case: cases.Case) -> str | None:
        theirs, ours = self.both(Side.load, case)
        if ours != theirs:
            return _diff("errors", theirs, ours)
        with_frames, said = False, " ".join(flow.text() for flow in (*case.flows, *case.flows1))
        for probe in case.probes:
            if probe.kind == "keys" and not probe.words:
                probe = replace(probe, words=tuple(self.real.keys()))
            theirs, ours = self.both(Side.put, probe)
            with_frames |= probe.kind == "frame"
            if ours != theirs and not is_known(theirs, ours, probe, said):
                return _diff(f"{probe.kind} {' '.join(probe.words)}", theirs, ours)
        if with_frames:
            theirs, ours = self.both(Side.dumps)
            if any(set(probe.words) & {"-generate"} or probe.kind in ("trace", "packet-out")
                   and probe.words[-1].isalnum() for probe in case.probes):
                theirs.pop("meters")        # The reference has counted what was traced.
            for name in theirs:
                if ours[name] != theirs[name] and not is_known(
                        theirs[name], ours[name], None, said):
                    return _diff(name, theirs[name], ours[name])
        return None

    def close(self) -> None:
        """Ends both."""
        for switch in self._switches:
            switch.close()


def is_known(theirs: list[str], ours: list[str], probe: cases.Probe | None,
             text: str = "") -> bool:
    """Whether the difference is one of docs/compatibility.md."""
    if probe is not None and probe.kind == "frame":
        # The action set is carried out twice after the one, and forgotten by the other.
        return sorted(theirs) == sorted(ours) or "_actions" in text and bool(
            re.search("check_pkt_larger|pause", text))
    if probe is not None:
        text = ""
    if probe is not None and probe.kind == "packet-out" and any(
            "Recirculation conflict (actions)" in line for line in theirs):
        return True             # The reference gives the actions to what resumes, too.
    if any("Translation failed" in line for line in theirs):
        # What was looked at until then is of no use to anybody.
        theirs, ours = ([line for line in lines if not line.startswith("Megaflow")]
                        for lines in (theirs, ours))
    text += "\n".join(theirs)
    if "check_pkt_larger" in text and "Executing action set" in text:
        return True             # The reference carries it out twice.
    if "symmetric_l3l4" in text:            # Of what is no IP the reference forgets the addresses.
        theirs, ours = ([re.sub(r",dl_(src|dst)=[^,]*", "", line) if line.startswith("Megaflow")
                         else line for line in lines] for lines in (theirs, ours))
    if probe is None and ("NORMAL" in text or "learn(" in text) and set(theirs) < set(ours):
        return True             # The reference deletes what changed before it was used.
    theirs, ours = ([line for line, _ in itertools.groupby(map(settle, lines))]
                    for lines in (theirs, ours))
    if theirs == ours:
        return True
    return bool(re.search("NORMAL|FLOOD|ALL", text)) and (
        forget_order(map(forget_changes, theirs)) == forget_order(map(forget_changes, ours)))


def forget_order(lines: Iterable[str]) -> list[str]:
    """Lines of a trace in one order, without their depth, where floods go elsewhere."""
    return sorted({line.strip() for line in lines})


def forget_changes(line: str) -> str:
    """A settled line with its actions but for changes of the packet, which depend on the order."""
    line = re.sub(r"\bset\([a-z_]+\([^()]*\)\)|push_vlan\([^()]*\)|pop_vlan|popped|clone", "", line)
    return " ".join(sorted(re.findall(r"[\w.:=]+", line)))


def settle(line: str) -> str:
    """A line without what is chance in the reference, or depends on what was freed when."""
    # Here megaflows of frames with VLAN ID 0 match their priority.
    line = re.sub(r"dl_vlan=0,dl_vlan_pcp=\d", "dl_vlan=0", line)
    line = re.sub(r"vlan\(vid=0(,pcp=\d(/0x0)?)?\)", "vlan(vid=0)", line)
    line = line.replace("/0xfffff,nw", ",nw")       # of ipv6_label: all of it
    line = re.sub(r"(?<=\bmeter\()\d+", "N", re.sub(r"#\d+", "#", line))
    # Of neighbor discovery some of its roads take the type of the option for flags.
    return re.sub(r", flags:[SF](?=, actions)", "", settle_floods(line))


def _diff(title: str, theirs: list[str], ours: list[str]) -> str:
    import difflib
    lines = list(difflib.unified_diff(theirs, ours, lineterm="", n=2))[2:]
    return "\n".join([title, *lines])


# Less of it.


def _without(items: tuple) -> Iterator[tuple]:
    step = len(items)
    while step:
        for at in range(0, len(items), step):
            yield items[:at] + items[at + step:]
        step //= 2


def _fewer_actions(actions: tuple) -> Iterator[tuple]:
    for at, action in enumerate(actions):
        yield actions[:at] + actions[at + 1:]
        if not isinstance(action, str):
            yield actions[:at] + action[1] + actions[at + 1:]
            for inner in _fewer_actions(action[1]):
                yield (*actions[:at], (action[0], inner, action[2]), *actions[at + 1:])


def smaller(case: cases.Case) -> Iterator[cases.Case]:
    """Cases that lack something."""
    for name in ("probes", "flows", "flows1", "groups", "meters"):
        if len(getattr(case, name)) >= 1:
            for items in _without(getattr(case, name)):
                yield replace(case, **{name: items})
    for at, flow in enumerate(case.flows):
        for actions in _fewer_actions(flow.actions):
            yield replace(case, flows=(*case.flows[:at], replace(flow, actions=actions), *case.flows[at + 1:]))
        for index in range(1, len(flow.head)):
            head = flow.head[:index] + flow.head[index + 1:]
            yield replace(case, flows=(*case.flows[:at], replace(flow, head=head), *case.flows[at + 1:]))
    for at, (head, buckets) in enumerate(case.groups):
        for fewer in _without(buckets):
            yield replace(case, groups=(*case.groups[:at], (head, fewer), *case.groups[at + 1:]))
        for index, (words, actions) in enumerate(buckets):
            for fewer in _fewer_actions(actions):
                changed = (*buckets[:index], (words, fewer), *buckets[index + 1:])
                yield replace(case, groups=(*case.groups[:at], (head, changed), *case.groups[at + 1:]))
    for at, probe in enumerate(case.probes):
        for index, word in enumerate(probe.words):
            if "," in word and "=" in word:
                parts = word.split(",")
                for skip in range(len(parts)):
                    words = (*probe.words[:index], ",".join(parts[:skip] + parts[skip + 1:]), *probe.words[index + 1:])
                    yield replace(case, probes=(*case.probes[:at], replace(probe, words=words), *case.probes[at + 1:]))
            elif word.startswith("-") and word != "--ct-next":
                yield replace(case, probes=(*case.probes[:at], replace(
                    probe, words=probe.words[:index] + probe.words[index + 1:]), *case.probes[at + 1:]))


def kind_of(difference: str) -> str:
    """What a shrunken case must still show: the same kind of dump or probe, and line."""
    title, _, rest = difference.partition("\n")
    line = next((line for line in rest.splitlines() if line[0] in "-+"), "")
    return title.split()[0] + re.sub(r"[\d.:a-f]+", "", line)[:12]


def shrink(pair: Pair, case: cases.Case, difference: str, budget: int = 250) -> tuple[cases.Case, str]:
    """A smaller case that differs in the same way, and how."""
    wanted, tried = kind_of(difference), 0
    progress = True
    while progress and tried < budget:
        progress = False
        for candidate in smaller(case):
            tried += 1
            if tried > budget:
                break
            try:
                found = pair.difference(candidate)
            except (cases.FlowTextError, ValueError):
                continue
            if found is not None and kind_of(found) == wanted:
                case, difference, progress = candidate, found, True
                break
    return case, difference


def describe(case: cases.Case) -> str:
    """A case as lines."""
    return "\n".join(itertools.chain(
        [f"OpenFlow version {case.version}"], case.meters, map(cases.group_text, case.groups),
        (flow.text() for flow in case.flows), (f"br1: {flow.text()}" for flow in case.flows1),
        (f"{probe.kind} {' '.join(probe.words)}" for probe in case.probes)))


def main(arguments: list[str]) -> None:
    """Runs the seeds of a range and prints what differs, as small as it gets."""
    import time
    first, last = int(arguments[0]), int(arguments[1])
    most = int(arguments[2]) if len(arguments) > 2 else 10
    setting = configuration(int(arguments[3]) if len(arguments) > 3 else 0)
    n_probes = n_found = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        pair = Pair(Path(directory), setting)
        try:
            for seed in range(first, last):
                case = cases.make_case(seed)
                n_probes += len(case.probes)
                try:
                    found = pair.difference(case)
                except (ConnectionError, OSError) as error:
                    print(f"=== seed {seed}: {error!r}\n{describe(case)}", flush=True)
                    print("\n".join(pair.ours.switch.complaints()[-5:]))
                    raise
                if found is not None:
                    n_found += 1
                    before = found
                    case, found = shrink(pair, case, found)
                    print(f"=== seed {seed} ({before.splitlines()[0][:60]})\n{describe(case)}\n{found}\n", flush=True)
                    if n_found >= most:
                        break
        finally:
            print(f"{seed - first + 1} cases, {n_probes} probes, {n_found} differ, "
                  f"{time.monotonic() - began:.1f} s")
            pair.close()


if __name__ == "__main__":
    main(sys.argv[1:])
