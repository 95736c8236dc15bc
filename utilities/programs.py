"""The programs of the suite: the one table of their names and modules, and how each starts.

A launcher in `.venv/bin` (written by `utilities.launcher`) is started by the kernel under the
program's own name, and calls `start(name)` or, from C, `start_tool(name)`.  Each module offers
`main(argv) -> int`, with `argv` lacking the program's name.  Imports next to nothing: this is on
every tool's way to its work.
"""

import _io
import _signal
import os
import sys

PROGRAMS = {
    "ovs-appctl": "utilities.appctl",
    "ovs-ctl": "utilities.ovs_ctl",
    "ovs-dpctl": "utilities.dpctl",
    "ovs-ofctl": "utilities.ofctl",
    "ovs-pcap": "utilities.pcap",
    "ovs-pki": "utilities.pki",
    "ovs-save": "utilities.ovs_save",
    "ovs-tcpdump": "utilities.tcpdump",
    "ovs-tcpundump": "utilities.tcpundump",
    "ovs-testcontroller": "utilities.testcontroller",
    "ovs-vsctl": "utilities.vsctl",
    "ovs-vswitchd": "vswitchd.main",
    "ovsdb-client": "utilities.ovsdb_client",
    "ovsdb-server": "ovsdb_server.main",
    "ovsdb-tool": "utilities.ovsdb_tool",
}

# Those of them that stay; the others are tools, which must start fast.
DAEMONS = ("ovs-vswitchd", "ovsdb-server")


def start(name: str) -> None:
    """Run program `name` with the arguments of this process, and exit with its code.

    Ctrl-C ends it as it ends a C program, without a traceback.  A daemon sets its own signal
    handlers afterwards.
    """
    sys.exit(_run(name))


def start_tool(name: str) -> None:
    """Do as `start`, but do not spend time on taking Python to pieces when the program is done."""
    code = _run(name)
    modules = sys.modules
    if "threading" in modules:
        modules["threading"]._shutdown()
    if "atexit" in modules:
        modules["atexit"]._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        try:
            if file is not None:
                file.flush()
        except (OSError, ValueError):
            code = code or _EXIT_UNWRITTEN
    os._exit(code if type(code) is int else 0 if code is None else 1)


# What Python exits with when it cannot write out what a program has printed.
_EXIT_UNWRITTEN = 120


class _Output(_io.FileIO):
    """A file whose trouble is not told, as by the reference: neither a full disk nor a reader that
    went away keeps a tool from its work."""

    def write(self, data) -> int | None:
        """Write what can be written."""
        try:
            return super().write(data)
        except OSError:
            return len(data)


def forgive_output() -> None:
    """Let nothing be told of what cannot be written to stdout."""
    usual = sys.stdout
    if usual is not None:
        sys.stdout = _io.TextIOWrapper(
            _io.BufferedWriter(_Output(1, "wb", closefd=False)), usual.encoding, usual.errors, "\n",
            usual.line_buffering)


def _run(name: str) -> int:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    if name not in DAEMONS:
        forgive_output()
    module = PROGRAMS[name]
    __import__(module)
    code = sys.modules[module].main(sys.argv[1:])
    sys.stdout.flush()
    return code
