"""How fast packets go between controller and switch, and through large tables, beside the installed
switch.

    python bench/packets.py [SECONDS]       of each measurement, 1 if not given

A controller of its own speaks OpenFlow 1.3 on a socket of the bridge. Packet-outs that output to a
port; packet-ins, which packet-outs to the tables bring about, 80 on the way; lookups, which are
packet-outs to the tables with 100,000 rules of an access list, a firewall and an IP chain, each
frame with other headers. Then insertion: the rate at which a bundle of 10,000 flows goes in when
there are as many masks. Rates are per second and per second of the switch's processor time. Ours
and the peer's take turns; the best of two rounds counts.
"""

import select
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flows import ROUNDS, Switch
from rules import PROFILES, make_flows, make_frames

_HEADER = struct.Struct("!BBHI")
_HELLO, _SET_CONFIG, _PACKET_IN, _PACKET_OUT, _BARRIER, _BARRIER_REPLY = 0, 9, 10, 13, 20, 21
_TABLE = 0xfffffff9
_N_RULES = 100_000
_N_FRAMES = 20_000
_MASKS = (1, 10, 100, 1000, 10_000)


class Controller:
    """A connection that counts what comes."""

    def __init__(self, switch: Switch) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(switch.directory / "br0.mgmt"))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._socket.setblocking(False)
        self._rest = b""
        self.counts: dict[int, int] = {}
        self.exchange(_HEADER.pack(4, _HELLO, 8, 1))
        self.exchange(_HEADER.pack(4, _SET_CONFIG, 12, 2) + struct.pack("!HH", 0, 0xffff))

    def exchange(self, data: bytes) -> None:
        """Sends, reading what comes meanwhile."""
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self._socket], [self._socket], [])
            if readable:
                self.receive()
            if writable:
                view = view[self._socket.send(view):]

    def receive(self) -> None:
        """Counts the messages that have come."""
        data = self._rest + self._socket.recv(1 << 18)
        at = 0
        while len(data) - at >= 8:
            length = data[at + 2] << 8 | data[at + 3]
            if len(data) - at < length:
                break
            self.counts[data[at + 1]] = self.counts.get(data[at + 1], 0) + 1
            at += length
        self._rest = data[at:]

    def await_count(self, kind: int, count: int) -> None:
        """Waits until so many messages of a kind have come."""
        end = time.monotonic() + 20
        while self.counts.get(kind, 0) < count:
            if not select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
                raise SystemExit(f"waited in vain: {self.counts}")
            self.receive()

    def barrier(self) -> None:
        """Waits until all that was sent is done."""
        count = self.counts.get(_BARRIER_REPLY, 0)
        self.exchange(_HEADER.pack(4, _BARRIER, 8, 3))
        self.await_count(_BARRIER_REPLY, count + 1)


def packet_out(frame: bytes, port: int) -> bytes:
    """A packet-out of OpenFlow 1.3, from port 1."""
    body = struct.pack("!IIH6xHHIH6x", 0xffffffff, 1, 16, 0, 16, port, 0) + frame
    return _HEADER.pack(4, _PACKET_OUT, 8 + len(body), 4) + body


def _rates(switch: Switch, count: int, began: float, cpu: float) -> tuple[float, float]:
    seconds, busy = time.perf_counter() - began, switch.cpu() - cpu
    return count / seconds, count / max(busy, 0.01)


