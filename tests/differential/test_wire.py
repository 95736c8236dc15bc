"""Messages and actions changed along their structure: ours beside Debian's programs.

Texts of messages (`ofp-parse`) and of lists of actions and instructions (`parse-actions`,
`parse-instructions`) are compared in full. Both switches are sent the same requests over
BRIDGE.mgmt, and their answers are compared, now and then also their flows, groups and meters.
All is seeded. A few seeds run always; those marked `long` are many.
"""

import io
import json
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_print import shown_by_reference
from tests.fuzz.structure import change, elements, mutate, pieces
from utilities.ofctl import debug
from vswitchd.openflow.framing import OpenFlowError, identify
from vswitchd.openflow.print import format_message

pytestmark = [
    pytest.mark.differential,
    pytest.mark.skipif(not shutil.which("ovs-ofctl"), reason="ovs-ofctl is not installed")]

RECORDED = Path(__file__).parents[1] / "vswitchd" / "openflow" / "data" / "printed.jsonl"
VERSIONS = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13", 5: "OpenFlow14",
            6: "OpenFlow15"}
CHANGES = (0, 1, 1, 1, 1, 2, 2, 3, 5)
_HASH_TABLE = {"OFPBAC_BAD_SET_LEN", "OFPBAC_BAD_SET_TYPE", "OFPBMC_BAD_LEN",
               "OFPBMC_BAD_WILDCARDS"}
"""Which of these the reference says of an unknown field depends on its hash table."""


def sound() -> dict[tuple[str, int], list[bytes]]:
    """{(row, version): recorded messages}"""
    found = defaultdict(list)
    for line in RECORDED.read_text().splitlines():
        data = bytes.fromhex(json.loads(line)["message"])
        try:
            raw, header, _ = identify(data)
        except OpenFlowError:
            continue
        if header.length == len(data) < 3000:
            found[raw.name, header.version].append(data)
    return {key: found[key] for key in sorted(found)}


def errors(text: str) -> set[str]:
    return set(re.findall(r"\b(?:OFP|NX)[A-Z]+C_[A-Z_]+", text))


def is_known(theirs: str, ours: str) -> bool:
    """Whether docs/compatibility.md tells of the difference."""
    said = errors(theirs) | errors(ours)
    return (bool(said) and said <= _HASH_TABLE
            or "NXT_CT_FLUSH" in theirs
            # The reference takes an experimenter's property for one of its own.
            or "TABLE_FEATURES" in theirs and "OFPBPC_BAD_LEN" in theirs)


# Texts of messages.


@pytest.mark.parametrize("seed, count", [
    (1, 6000), *(pytest.param(seed, 40000, marks=pytest.mark.long) for seed in (2, 3))])
def test_messages_are_shown_as_the_reference_shows_them(seed, count, tmp_path):
    rng = random.Random(seed)
    groups = list(sound().values())
    others = pieces(data for group in groups for data in group)
    messages = [mutate(rng, rng.choice(rng.choice(groups)), rng.choice(CHANGES), others)
                for _ in range(count)]
    shown = shown_by_reference(messages, tmp_path)
    different = [(data.hex(), theirs, ours)
                 for data, theirs in zip(messages, shown, strict=True)
                 if (ours := format_message(data, 2)) != theirs and not is_known(theirs, ours)]
    assert len(different) <= count // 10000, different[:3]


# Lists of actions and instructions.


def action_pool(version: int) -> list[bytes]:
    """Actions from recorded messages that `version` may know."""
    found = set()
    for (_, spoken), group in sound().items():
        for message in group:
            for one in elements(message):
                data = message[one.at:one.at + one.size]
                if one.length_at != one.at + 2 or not 8 <= one.size <= 160 or one.size & 7:
                    continue
                if data[:2] == b"\xff\xff" or (spoken > 1) == (version > 1) and data[0] == 0:
                    found.add(data)
    return sorted(found)


def action_list(rng: random.Random, pool: list[bytes], instructions: bool) -> bytes:
    items = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(pool)
        if rng.random() < 0.6:
            message = bytearray(8) + data
            change(rng, message, pool)
            data = bytes(message[8:])
            data += bytes(-len(data) % 8)
            if len(data) >= 4 and rng.random() < 0.7:
                data = data[:2] + struct.pack("!H", len(data) & 0xFFFF) + data[4:]
        items.append(data)
    data = b"".join(items)[:60000]
    if instructions and rng.random() < 0.85:
        data = struct.pack("!HH4x", rng.choice((3, 4, 4, 4)), len(data) + 8) + data
    return data


class Settings:
    """What the commands want to know."""

    strict, verbosity = False, 0


