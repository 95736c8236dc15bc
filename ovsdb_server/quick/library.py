"""Loads the C extension `_road`; `LIBRARY` is None where it was not built.

The server does everything without it as well, only slower: a checkout that was not built serves.
"""

from schema import extension

LIBRARY = extension.find("ovsdb_server.quick._road", extension.VERSIONED)
