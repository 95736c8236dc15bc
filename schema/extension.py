"""Loads the compiled parts of the suite: where each of them lies is said here only.

An extension lies beside its Python files.  One that was built with sanitizers lies in the same
place below another directory, of which PYVSWITCH_DATAPATH names the `datapath`.  Each is loaded by
the one module of its package that knows it.  Tools load this too: it imports little.  Any thread.
"""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec

STABLE = ".abi3.so"                     # the end of the name of one that fits all Pythons
VERSIONED = EXTENSION_SUFFIXES[0]       # and of one that was built for this Python

_Module = type(sys)                     # `types` is not worth its import.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class NotBuilt(ImportError):
    """The extension has not been compiled yet."""


def load(name: str, suffix: str = STABLE) -> _Module:
    """Load the extension of this dotted name.  Raises: NotBuilt, ImportError."""
    built = os.environ.get("PYVSWITCH_DATAPATH")
    root = os.path.dirname(built) if built else _ROOT
    path = os.path.join(root, *name.split(".")) + suffix
    if not os.path.exists(path):
        raise NotBuilt(f"{path} is missing: run `make build` or datapath/build.py")
    loader = ExtensionFileLoader(name, path)
    module = loader.create_module(ModuleSpec(name, loader, origin=path))
    loader.exec_module(module)
    sys.modules[name] = module
    return module


def find(name: str, suffix: str = STABLE) -> _Module | None:
    """Do as `load`, for those who can do without: None if the extension is not built."""
    try:
        return load(name, suffix)
    except NotBuilt:
        return None
