"""What waits for a peer to read it: bytes in order, at most so many pieces.

The edge gives what writes at once and returns what is left; the rest waits here until the edge's
writer takes it. A peer that does not read loses what does not fit. No I/O, no clock.
"""

from collections import deque
from collections.abc import Callable

MOST = 65536                    # messages that a slow reader may have waiting


class FlowUpdates(bytes):
    """An encoded message about monitored flows: how many bytes of these wait is counted."""


class Outbox:
    """Bytes for one peer. `write(data)` writes what it can and returns what is left; all of it if
    something waits already. `n_watched` bytes of flow updates wait."""

    def __init__(self, write: Callable[[bytes], bytes], most: int = MOST) -> None:
        self._write = write
        self._most = most
        self._waiting: deque[bytes] = deque()
        self.is_closed = False
        self.n_watched = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Sends bytes, or keeps what the peer does not take yet."""
        left = self._write(data)
        if not left or self.is_closed or len(self._waiting) >= self._most:
            return
        left = type(data)(left)
        self._waiting.append(left)
        if isinstance(left, FlowUpdates):
            self.n_watched += len(left)

    def take(self) -> bytes | None:
        """What the writer has to write next, None if nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    def note_written(self, data: bytes) -> bool:
        """Notes that the writer wrote what it took; whether that were the last flow updates."""
        if not isinstance(data, FlowUpdates):
            return False
        self.n_watched -= len(data)
        return not self.n_watched

    def close(self) -> None:
        """Nothing more is kept; what waits may still be taken."""
        self.is_closed = True
