"""The programs of the suite: the one table of their names and modules, and how each starts.

A launcher in `.venv/bin` (written by `utilities.launcher`) is started by the kernel under the
program's own name, and calls `start(name)`.  Each module offers `main(argv) -> int`, with `argv`
lacking the program's name.  Imports next to nothing: this is on every tool's way to its work.
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
    "ovs-vsctl": "utilities.vsctl",
    "ovs-vswitchd": "vswitchd.main",
    "ovsdb-client": "utilities.ovsdb_client",
    "ovsdb-server": "ovsdb_server.main",
    "ovsdb-tool": "utilities.ovsdb_tool",
}


def start(name: str) -> None:
    """Run program `name` with the arguments of this process, and exit with its code.

    Ctrl-C ends it as it ends a C program, without a traceback; a reader of our output that went
    away ends it quietly.  A daemon sets its own signal handlers afterwards.
    """
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    module = PROGRAMS[name]
    __import__(module)
    try:
        code = sys.modules[module].main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
    sys.exit(code)
