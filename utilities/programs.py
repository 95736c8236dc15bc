"""The programs of the suite: the one table of their names and modules, and how each starts.

A launcher in `.venv/bin` (written by `utilities.launcher`) is started by the kernel under the
program's own name, and calls `start(name)` or, from C, `start_tool(name)`.  Each module offers
`main(argv) -> int`, with `argv` lacking the program's name.  Imports next to nothing: this is on
every tool's way to its work.
"""

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

    Ctrl-C ends it as it ends a C program, without a traceback; a reader of our output that went
    away ends it quietly.  A daemon sets its own signal handlers afterwards.
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


def _run(name: str) -> int:
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    module = PROGRAMS[name]
    __import__(module)
    try:
        code = sys.modules[module].main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    return code
