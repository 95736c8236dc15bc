"""Loads the C extension `_road`, or the one built with sanitizers; `LIBRARY` is None without it.

The server does everything without it as well, only slower: a checkout that was not built serves.
"""

import importlib.util
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from pathlib import Path


def _load():
    built = os.environ.get("PYVSWITCH_DATAPATH")
    directory = (Path(built).parent / "ovsdb_server/quick" if built
                 else Path(__file__).parent)
    path = directory / f"_road{EXTENSION_SUFFIXES[0]}"
    if not path.exists():
        return None
    name = "ovsdb_server.quick._road"
    loader = ExtensionFileLoader(name, str(path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_file_location(name, path, loader=loader))
    loader.exec_module(module)
    sys.modules[name] = module
    return module


LIBRARY = _load()
