"""The one door to the compiled library: `lib`, `ffi` and `check`.

Loads `datapath/_dp.abi3.so` and refuses a library that was made from other tables than the Python
beside it.  Used by `face.py` and `upcall.py` only.  Any thread.
"""

import os

from datapath.generate import LAYOUT
from schema import extension


class DatapathError(Exception):
    """A call into the library failed.

    `number` is a positive errno, `sentence` what the library says about it.
    """

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(number, sentence)
        self.number = number
        self.sentence = sentence

    @property
    def reason(self) -> str:
        """What the errno means, as the system says it."""
        return os.strerror(self.number)

    def __str__(self) -> str:
        return f"{self.sentence} ({self.reason})"


_dp = extension.load("datapath._dp")
if _dp.lib.dp_layout() != LAYOUT:
    raise ImportError(f"{_dp.__file__} was built from other tables: build it again")
ffi = _dp.ffi
lib = _dp.lib


def check(number: int) -> None:
    """Raise DatapathError with the library's sentence where `number` is not 0."""
    if number:
        sentence = ffi.string(lib.dp_error()).decode(errors="replace")
        raise DatapathError(number, sentence or os.strerror(number))
