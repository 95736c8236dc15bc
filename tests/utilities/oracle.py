"""Runs the same command lines through our tools and through Debian's, each against a database
server of its own, and compares what came of it.

Our side is a fork of the test process with the program's modules loaded (a few milliseconds a
run); the other side is the installed program.  UUIDs and log stamps are normalised.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ovsdb_server.rpc import blocking
from utilities import command_line

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "schema" / "vswitch.ovsschema"
PROGRAMS = ("ovs-vsctl", "ovsdb-client", "ovsdb-server", "ovsdb-tool")

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|", re.M)

needs_reference = pytest.mark.skipif(
    not all(shutil.which(name) for name in PROGRAMS),
    reason="Debian's openvswitch-switch is not installed")


class Server:
    """A database server, ours or the reference's, in a private directory."""

    def __init__(self, directory: Path, schema: Path = SCHEMA, is_ours: bool = False) -> None:
        self.directory = directory
        self.schema = schema
        self.environment = {
            "PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_SYSLOG_METHOD": "null",
            "OVS_CTL_TIMEOUT": "20", "HOME": str(directory),
            **{f"OVS_{name}": str(directory) for name in
               ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR", "PKGDATADIR")}}
        self.socket = f"unix:{directory}/db.sock"
        self.run("ovsdb-tool", is_ours, "create", "conf.db", str(schema))
        self.run("ovsdb-server", is_ours, "--detach", "--no-chdir", "--pidfile", "--log-file",
                  "-vconsole:off", "--remote=punix:db.sock")

    def run(self, program: str, is_ours: bool, *argv: str) -> None:
        """Run ovsdb-tool or ovsdb-server, ours or the reference's, here."""
        command = [program]
        if is_ours:
            module = {"ovsdb-tool": "utilities.ovsdb_tool",
                      "ovsdb-server": "ovsdb_server.main"}[program]
            command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r});"
                       f"from {module} import main; sys.exit(main(sys.argv[1:]))"]
        subprocess.run([*command, *argv], cwd=self.directory, env=self.environment, check=True)

    def stop(self) -> None:
        pidfile = self.directory / "ovsdb-server.pid"
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGTERM)

    def transact(self, *operations: dict) -> list:
        with blocking.connect(self.socket, 10) as connection:
            name = json.loads(self.schema.read_text())["name"]
            return connection.call("transact", [name, *operations], 10)

    def dump(self) -> dict[str, list]:
        """Return all rows, references replaced by what they refer to, order-free."""
        tables = json.loads(self.schema.read_text())["tables"]
        names = sorted(tables)
        results = self.transact(*({"op": "select", "table": name, "where": []}
                                  for name in names))
        labels: dict[str, str] = {}
        for name, result in zip(names, results):
            for row in result["rows"]:
                own = row.get("name") or row.get("target") or UUID.sub("", json.dumps(
                    {k: v for k, v in row.items() if not k.startswith("_")}, sort_keys=True))
                labels[row["_uuid"][1]] = f"{name}:{own}"

        def canonical(value):
            if isinstance(value, list) and len(value) == 2 and value[0] == "uuid":
                return labels.get(value[1], "?")
            if isinstance(value, list) and len(value) == 2 and value[0] == "set":
                return sorted(map(str, map(canonical, value[1])))
            if isinstance(value, list):
                return [canonical(element) for element in value]
            return value
        return {name: sorted(
            json.dumps({k: canonical(v) for k, v in row.items() if not k.startswith("_")},
                       sort_keys=True) for row in result["rows"])
            for name, result in zip(names, results)}


class Outcome:
    """What a run printed and its exit code."""

    __slots__ = ("stdout", "stderr", "code")

    def __init__(self, stdout: str, stderr: str, code: int) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.code = code

    def normal(self, directory: Path) -> tuple[str, str, int]:
        """Return the outcome without what differs between any two runs."""
        def clean(text: str) -> str:
            seen: dict[str, str] = {}
            text = UUID.sub(lambda match: seen.setdefault(match[0], f"<{len(seen)}>"), text)
            text = re.sub(r'(<a (?:href="#|name=")<\d+>">)[0-9a-f]{8}<', r"\1<", text)
            return STAMP.sub("STAMP|", text).replace(str(directory), "DIR")
        return clean(self.stdout), clean(self.stderr), self.code


