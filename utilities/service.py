"""Where the suite keeps its files, and how its daemons are started, watched and stopped.

Shared by ovs-ctl and ovs-save.  The environment variables OVS_RUNDIR, OVS_LOGDIR, OVS_DBDIR,
OVS_SYSCONFDIR, OVS_PKGDATADIR, OVS_BINDIR and OVS_SBINDIR move the directories.  Programs are
run by name, those beside this one first.  Standard library only.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# When a daemon is asked, told and forced to end, and the seconds to wait after each.
STOP_PLAN = (
    ("EXIT", (0.1, 0.25, 0.65, 1)),
    ("TERM", (0.1, 0.25, 0.65, 1, 1, 1, 1)),
    ("KILL", (1, 1, 1, 2, 10, 15, 30)),
)


class Directories:
    """The directories of the suite, after the environment."""

    def __init__(self) -> None:
        get = os.environ.get
        self.run = get("OVS_RUNDIR") or "/var/run/openvswitch"
        self.log = get("OVS_LOGDIR") or "/var/log/openvswitch"
        self.system = f"{get('OVS_SYSCONFDIR') or '/etc'}/openvswitch"
        self.database = get("OVS_DBDIR") or self.system
        data = get("OVS_PKGDATADIR") or ""
        self.data = data if os.path.exists(f"{data}/vswitch.ovsschema") else str(ROOT / "schema")

    def use_own_programs(self) -> None:
        """Put the directories of our programs in front of PATH, the system's at its end."""
        own = os.path.dirname(os.path.realpath(sys.argv[0]))
        if not os.path.exists(f"{own}/ovs-vsctl"):
            own = str(ROOT / ".venv" / "bin")
        first = [os.environ.get("OVS_SBINDIR") or own, os.environ.get("OVS_BINDIR") or own]
        path = os.environ.get("PATH", "").split(":")
        last = ["/sbin", "/bin", "/usr/sbin", "/usr/bin"]
        os.environ["PATH"] = ":".join(dict.fromkeys(filter(None, [*first, *path, *last])))


def say_success(text: str) -> None:
    """Print that something went well."""
    print(f"{text}.", flush=True)


def say_failure(text: str) -> None:
    """Print that something failed."""
    print(f"{text} ... failed!", flush=True)


def say_warning(text: str) -> None:
    """Print that something needs attention."""
    print(f"{text} ... (warning).", flush=True)


class Account:
    """The user and group, as USER[:GROUP], that daemons and database files belong to."""

    def __init__(self, text: str) -> None:
        self.user, _, self.group = text.partition(":")

    def as_options(self) -> dict:
        """Return the arguments of subprocess that run a program under this account."""
        if not self.user:
            return {}
        import grp                              # Rarely needed; keeps the start fast.
        import pwd
        entry = pwd.getpwnam(self.user)
        group = grp.getgrnam(self.group).gr_gid if self.group else entry.pw_gid
        return {"user": entry.pw_uid, "group": group,
                "extra_groups": os.getgrouplist(self.user, group)}

    def make_directory(self, path: str, mode: int = 0o755) -> None:
        """Create directory `path` for this account, unless it exists."""
        if not os.path.isdir(path):
            os.makedirs(path)
            os.chmod(path, mode)
            if self.user:
                shutil.chown(path, self.user, self.group or None)


def run_action(text: str, command: list[str], **options) -> bool:
    """Run `command` and print `text` with how it went; tell whether it succeeded."""
    sys.stdout.flush()
    try:
        is_done = subprocess.run(command, **options).returncode == 0
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        is_done = False
    (say_success if is_done else say_failure)(text)
    return is_done


def output_of(command: list[str], **options) -> str:
    """Return what `command` prints, stripped; "" where it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **options)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def read_pid(path: str) -> int | None:
    """Return the process id in the pidfile at `path`, None where there is none."""
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def pid_exists(pid: int) -> bool:
    """Tell whether process `pid` runs; one that has ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


def is_running(daemon: str, directories: Directories) -> bool:
    """Tell whether the process in the daemon's pidfile runs under the daemon's name."""
    pid = read_pid(f"{directories.run}/{daemon}.pid")
    try:
        return (pid is not None and pid_exists(pid)
                and Path(f"/proc/{pid}/comm").read_text().strip() == daemon)
    except OSError:
        return False


def print_status(daemon: str, directories: Directories) -> bool:
    """Print a line that tells whether `daemon` runs, and return it."""
    path = f"{directories.run}/{daemon}.pid"
    pid = read_pid(path)
    if pid is not None and pid_exists(pid):
        print(f"{daemon} is running with pid {pid}")
        return True
    if pid is not None:
        print(f"Pidfile for {daemon} ({path}) is stale")
    elif os.path.exists(path):
        print(f"Pidfile for {daemon} ({path}) exists but cannot be read")
    else:
        print(f"{daemon} is not running")
    return False


def stop_daemon(daemon: str, directories: Directories) -> bool:
    """Stop `daemon` by and by more firmly; tell whether it has ended."""
    pidfile = f"{directories.run}/{daemon}.pid"
    pid = read_pid(pidfile)
    if pid is None:
        say_success(f"{daemon} is not running")
        return True
    control = f"{directories.run}/{daemon}.{pid}.ctl"
    if not pid_exists(pid):
        for path in (control, pidfile):
            Path(path).unlink(missing_ok=True)
        return True
    for action, waits in STOP_PLAN:
        if action == "EXIT":
            run_action(f"Exiting {daemon} ({pid})",
                       ["ovs-appctl", "-T", "1", "-t", control, "exit"])
        else:
            how = " with SIGKILL" if action == "KILL" else ""
            try:
                os.kill(pid, signal.SIGKILL if action == "KILL" else signal.SIGTERM)
                say_success(f"Killing {daemon} ({pid}){how}")
            except OSError:
                say_failure(f"Killing {daemon} ({pid}){how}")
        deadline = time.monotonic() + sum(waits)
        while time.monotonic() < deadline:
            if not pid_exists(pid):
                # A monitor may have started a successor to a daemon that crashed on its way out.
                successor = read_pid(pidfile)
                if successor in (None, pid) or not pid_exists(successor):
                    return True
                pid = successor
                break
            time.sleep(0.02)
    say_failure(f"Killing {daemon} ({pid}) failed")
    return False
