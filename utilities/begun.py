"""What the C program of a tool, which comes before Python, has begun and left to go on with.

ovs-ofctl asks a switch for flows, or sends it some, and reads flows from stdin; ovs-appctl sends
a request. Where then something is not as usual the modules of these tools go on.
"""

import sys


class Begun:
    """What is left: a connected socket, `fd` (-1: none), the number of the last message to it, how
    many flow_mods or requests it was sent, and what has been received since; what was read from
    stdin, None if nothing was."""

    __slots__ = "fd", "xid", "n_sent", "data", "input"

    def __init__(self, fd: int = -1, xid: int = 0, n_sent: int = 0, data: bytes | None = None,
                 input: bytes | None = None) -> None:
        self.fd, self.xid, self.n_sent, self.data, self.input = fd, xid, n_sent, data, input


def begun() -> Begun:
    """What there is to go on with."""
    talk = getattr(sys.modules.get("_quickstart"), "talk", None)
    return Begun(*talk) if talk else Begun()
