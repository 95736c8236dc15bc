"""ovs-ofctl with transcripts that have gaps: long replies are cut, and what came after one is lost
up to some later message.

`Stand` answers in the switch's place: what is recorded as it is, the rest as any switch would. What
was heard from the reference's client must be heard from ours, in that order and with the same
transaction ids, which count what is lost too; what it printed must be printed.

`data/cut_transcripts.jsonl` is like `data/transcripts.jsonl`, but for its first line (the starts of
table statistics) and long replies: a head and its start, or of table features the head alone.
"""

import json
import os
import re
import shlex
import socket
import struct
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from schema.openflow.limits import PORT_LOCAL
from tests.utilities.oracle import run_ours
from tests.utilities.replay import read_message
from tests.utilities.test_ofctl_transcripts import FILES
from utilities.ofctl import main
from vswitchd.openflow.features import N_TABLES, encoded_reply, table_features
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.port import Port, PortDescReply
from vswitchd.openflow.messages.table import TableStats, TableStatsReply
from vswitchd.openflow.messages.table_config import TableDesc, TableDescReply

STARTS, *ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "cut_transcripts.jsonl").read_text().splitlines()]
HELLO, FEATURES, EXPERIMENTER, STATS, BARRIER, BUNDLE = 0, 5, 4, 18, 20, 33
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def of_kind(rows: list[dict], version: str, kind: int) -> str:
    """A message of the switch in some row."""
    return next(said for row in rows if row["version"] == version for said in row["said"]
                if said[0] == "S" and int(said[3:5], 16) == kind)


class Stand:
    """A switch on a socket that knows a part of what one said; see the head of this file."""

    def __init__(self, path: Path, row: dict) -> None:
        self.heard: list[bytes] = []
        self._row = row
        self._said = [said[1:] for said in row["said"] if said[0] == "S"]
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Stand":
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)

    def _serve(self) -> None:
        while True:
            try:
                peer = self._listener.accept()[0]
            except OSError:
                return
            with peer:
                peer.settimeout(10)
                try:
                    while data := read_message(peer):
                        self.heard.append(data)
                        peer.sendall(b"".join(self._answers(data)))
                except OSError:
                    pass                        # the client has gone

    def _answers(self, data: bytes) -> list[bytes]:
        version, kind, _, xid = struct.unpack_from("!BBHI", data)
        if kind == HELLO:
            return [bytes.fromhex(next(said for said in self._said if said[2:4] == "00"))]
        recorded = [said for said in self._said
                    if int(said[8:16], 16) == xid and said[2:4] != "00"]
        if recorded:
            return self._whole(recorded[0])
        if kind == FEATURES:
            said = of_kind(ROWS, self._row["version"], kind + 1)
            return [bytes.fromhex(said[1:9]) + data[4:8] + bytes.fromhex(said[17:])]
        if kind == STATS and data[8:10] == b"\0\x0d":
            local = Port(PORT_LOCAL, b"\2" + b"\0" * 5, "br0")
            return [encode(PortDescReply((local,)), version, xid)]
        if kind == STATS and data[8:10] == b"\0\x0e":
            return [encode(TableDescReply(tuple(map(TableDesc, range(N_TABLES)))), version, xid)]
        if kind in (BUNDLE, EXPERIMENTER) and data[8:16] != b"\0\0\x23\x20\0\0\0\x0f":
            request = struct.unpack_from("!H", data, len(data) - 4)[0]
            return [data[:-4] + struct.pack("!HH", request + 1, 0)] if len(data) < 32 else []
        return [data[:1] + bytes([BARRIER + 1]) + data[2:]] if kind == BARRIER else []

    def _whole(self, said: str) -> list[bytes]:
        """A recorded message, long ones with what is lost of them."""
        head, at, start = said.partition("@")
        version, _, size, xid = struct.unpack("!BBHI", bytes.fromhex(head[:16]))
        if at:
            tables = encode(TableStatsReply(tuple(
                TableStats(number, 0, 0, 0, table_features(number, version, True))
                for number in range(N_TABLES))), version, xid)
            known = bytes.fromhex(head + STARTS[int(start)])
            assert len(tables) == size
            return [known + tables[len(known):]]
        if size > len(head) // 2:
            return [part[:4] + struct.pack("!I", xid) + part[8:] for part in encoded_reply(version)]
        return [bytes.fromhex(head)]


@pytest.mark.parametrize("version", sorted({row["version"] for row in ROWS}))
def test_commands_say_and_show_what_the_reference_did(version, tmp_path):
    machine = SimpleNamespace(directory=tmp_path, environment={
        "PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_RUNDIR": str(tmp_path),
        "OVS_CTL_TIMEOUT": "10"})
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    rows = [row for row in ROWS if row["version"] == version]
    for row in rows:
        with Stand(tmp_path / "SW.mgmt", row) as switch:
            outcome = run_ours(main, ["-O", version, *shlex.split(row["command"])], machine)
        heard = iter(switch.heard)
        for said in row["said"]:
            if said[0] == "C":
                assert bytes.fromhex(said[1:]) in heard, (row["command"], said, switch.heard)
        assert (row["command"], outcome.stdout) == (row["command"], row["stdout"])
        assert _DATE.sub("", outcome.stderr).strip() == _DATE.sub("", row["stderr"]).strip()
        assert outcome.code == row["code"]
