"""Connections that short.c, which comes before Python, has left: see utilities/begun.py.

Only short.py and flows.py, which go on with them, use it.
"""

import _socket

from utilities.begun import begun
from utilities.command_line import run_directory


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
    error, how many these are)."""
    left = begun()
    connection = take_over(_socket.socket(fileno=left.fd), max(settings.versions), left.xid,
                           left.data or b"", name, f"unix:{run_directory()}/{name}.mgmt")
    return connection, connection.await_barrier(left.xid, {left.xid - 1}), left.n_sent
