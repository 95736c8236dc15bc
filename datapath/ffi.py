"""The one door to the compiled library: `lib`, `ffi` and `check`.

Loads `datapath/_dp.abi3.so`, or the build in the directory that PYVSWITCH_DATAPATH names (one with
sanitizers), and refuses a library that was made from other tables than the Python beside it.
Used by `face.py`, `upcall.py` and `stats.py` only. Any thread.
"""

import importlib.util
import os
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

from datapath.generate import LAYOUT


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


def _load():
    directory = Path(os.environ.get("PYVSWITCH_DATAPATH") or Path(__file__).parent)
    path = directory / "_dp.abi3.so"
    if not path.exists():
        raise ImportError(f"{path} is missing: run `make build` or datapath/build.py")
    loader = ExtensionFileLoader("datapath._dp", str(path))
    spec = importlib.util.spec_from_file_location("datapath._dp", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules["datapath._dp"] = module
    if module.lib.dp_layout() != LAYOUT:
        raise ImportError(f"{path} was built from other tables: build it again")
    return module


_dp = _load()
ffi = _dp.ffi
lib = _dp.lib


def check(number: int) -> None:
    """Raise DatapathError with the library's sentence where `number` is not 0."""
    if number:
        sentence = ffi.string(lib.dp_error()).decode(errors="replace")
        raise DatapathError(number, sentence or os.strerror(number))