@pytest.mark.parametrize("seed, count", [(1, 250), pytest.param(2, 3000, marks=pytest.mark.long)])
@pytest.mark.parametrize("command, parse", [("parse-actions", debug.parse_actions),
                                            ("parse-instructions", debug.parse_instructions)])
@pytest.mark.parametrize("version", VERSIONS)
def test_actions_are_read_as_the_reference_reads_them(version, command, parse, seed, count,
                                                      monkeypatch):
    rng = random.Random(f"{seed} {version} {command}")
    pool = action_pool(version)
    lists = (action_list(rng, pool, command == "parse-instructions") for _ in range(count))
    lines = [data.hex() for data in lists if data]
    done = subprocess.run(["ovs-ofctl", "-voff", command, VERSIONS[version]],
                          input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    monkeypatch.setattr(debug, "warn", lambda module, text: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    monkeypatch.setattr(sys, "stdout", printed)
    parse(Settings, [VERSIONS[version]])
    monkeypatch.undo()
    ours = printed.buffer.getvalue().decode()
    rows = zip(lines, done.stdout.split("\n\n"), ours.split("\n\n"))
    different = [row for row in rows if row[1] != row[2] and not is_known_action(*row)]
    assert ours.count("\n\n") == len(lines)
    assert len(different) <= count // 1000, different[:3]


def is_known_action(line: str, theirs: str, ours: str) -> bool:
    """Whether docs/compatibility.md tells of the difference, or has the action only since 3.1."""
    return (is_known(theirs, ours)
            or "00002320000d" in line                   # Reserved fields of bundle_load.
            or "0000232000" in line and "sample" in ours
            or "000023200033" in line                   # sample with fields as ids.
            or "000023200001" in line or "000023200025" in line     # Shortest forms.
            or "00002320002e" in line                   # Versions of NSH.
            or "set_mpls_" in theirs and "BAD_ARGUMENT" in ours)


# Both switches.

SETUP = """ovs-vsctl -- add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
other-config:datapath-id=fedcba9876543210 other-config:hwaddr=aa:55:aa:55:00:00 \
protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15 \
-- add-port br0 p1 -- set Interface p1 type=dummy ofport_request=1 \
&& ovs-vsctl add-port br0 p2 -- set Interface p2 type=dummy ofport_request=2"""
RESET = """o() { ovs-ofctl -O OpenFlow15 "$@"; }
o del-groups br0; o del-meters br0; o del-flows br0; ovs-ofctl del-tlv-map br0
o add-group br0 group_id=1,type=all,bucket=actions=output:1,bucket=actions=output:2
o add-group br0 group_id=2,type=select,bucket=weight:10,actions=output:1
o add-meter br0 meter=1,kbps,burst,bands=type=drop,rate=100,burst_size=10
o add-flow br0 cookie=1,priority=10,in_port=1,ip,actions=output:2
o add-flow br0 priority=5,tcp,tp_dst=80,actions=resubmit\\(,1\\)
o add-flow br0 table=1,actions=output:1
for p in p1 p2 br0; do ovs-ofctl mod-port br0 $p up; done; ovs-ofctl set-frags br0 normal
ovs-ofctl -O OpenFlow14 mod-table br0 all noevict; ovs-ofctl -O OpenFlow14 mod-table br0 all novacancy
ovs-ofctl -O OpenFlow11 mod-table br0 all controller"""
STATE = "; ".join(f"ovs-ofctl -O OpenFlow15 {command} br0"
                  for command in ("dump-flows", "dump-groups", "dump-meters", "dump-tlv-map"))
_NO_REQUESTS = ("PACKET_IN", "FLOW_REMOVED", "PORT_STATUS", "REPLY", "HELLO", "OFPT_ERROR",
                "BUNDLE", "CT_FLUSH", "PORT_MOD", "OFPST10_PORT", "OFPST11_PORT", "PORT_DESC",
                "TABLE_FEATURES", "MONITOR", "TABLE_MOD", "OFPST_TABLE", "FEATURES_REQUEST",
                "PACKET_OUT", "OFPST_DESC")
"""What is no request, or whose answers tell of times, of chance, or of known differences."""
PER_CONNECTION = 50
N_STATES = 4                    # Connections after which the state is looked at.


def requests(version: int) -> list[list[bytes]]:
    return [group for (name, spoken), group in sound().items()
            if spoken == version and not any(word in name for word in _NO_REQUESTS)
            and not identify(group[0])[0].is_reply]


class Client:
    """A connection to a switch's br0.mgmt in one version."""

    def __init__(self, switch: Switch, version: int) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(20)
        self.stream.connect(str(switch.directory / "br0.mgmt"))
        self.version, self.data = version, b""
        self.stream.sendall(struct.pack("!BBHI", version, 0, 8, 1))
        self.read()

    def read(self) -> bytes | None:
        """The next message, None at the end."""
        while len(self.data) < 8 or len(self.data) < int.from_bytes(self.data[2:4], "big"):
            try:
                more = self.stream.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self.data += more
        size = int.from_bytes(self.data[2:4], "big")
        message, self.data = self.data[:size], self.data[size:]
        return message

    def ask(self, data: bytes, xid: int) -> list[str]:
        """What comes before the reply to a barrier that follows `data`, as comparable text."""
        kind, found = 18 if self.version == 1 else 20, []
        self.stream.sendall(data + struct.pack("!BBHI", self.version, kind, 8, xid))
        while (message := self.read()) is not None:
            if message[1] == kind + 1 and message[4:8] == struct.pack("!I", xid):
                return found
            if message[1] != 12:                # Ports' liveness is told when it is noticed.
                found.append(comparable(message))
        return [*found, "closed"]


def comparable(message: bytes) -> str:
    if message[1] == 1:
        return f"{message.hex()} {format_message(message, 0).splitlines()[0]}"
    text = re.sub(r"Software: .*|duration[:=]?[\d.]+s?|(idle|hard)_age=\d+, ?", "", format_message(message, 2))
    first, *rest = text.splitlines()
    return "\n".join([first, *sorted(rest)])


def as_request(rng: random.Random, version: int, data: bytes, xid: int) -> bytes:
    """`data` as one whole request of `version`."""
    data = bytes([version]) + data[1:4] + struct.pack("!I", xid) + data[8:]
    if data[1] == (16 if version == 1 else 18) and len(data) >= 12:
        data = data[:11] + bytes([data[11] & ~1]) + data[12:]       # Not one of several parts.
    return data


@pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")
@pytest.mark.long
@pytest.mark.parametrize("seed, count", [(1, 250)])
def test_switches_answer_changed_requests_alike(seed, count, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        switches = list(pool.map(lambda real: Switch(tmp_path / str(real), real), (True, False)))
        try:
            for printed in pool.map(lambda switch: switch.run(SETUP), switches):
                assert printed == ""
            different = [row for version in VERSIONS
                         for row in compare(pool, switches, version, seed, count)]
        finally:
            list(pool.map(Switch.close, switches))
    assert different == [], json.dumps(different[:5], indent=1)


def compare(pool, switches: list[Switch], version: int, seed: int, count: int) -> list[tuple]:
    """What the switches answered differently: (request, theirs, ours)."""
    rng = random.Random(f"{seed} {version}")
    groups, different, clients = requests(version), [], []
    others = pieces(data for group in groups for data in group)
    for number in range(count):
        if number % PER_CONNECTION == 0:
            different += renew(pool, switches, number)
            for client in clients:
                client.stream.close()
            clients = [Client(switch, version) for switch in switches]
        data = mutate(rng, rng.choice(rng.choice(groups)), rng.choice(CHANGES), others)
        if len(data) < 8 or b"\x23\x20\x00\xfe" in data or b"\x23\x20\x00\xff" in data:
            continue                            # Actions that only tests have.
        data = as_request(rng, version, data, 2 * number + 0x1000)
        theirs, ours = pool.map(lambda client: client.ask(data, 2 * number + 0x1001), clients)
        if theirs != ours:
            if not is_known_answer("".join(theirs), "".join(ours)):
                different.append((data.hex(), theirs, ours))
            list(pool.map(lambda switch: switch.run(RESET), switches))
        if "closed" in theirs or "closed" in ours:
            clients = [Client(switch, version) for switch in switches]
    return different + renew(pool, switches, 0)


def is_known_answer(theirs: str, ours: str) -> bool:
    """Whether docs/compatibility.md tells of it."""
    return (is_known(theirs, ours)
            or "OFPMMFC_BAD_BAND" in theirs and not ours        # dscp_remark.
            or "OFPT_ERROR (xid=0x0)" in theirs         # It reads a header that is not there.
            or "INVALID_TLV_FIELD" in theirs + ours             # What else is wrong goes first.
            or "BAD_ARGUMENT" in ours and not theirs)           # bundle_load, set_mpls_*.


def renew(pool, switches: list[Switch], number: int) -> list[tuple]:
    """Compares what the switches hold and gives them their flows, groups and meters anew."""
    if number % (PER_CONNECTION * N_STATES):
        return []
    theirs, ours = (sorted(normal(switch.run(STATE), switch.directory).splitlines())
                    for switch in switches)
    list(pool.map(lambda switch: switch.run(RESET), switches))
    return [] if theirs == ours else [("state", theirs, ours)]
