"""Many non-blocking sockets served in one call, in C where it is built: see module.c.

`receive_all([number, ...])` returns for each socket the bytes that have arrived, b"" at the end
of its stream, or the errno.  `send_all(((number, bytes), ...))` sends what the kernel takes and
returns [(place, bytes sent or -errno)] of those that were not sent whole.  Any thread, but one at
a time.
"""

import os

from ovsdb_server.quick.library import LIBRARY

_CHUNK = 64 * 1024


def receive_all_slowly(numbers: list[int]) -> list[bytes | int]:
    """The twin in Python."""
    received: list[bytes | int] = []
    for number in numbers:
        try:
            received.append(os.read(number, _CHUNK))
        except OSError as error:
            received.append(error.errno)
    return received


def send_all_slowly(parcels: tuple[tuple[int, bytes], ...]) -> list[tuple[int, int]]:
    """The twin in Python."""
    rests = []
    for place, (number, data) in enumerate(parcels):
        try:
            n_sent = os.write(number, data)
        except OSError as error:
            n_sent = -error.errno
        if n_sent != len(data):
            rests.append((place, n_sent))
    return rests


receive_all = receive_all_slowly if LIBRARY is None else LIBRARY.receive_all
send_all = send_all_slowly if LIBRARY is None else LIBRARY.send_all
