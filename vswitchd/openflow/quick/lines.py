"""Lines of dump-flows written in C: `Lines`, or nothing where the extension `_lines` is not built.

lines.c writes the entries of flow statistics replies whose fields and actions are common, and stops
at others, which are for the codec in `messages.flow`. Actions that it does not know are told by
`learn`. Tools import this: nothing here may be slow to import. Any thread.
"""

from collections.abc import Mapping

from schema import extension

_MOST = 4096                    # lists of actions that are remembered
NICIRA = 0                      # the kind of Nicira's entries; others are the version's


LIBRARY = extension.find("vswitchd.openflow.quick._lines", extension.VERSIONED)


def is_known(kind: int) -> bool:
    """True if entries of this kind can be written here."""
    return LIBRARY is not None and (kind == NICIRA or 3 <= kind <= 6)


def _encode(names: Mapping[int, str] | None, quoted: bool) -> dict[int, bytes] | None:
    if not names:
        return None
    from vswitchd.openflow.value_text import format_name    # seldom needed and slow to import
    return {number: (format_name(name) if quoted else name).encode("utf-8", "surrogateescape")
            for number, name in names.items()}


class Lines:
    """Writes entries of one kind, each between `before` and `after`; stats: counters and ages too.

    Only for a kind that `is_known`.
    """

    def __init__(self, kind: int, ports: Mapping[int, str] | None = None,
                 tables: Mapping[int, str] | None = None, stats: bool = True, ages: bool = True,
                 before: str = "", after: str = "") -> None:
        self.kind = kind
        self.how = ports, tables, stats, ages, before, after
        self._arguments = (stats, ages, before, after, _encode(ports, True),
                           _encode(tables, False), _encode(tables, True))
        self._actions: dict[bytes, bytes] = {}

    def write(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The text of the entries from `at` on, and where the first one lies that is not known."""
        return LIBRARY.write(data, at, self.kind, *self._arguments, self._actions)

    def is_new(self, actions: bytes) -> bool:
        """True if these actions can be learned."""
        return actions not in self._actions and len(self._actions) < _MOST

    def learn(self, actions: bytes, text: str) -> None:
        """Says how actions, as they are on the wire, are written."""
        self._actions[actions] = text.encode("utf-8", "surrogateescape")
