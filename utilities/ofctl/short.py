"""dump-flows of a whole bridge, as it is most often asked for, the short way.

What is said to the switch and what it answers is then always the same, so none of the modules that
know OpenFlow are loaded, which takes three times as long as all the rest. With any other option or
argument `flows.py` has the command from the start; at any other answer it goes on from there.
`dump_flows` takes (settings, arguments) as there.  short.c, which comes before Python, leaves to it
dumps that are long or have rare flows, when it has asked for them.
"""

import os
import sys

import _socket

from ovsdb_server.rpc import address
from utilities.begun import Begun, begun
from utilities.command_line import DBG, LOG, flush_output, run_directory
from utilities.ofctl import protocol
from utilities.ofctl.begun import take_over
from vswitchd.openflow.quick.lines import NICIRA, Lines, is_known

_HEADER = 8
_MORE = 1                       # flag of a reply that is not the last one
# Messages of OpenFlow 1.0, up to their numbers and behind them.
_HELLO = b"\1\0\0\x08", b""
_BARRIER, _BARRIER_REPLY = b"\1\x12\0\x08", b"\1\x13\0\x08"
_USE_NXM = bytes.fromhex("01040014"), bytes.fromhex("00002320 0000000c 00000002")
_FLOWS = bytes.fromhex("01100020"), bytes.fromhex("ffff0000 00002320 00000000 00000000"
                                                  "ffff0000 ff000000")
_REPLY = bytes.fromhex("ffff0000 00002320 00000000 00000000")
_LAST_REPLY, _OTHER_REPLY = _REPLY, _REPLY[:3] + bytes((_MORE,)) + _REPLY[4:]
_ENTRIES = _HEADER + len(_REPLY)


class _Peer:
    """A switch on a socket; the first message to it has the number `xid`.

    What asks it something returns False at an answer that is not the expected one, which is then
    the next that a `take_over` reads.
    """

    def __init__(self, path: str, name: str, xid: int) -> None:
        self._socket = address.connect_unix(os.path.join(run_directory(), path),
                                            is_plain=True)
        self._path, self._name, self.xid = path, name, xid - 1
        self._received = b""

    @classmethod
    def go_on(cls, left: Begun, name: str) -> "_Peer":
        """One that short.c has asked for its flows: the socket, the number of the last message to
        it, and what has been received since."""
        peer = cls.__new__(cls)
        peer.xid, peer._received = left.xid, left.data or b""
        peer._socket = _socket.socket(fileno=left.fd)
        peer._path, peer._name = f"{run_directory()}/{name}.mgmt", name
        return peer

    def send(self, message: tuple[bytes, bytes]) -> None:
        """Sends a message with the next number."""
        self.xid += 1
        try:
            self._socket.sendall(message[0] + self.number() + message[1])
        except OSError:
            pass                        # Seen when there is no answer.

    def number(self) -> bytes:
        """The number of the last message that was sent, as it is written."""
        return self.xid.to_bytes(4, "big")

    def next(self) -> bytes:
        """The next message, which stays the next; b"" where there is none."""
        data = self._received
        while len(data) < _HEADER or len(data) < int.from_bytes(data[2:4], "big"):
            try:
                more = self._socket.recv(65536)
            except OSError:
                return b""
            if not more:
                return b""
            data = self._received = data + more
        return data[:int.from_bytes(data[2:4], "big")]

    def drop(self, message: bytes) -> None:
        """Goes on behind the next message."""
        self._received = self._received[len(message):]

    def _take(self, message: bytes, is_expected: bool) -> bool:
        if is_expected:
            self.drop(message)
        return is_expected

    def say_hello(self) -> bool:
        self.send(_HELLO)
        hello = self.next()
        return self._take(hello, len(hello) == _HEADER and hello[0] > 0 and hello[1] == 0)

    def ask_silent(self, message: tuple[bytes, bytes]) -> bool:
        """Sends a request without answer, and a barrier."""
        head = message[0] + (self.xid + 1).to_bytes(4, "big") + message[1]
        self.xid += 1
        self.send((head + _BARRIER, b""))
        answer = self.next()
        return self._take(answer, answer == _BARRIER_REPLY + self.number())

    def take_over(self):
        """The same as a `Connection`, which has yet to read what comes next."""
        return take_over(self._socket, 1, self.xid, self._received, self._name,
                         f"unix:{self._path}")

    def close(self) -> None:
        self._socket.close()


