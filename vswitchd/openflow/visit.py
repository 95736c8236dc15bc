"""A visit: a guest of the management socket as a machine, with what he asked and what he is told.

    visit.next_need(is_late)            what he waits for, None: his next message is to be looked at
    visit.is_at_barrier()               it asks to be told when all before is done
    visit.answer(service) -> parts      what it is answered, part by part; None: others know how
    visit.next_part(), note_written(n)  what goes out

`talk.c` reads what he says and does most of it; `guest` is what is left (`Codec.entertain`). What
only looks at the bridge is answered here. No I/O and no clock; the edge is `reception.py`.
"""

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto

from schema.openflow.messages import OF10
from vswitchd.openflow import messages
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import HEADER
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.messages.flow import FlowStatsRequest
from vswitchd.openflow.messages.port import PortDescRequest
from vswitchd.openflow.messages.switch import DescRequest
from vswitchd.openflow.messages.table import TableFeaturesRequest, TableStatsRequest
from vswitchd.openflow.quick.codec import Guest
from vswitchd.openflow.service import Encoded, Service
from vswitchd.openflow.session import Session

HELLO_XID = 1                   # of ours
_LOOKS = (session_messages.EchoRequest, session_messages.FeaturesRequest,
          session_messages.GetConfigRequest, DescRequest, FlowStatsRequest, PortDescRequest,
          TableFeaturesRequest, TableStatsRequest)
_LOOK_TYPES = (2, 5, 7)         # of those that are not statistics


class Need(Enum):
    """What a guest waits for."""

    QUESTION = auto()           # its own next one
    ROOM = auto()               # until it reads what it is told
    TURN = auto()               # until others have had theirs
    VERSION = auto()            # until no packet meets older rules
    KEEPER = auto()             # to be a connection
    NOTHING = auto()            # it has left


class Visit:
    """A guest and what is on the way to it: parts that are there, then those that are made one by
    one."""

    def __init__(self, guest: Guest, name: str) -> None:
        self.name = name
        self.guest = guest
        self._queue: deque[bytes] = deque()
        self._more: Iterator[bytes] = iter(())
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """What it has agreed on and asked for."""
        if self._session is None:
            self._session = Session(self.name, True, miss_send_len=0, next_xid=HELLO_XID)
        session, guest = self._session, self.guest
        if guest.version and not session.version:
            session.agree(guest.version)
        session.flow_format = "nxm" if guest.flow_format else "of"
        session.table_in_command = guest.table_in_command
        return session

    # -- what he asks

    def _message(self) -> bytes | None:
        """The next message, None if it has not come yet; b"" for one that can never be right."""
        rest = self.guest.rest
        if len(rest) < HEADER.size:
            return None
        length = rest[2] << 8 | rest[3]
        if length < HEADER.size:
            return b""
        return rest[:length] if len(rest) >= length else None

    def is_at_barrier(self) -> bool:
        """Whether his next message is a barrier."""
        message, version = self._message(), self.guest.version
        return bool(message) and len(message) == HEADER.size and message[0] == version and (
            message[1] == (18 if version == OF10 else 20))

    def next_need(self, is_late: bool) -> Need | None:
        """What he waits for when he has been entertained, for long enough if `is_late`; None if his
        next message is to be looked at."""
        guest = self.guest
        if guest.replies:
            self._queue.append(guest.replies)
        if guest.is_over:
            return Need.NOTHING
        if self._message() is not None:
            return None
        if guest.is_broken:
            return Need.KEEPER
        if self._queue:
            return Need.ROOM
        return Need.TURN if guest.is_quick and is_late else Need.QUESTION

    def answer(self, service: Service) -> Iterator[bytes] | None:
        """The parts of the answer to his next message, if it only looks at the bridge; None for
        anything else, and for errors, which others know how to tell. They are to be put into
        `send` as they are made, at once."""
        guest, version, message = self.guest, self.guest.version, self._message()
        if len(message) < HEADER.size or message[0] != version or not version or (
                message[1] not in _LOOK_TYPES and message[1] != (16 if version == OF10 else 18)):
            return None
        try:
            decoded = messages.decode(message)
            value = decoded.value
            if type(value) not in _LOOKS or isinstance(value, TableFeaturesRequest) and (
                    value.body or value.has_more):
                return None
            replies = service.handle(self.session, decoded)
        except OpenFlowError:
            return None
        guest.rest = guest.rest[len(message):]
        return self._parts_of(replies, version, decoded.xid)

    def _parts_of(self, replies: list, version: int, xid: int) -> Iterator[bytes]:
        """What has to be made now; what is there already waits until it is asked for."""
        for reply in replies:
            if not isinstance(reply, Encoded):
                yield from messages.encode_parts(reply, version, xid)
            elif isinstance(reply.parts, tuple):
                self._more = reply.with_xid(xid)
            else:
                yield from reply.with_xid(xid)

    # -- what he is told

    def send(self, part: bytes) -> None:
        """Has a part go out."""
        self._queue.append(part)

    def next_part(self) -> bytes | None:
        """What is to be written next; None if that was all."""
        if not self._queue:
            part = next(self._more, None)
            if part is None:
                return None
            self._queue.append(part)
        return self._queue[0]

    def note_written(self, n: int) -> None:
        """So many bytes of that part have been."""
        queue = self._queue
        if n < len(queue[0]):
            queue[0] = queue[0][n:]
        else:
            queue.popleft()