def start_reference(program: str, argv: list[str], server: Server,
                    stdin: bytes = b"") -> subprocess.Popen:
    """Start the installed program."""
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        return subprocess.Popen([program, *argv], cwd=server.directory, stdin=source,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=server.environment)


def finish_reference(process: subprocess.Popen) -> Outcome:
    """Wait for a program that `start_reference` started."""
    stdout, stderr = process.communicate(timeout=30)
    return Outcome(stdout.decode("utf-8", "surrogateescape"),
                   stderr.decode("utf-8", "surrogateescape"), process.returncode)


def run_reference(program: str, argv: list[str], server: Server,
                  stdin: bytes = b"") -> Outcome:
    """Run the installed program."""
    return finish_reference(start_reference(program, argv, server, stdin))


def run_ours(main, argv: list[str], server: Server, stdin: bytes = b"") -> Outcome:
    """Run `main(argv)` of one of our programs in a child of this process."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
            tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _be_program(main, argv, server, source.fileno(), out.fileno(), err.fileno())
        deadline = time.monotonic() + 30
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                break
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise AssertionError(f"{argv}: still running")
            time.sleep(0.001)
        out.seek(0)
        err.seek(0)
        return Outcome(out.read().decode("utf-8", "surrogateescape"),
                       err.read().decode("utf-8", "surrogateescape"),
                       os.waitstatus_to_exitcode(status))


def _be_program(main, argv: list[str], server: Server, stdin: int, stdout: int,
                stderr: int) -> None:
    code = 70
    try:
        for target, source in enumerate((stdin, stdout, stderr)):
            os.dup2(source, target)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
        os.environ.clear()
        os.environ.update(server.environment)
        os.chdir(server.directory)
        command_line.LOG.__init__()     # a program counts its own lines
        if "utilities.ofctl.connection" in sys.modules:
            sys.modules["utilities.ofctl.connection"]._xid = 0      # and messages
        for number in (signal.SIGINT, signal.SIGALRM, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        code = main(argv)
    except SystemExit as exit:
        code = exit.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Pair:
    """Two servers, one for each side; ours may run on our own server too."""

    def __init__(self, directory: Path, schema: Path = SCHEMA,
                 with_our_server: bool = False) -> None:
        self.sides = []
        for name in ("ours", "reference"):
            side = directory / name
            side.mkdir()
            self.sides.append(Server(side, schema, with_our_server and name == "ours"))

    def stop(self) -> None:
        for server in self.sides:
            server.stop()

    def run_both(self, program: str, main, argv: list[str], stdin: bytes = b""
                 ) -> tuple[Outcome, Outcome]:
        """Run one command line on both sides; "DIR" in it is the side's directory."""
        ours, reference = ([word.replace("DIR", str(server.directory)) for word in argv]
                           for server in self.sides)
        process = start_reference(program, reference, self.sides[1], stdin)
        return run_ours(main, ours, self.sides[0], stdin), finish_reference(process)

    def compare(self, program: str, main, argv: list[str], is_sorted: bool = False,
                stdin: bytes = b"") -> None:
        """Assert that both sides print and return the same."""
        ours, reference = self.run_both(program, main, argv, stdin)
        left = ours.normal(self.sides[0].directory)
        right = reference.normal(self.sides[1].directory)
        if is_sorted:
            left, right = (tuple(sorted(UUID.sub("<>", re.sub(r"<\d+>", "<>", part)).splitlines())
                                 if isinstance(part, str) else part for part in side)
                           for side in (left, right))
        assert left == right, f"{program} {argv}\n ours: {left}\n ref:  {right}"

    def compare_databases(self) -> None:
        """Assert that both databases have the same contents."""
        ours, reference = (server.dump() for server in self.sides)
        different = {name: (ours[name], reference[name]) for name in ours
                     if ours[name] != reference[name]}
        assert not different, "\n".join(
            f"{name}\n ours: {left}\n ref:  {right}" for name, (left, right) in different.items())