def _connect(name: str, xid: int) -> _Peer | None:
    for path in (name, f"{run_directory()}/{name}.mgmt"):
        try:
            return _Peer(path, name, xid)
        except FileNotFoundError:
            continue
        except OSError:
            break
    return None


def _is_usual(settings, arguments) -> bool:
    """True if nothing is asked for but a bridge, in OpenFlow 1.0."""
    name = arguments[0]
    return (len(arguments) == 1 and not set(name) & set(":@/")
            and settings.versions == {1} and not settings.verbosity
            and not LOG.is_enabled("vconn", DBG))


def dump_flows(settings, arguments) -> None:
    left = begun()
    if left.fd >= 0:
        _dump(settings, _Peer.go_on(left, arguments[0]))
        return
    peer = None
    if (_is_usual(settings, arguments) and settings.protocols & protocol.OF10_NXM
            and not settings.sort and not settings.has_json and not settings.color
            and not settings.show_names() and is_known(NICIRA)):
        peer = _connect(arguments[0], 1)
    if peer is None:
        from utilities.ofctl import flows
        flows.dump_flows(settings, arguments)
    elif not peer.say_hello():
        from utilities.ofctl import flows
        connection = peer.take_over()
        connection.hear_hello(settings.versions)
        flows.dump_all(settings, connection, protocol.ANY, protocol.OF10_STD)
    elif not peer.ask_silent(_USE_NXM):
        from utilities.ofctl import flows
        connection = peer.take_over()
        if connection.await_barrier(peer.xid, {peer.xid - 1}) is None:
            flows.dump_all(settings, connection, protocol.ANY, protocol.OF10_NXM)
        else:
            usable = protocol.ANY & ~protocol.OF10_NXM
            flows.dump_all(settings, connection, usable, protocol.OF10_STD)
    else:
        peer.send(_FLOWS)
        _dump(settings, peer)


def _dump(settings, peer: _Peer) -> None:
    """Prints the flows of a peer that has been asked for them."""
    stats = settings.stats
    lines = (Lines(NICIRA, before="\n ") if stats
             else Lines(NICIRA, stats=False, ages=False, before=" ", after="\n"))
    head, title = b"\1\x11", b"NXST_FLOW reply (xid=0x%x):" % peer.xid
    replies: list[bytes] = []           # Those that may be printed only when all are there.
    out: list[bytes] = []
    while True:
        data = peer.next()
        kind = data[_HEADER:_ENTRIES]
        is_known_kind = data[:2] == head and data[4:8] == peer.number() and (
            kind in (_LAST_REPLY, _OTHER_REPLY))
        text, at = lines.write(data, _ENTRIES) if is_known_kind else (b"", -1)
        if at != len(data):
            break
        peer.drop(data)
        if stats:
            out += title, b" flags=[more]" if kind == _OTHER_REPLY else b"", text, b"\n"
        else:
            replies.append(data)
            out.append(text)
        if kind == _LAST_REPLY:
            _print(out)
            peer.close()
            return
    from utilities.ofctl import flows
    if stats:
        _print(out)
    connection = peer.take_over()

    def rest():
        yield from replies
        yield from connection.receive_parts(peer.xid)

    flows.show_flows(settings, connection, rest())


def _print(out: list[bytes]) -> None:
    flush_output()
    sys.stdout.buffer.writelines(out)
    flush_output()