def send_all(switch: Switch, messages: list[bytes], seconds: float) -> tuple[float, float]:
    """Packet-outs per second, and per second of the switch's processor time."""
    controller = Controller(switch)
    chunks = [b"".join(messages[at:at + 500]) for at in range(0, len(messages), 500)]
    controller.exchange(chunks[0])
    controller.barrier()
    count, cpu, began = 0, switch.cpu(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for chunk in chunks:
            controller.exchange(chunk)
        count += len(messages)
    controller.barrier()
    return _rates(switch, count, began, cpu)


def bring_in(switch: Switch, messages: list[bytes], seconds: float) -> tuple[float, float]:
    """The same of packet-ins."""
    controller = Controller(switch)
    # The installed switch drops what is more than 100 messages ahead of the reader.
    chunks = [b"".join(messages[at:at + 40]) for at in range(0, len(messages), 40)]
    sent, cpu, began = 0, switch.cpu(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for chunk in chunks:
            controller.exchange(chunk)
            sent += 40
            controller.await_count(_PACKET_IN, sent - 40)
    controller.await_count(_PACKET_IN, sent)
    return _rates(switch, sent, began, cpu)


def insert(switch: Switch, directory: Path, n_masks: int) -> tuple[float, float]:
    """Flows per second of a bundle whose flows have so many masks."""
    count, path = 10_000, directory / f"masks{n_masks}.txt"
    with path.open("w") as file:
        for n in range(count):
            mask = n % n_masks + 1              # bits of the register that are asked for
            file.write(f"priority={n % 50 + 1},tcp,nw_src=10.{n >> 8 & 255}.{n & 255}.1,"
                       f"reg1={n & mask:#x}/{mask:#x},reg2={n:#x},actions=output:2\n")
    cpu, began = switch.cpu(), time.perf_counter()
    switch.time("--bundle", "add-flows", "br0", str(path))
    rates = _rates(switch, count, began, cpu)
    switch.time("del-flows", "br0")
    return rates


def measure(ours: bool, seconds: float, directory: Path) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each figure of one side."""
    switch = Switch(ours)
    try:
        for port in (1, 2, 3, 4):
            switch.vsctl("add-port", "br0", f"p{port}", "--", "set", "interface", f"p{port}",
                         "type=dummy", f"ofport_request={port}")
        frames = make_frames(make_flows("acl", 1000)[1], _N_FRAMES)
        yield "packet-outs", send_all(switch, [packet_out(frame, 2) for frame in frames], seconds)
        switch.time("add-flow", "br0", "actions=controller")
        yield "packet-ins", bring_in(switch, [packet_out(frame, _TABLE) for frame in frames],
                                     seconds)
        switch.time("del-flows", "br0")
        for profile in PROFILES:
            flows, rules = make_flows(profile, _N_RULES)
            path = directory / f"{profile}.txt"
            path.write_text("\n".join(flows) + "\n")
            cpu, began = switch.cpu(), time.perf_counter()
            switch.time("--bundle", "add-flows", "br0", str(path))
            yield f"insertion, {profile}, {_N_RULES:,} rules", _rates(switch, _N_RULES, began, cpu)
            messages = [packet_out(frame, _TABLE) for frame in make_frames(rules, _N_FRAMES)]
            yield f"lookups, {profile}, {_N_RULES:,} rules", send_all(switch, messages, seconds)
            switch.time("del-flows", "br0")
        for n_masks in _MASKS:
            yield f"insertion, {n_masks:,} masks", insert(switch, directory, n_masks)
    finally:
        switch.close()


def main(seconds: float) -> None:
    """Prints a row for each figure."""
    best: dict[bool, dict[str, tuple[float, float]]] = {True: {}, False: {}}
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(ROUNDS):
            for ours in (True, False):
                for name, rates in measure(ours, seconds, Path(directory)):
                    kept = best[ours].setdefault(name, rates)
                    best[ours][name] = max(kept[0], rates[0]), max(kept[1], rates[1])
    print("| per second | ours | installed | ratio | ours per CPU-second | installed | ratio |\n"
          "|---|---|---|---|---|---|---|")
    for name, (rate, per_cpu) in best[True].items():
        other, other_cpu = best[False][name]
        print(f"| {name} | {rate:,.0f} | {other:,.0f} | {rate / other:.2f} | {per_cpu:,.0f} "
              f"| {other_cpu:,.0f} | {per_cpu / other_cpu:.2f} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
