"""What short.c, which comes before Python, has begun and left to go on with.

It asks a switch for flows, or sends it some, and reads flows from stdin; where then something is
not as usual, short.py and flows.py go on. Only they and `many.py` use it.
"""

import sys

import _socket

from utilities.command_line import run_directory


class Begun:
    """What is left: a connected switch, `fd` (-1: none), the number of the last message to it, how
    many flow_mods it was sent, and what has been received since; what was read from stdin, None if
    nothing was."""

    __slots__ = "fd", "xid", "n_sent", "data", "input"

    def __init__(self, fd: int = -1, xid: int = 0, n_sent: int = 0, data: bytes | None = None,
                 input: bytes | None = None) -> None:
        self.fd, self.xid, self.n_sent, self.data, self.input = fd, xid, n_sent, data, input


def begun() -> Begun:
    """What there is to go on with."""
    talk = getattr(sys.modules.get("_quickstart"), "talk", None)
    return Begun(*talk) if talk else Begun()


def take_over(sock: _socket.socket, version: int, xid: int, received: bytes, name: str,
              remote: str):
    """A `Connection` of a socket on which `xid` was the number of the last message; what has been
    `received` is what comes next."""
    from utilities.ofctl import connection as usual     # Long dumps do without.
    while usual.next_xid() < xid:
        pass
    connection = usual.Connection(sock, name, remote)
    connection.version = version
    connection.put_back(received)
    return connection


def go_on_sending(settings, name: str):
    """(the connection to the switch that was sent flow_mods, the answer to the last one if it is an
    error, how many these are), None if there is none."""
    left = begun()
    if left.fd < 0:
        return None
    connection = take_over(_socket.socket(fileno=left.fd), max(settings.versions), left.xid,
                           left.data or b"", name, f"unix:{run_directory()}/{name}.mgmt")
    return connection, connection.await_barrier(left.xid, {left.xid - 1}), left.n_sent
