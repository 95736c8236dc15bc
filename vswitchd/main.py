"""ovs-vswitchd: the program. `main(argv)` reads the options, becomes a daemon and serves.

Neighbours: `ovsdb_server/daemon.py` (options and life of every daemon), `supervisor.py` (the
tasks), `commands.py` (the appctl table). Source: ovs-vswitchd(8).
"""

import ctypes
import os

import trio

from ovsdb_server import vlog
from ovsdb_server.clock import SteerableClock
from ovsdb_server.coverage import COVERAGE
from ovsdb_server.daemon import (OPTIONS, VERSION, Daemon, Option, OptionError, Settings,
                                 StartError, begin, getopt, help_text, report_end,
                                 run_directory)
from ovsdb_server.rpc.unixctl import Command, Server as ControlServer

PROGRAM = "ovs-vswitchd"
_BANNER = f"{PROGRAM} (Open vSwitch) {VERSION}"
_MCL_CURRENT, _MCL_FUTURE = 1, 2
_M_MMAP_THRESHOLD = -3
_LARGE = 32 << 10               # bytes: more than a frame without offloads

_OPTIONS = OPTIONS + (
    Option("mlockall"), Option("disable-system"), Option("disable-system-route"),
    Option("enable-dummy", "", "optional"), Option("dummy-numa", "", "required"),
    Option("dpdk"), Option("peer-ca-cert", "", "required"),
    Option("private-key", "p", "required"), Option("certificate", "c", "required"),
    Option("ca-cert", "C", "required"), Option("bootstrap-ca-cert", "", "required"),
    Option("ssl-protocols", "", "required"), Option("ssl-ciphers", "", "required"),
    Option("ssl-ciphersuites", "", "required"), Option("ssl-server-name", "", "required"),
    Option("record", "", "optional"), Option("replay", "", "optional"),
)

_HELP = """\
{program}: Open vSwitch daemon
usage: {program} [OPTIONS] [DATABASE]
where DATABASE is a socket on which ovsdb-server is listening
      (default: "unix:{rundir}/db.sock").

Switch options:
  --mlockall              lock the process in memory
  --disable-system        do not offer the datapath type "system"
  --disable-system-route  do not follow the system's routes
  --enable-dummy[=override|system]
                          offer dummy devices and datapaths, for tests
  --dummy-numa=LIST       pretend that CPUs lie on these NUMA nodes
{daemon}
Other options:
  --unixctl=SOCKET        override default control socket name
  -h, --help              display this help message
  -V, --version           display version information
"""
_TLS_FILES = {"private-key": "private_key", "certificate": "certificate",
              "ca-cert": "ca_certificate", "peer-ca-cert": "peer_certificates",
              "ssl-protocols": "protocols", "ssl-ciphers": "ciphers",
              "ssl-ciphersuites": "ciphersuites", "ssl-server-name": "server_name"}


class _Arguments:
    """The command line, read."""

    def __init__(self, argv: list[str]):
        self.settings = Settings(PROGRAM)
        self.action = ""
        self.dummy: str | None = None
        self.has_system = True
        self.must_lock = False
        self.tls: dict[str, str | bool] = {}        # members of TlsFiles
        options, rest = getopt(argv, _OPTIONS)
        for name, argument in options:
            if not self.settings.apply(name, argument):
                self._apply(name, argument)
        if len(rest) > 1:
            raise OptionError("at most one non-option argument accepted; use --help for usage")
        self.remote = rest[0] if rest else f"unix:{os.path.join(run_directory(), 'db.sock')}"

    def _apply(self, name: str, argument: str | None) -> None:
        match name:
            case "help" | "version":
                self.action = self.action or name
            case "enable-dummy":
                if argument not in (None, "override", "system"):
                    raise OptionError(f"--enable-dummy: unknown argument \"{argument}\"")
                self.dummy = argument or ""
            case "disable-system":
                self.has_system = False
            case "mlockall":
                self.must_lock = True
            case "bootstrap-ca-cert":
                self.tls |= {"ca_certificate": argument, "bootstraps": True}
            case _ if name in _TLS_FILES:
                self.tls[_TLS_FILES[name]] = argument
            case "dpdk":
                raise OptionError("DPDK support not built into this copy of Open vSwitch.")
            case "record" | "replay":
                raise OptionError(f"--{name}: replay files are not supported")


def main(argv: list[str]) -> int:
    """Run ovs-vswitchd with arguments `argv`; return the exit code."""
    begun = begin(PROGRAM, _Arguments, argv, _usage)
    if isinstance(begun, int):
        return begun
    arguments, daemon = begun
    if arguments.must_lock:
        _lock_memory()
    _keep_large_blocks_apart()
    clock = SteerableClock()
    try:
        trio.run(_run, arguments, daemon, clock, clock=clock)
    except (Exception, BaseExceptionGroup) as error:
        return report_end(PROGRAM, error)
    finally:
        daemon.finish()
    return 0


def _usage() -> str:
    return _HELP.format(program=PROGRAM, rundir=run_directory(), daemon=help_text(PROGRAM))


def _keep_large_blocks_apart() -> None:
    """Has malloc return large blocks to the system at once, where it can be told so (glibc).

    Else it raises its limit for these when one is freed, and large frames and messages that come
    and go leave holes in the heap: a day of hostile traffic would show in the resident size.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def _lock_memory() -> None:
    """--mlockall; where that is not allowed the daemon goes on."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(_MCL_CURRENT | _MCL_FUTURE):
        vlog.module("vswitchd").err(f"mlockall failed: {os.strerror(ctypes.get_errno())}")


async def _run(arguments: _Arguments, daemon: Daemon, clock: SteerableClock) -> None:
    """What happens inside the event loop. Raises StartError."""
    from ovsdb_server.rpc.tls_files import TlsFiles
    from vswitchd.supervisor import Supervisor      # after the fork: it loads the C library
    supervisor = Supervisor(daemon, clock, arguments.remote, arguments.dummy, arguments.has_system,
                            TlsFiles(**arguments.tls))
    control = None
    path = daemon.unixctl_path()
    if path is not None:
        try:
            control = ControlServer(path, vlog.commands() + COVERAGE.commands(), _BANNER)
        except OSError as error:
            raise StartError(f"{path}: could not create control socket "
                             f"({error.strerror})") from None
        daemon.unlink_at_exit(path)
    await supervisor.serve(control, _commands)
    if control is not None:
        control.close()


def _commands(supervisor) -> tuple[Command, ...]:
    """The appctl table of the running daemon."""
    from vswitchd.commands import Commands          # as above
    from vswitchd.dpctl import Dpctl
    from vswitchd.trace_command import TraceCommands

    def exit_(args: list[str]) -> None:
        supervisor.stop("--cleanup" in args)

    def memory_show(args: list[str]) -> str:
        cells = sum(len(row) for rows in supervisor.replica.rows.values()
                    for row in rows.values())
        report = {"idl-cells-Open_vSwitch": cells, **commands.memory_report()}
        return " ".join(f"{name}:{value}" for name, value in sorted(report.items()))

    commands = Commands(supervisor.switch, supervisor.agent, supervisor.settle)
    rows = (commands.rows() + Dpctl(supervisor.switch, supervisor.settle).rows()
            + TraceCommands(supervisor.switch, supervisor.settle).rows()
            + (Command("exit", "[--cleanup]", 0, 1, exit_),
               Command("memory/show", "", 0, 0, memory_show)))
    if supervisor.dummy is not None:
        rows += commands.dummy_rows() + supervisor.clock.commands()
    return rows
