"""Wires for dummy ports: frames over a Unix or TCP stream (options stream and pstream).

A frame is sent as its length, 16 bits in network byte order, and its bytes. A port with `pstream`
listens and talks to all who connect; one with `stream` connects, again every second while it
cannot. `Streams.follow` starts and ends wires as the configuration changes. Control task only.
"""

import struct
from collections.abc import Callable

import trio

from datapath import face
from ovsdb_server.rpc import address
from vswitchd.switch.switch import Switch
from vswitchd.switch.virtual import Dummy

_LENGTH = struct.Struct("!H")
_QUEUE_LENGTH = 1024
_RETRY = 1.0
_PORT = 6640


def cut_frames(buffer: bytearray) -> list[bytes]:
    """Takes all whole frames off the start of `buffer`."""
    frames = []
    while len(buffer) >= 2:
        end = 2 + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        frames.append(bytes(buffer[2:end]))
        del buffer[:end]
    return frames


class Wire:
    """What one dummy port is connected to."""

    def __init__(self, netdev: Dummy, datapath: int, number: int, settle: Callable[[], object]):
        self.netdev = netdev
        self.datapath = datapath
        self.number = number
        self.settle = settle
        self.scope = trio.CancelScope()
        self.writers: set[trio.MemorySendChannel] = set()
        netdev.stream_state = "disconnected"
        netdev.transmit = self.transmit

    def transmit(self, frame: bytes) -> None:
        """Sends a frame to all peers; one that does not read loses it."""
        data = _LENGTH.pack(len(frame)) + frame
        for writer in self.writers:
            try:
                writer.send_nowait(data)
            except trio.WouldBlock:
                pass

    async def run(self) -> None:
        """Serves the wire until cancelled."""
        with self.scope:
            options = self.netdev.options
            try:
                remote = address.parse_remote(options.get("pstream") or options["stream"], _PORT)
                if remote.is_passive:
                    await self.listen(remote)
                else:
                    await self.connect(remote)
            except (OSError, ValueError):
                self.netdev.stream_state = "disconnected"
        self.netdev.stream_state = "unknown"

    async def listen(self, remote: address.Remote) -> None:
        """Lets peers come."""
        listener = (address.listen_unix(remote.path) if remote.is_unix
                    else address.listen_tcp(remote.host, remote.port))
        sockets = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self.serve, await sockets.accept())

    async def connect(self, remote: address.Remote) -> None:
        """Keeps a connection."""
        while True:
            try:
                if remote.is_unix:
                    stream = trio.SocketStream(trio.socket.from_stdlib_socket(
                        address.connect_unix(remote.path)))
                else:
                    stream = await trio.open_tcp_stream(remote.host, remote.port)
                await self.serve(stream)
            except OSError:
                pass                    # not there yet
            await trio.sleep(_RETRY)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Carries frames both ways until the peer leaves."""
        send, receive = trio.open_memory_channel(_QUEUE_LENGTH)
        self.writers.add(send)
        self.netdev.stream_state = "connected"
        buffer = bytearray()
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(self.write, stream, receive)
                while data := await stream.receive_some(65536):
                    buffer += data
                    for frame in cut_frames(buffer):
                        face.port_receive(self.datapath, self.number, 0, frame)
                    self.settle()
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass                        # the peer left
        except* face.DatapathError:
            pass                        # the port is gone; the wire is being ended
        finally:
            self.writers.discard(send)
            if not self.writers:
                self.netdev.stream_state = "disconnected"

    async def write(self, stream: trio.SocketStream, receive: trio.MemoryReceiveChannel) -> None:
        """Writes what is queued."""
        async for data in receive:
            try:
                await stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return                  # the reader sees it too


class Streams:
    """The wires of all dummy ports. `nursery` runs them."""

    def __init__(self, nursery: trio.Nursery, switch: Switch, settle: Callable[[], object]):
        self.nursery = nursery
        self.switch = switch
        self.settle = settle
        self.wires: dict[str, Wire] = {}

    def follow(self) -> None:
        """Starts wires that are asked for and ends those that are not any more."""
        wanted = {}
        for datapath in self.switch.datapaths.values():
            for number, netdev in datapath.ports.items():
                if isinstance(netdev, Dummy) and netdev.options.keys() & {"stream", "pstream"}:
                    wanted[netdev.name] = (netdev, datapath.handle, number)
        for name, wire in list(self.wires.items()):
            if name not in wanted or wanted[name][0] is not wire.netdev:
                wire.scope.cancel()
                del self.wires[name]
        for name, (netdev, handle, number) in wanted.items():
            if name not in self.wires:
                self.wires[name] = Wire(netdev, handle, number, self.settle)
                self.nursery.start_soon(self.wires[name].run)
