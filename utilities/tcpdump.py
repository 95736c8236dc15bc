"""ovs-tcpdump: runs tcpdump on what passes an OpenFlow port.

Makes a device, adds it to the port's bridge, mirrors the port to it, runs tcpdump there, and takes
everything back when tcpdump ends.  Arguments that are not its own are tcpdump's.
Source: ovs-tcpdump(8).
"""

import _thread
import fcntl
import os
import signal
import struct
import subprocess
import sys

from utilities.command_line import Fatal, default_remote, print_version, run_tool, time_limit

PROGRAM = "ovs-tcpdump"

_HELP = """\
ovs-tcpdump: tcpdump for the ports of Open vSwitch
usage: ovs-tcpdump -i INTERFACE [TCPDUMP OPTIONS]

Options:
  -i, --interface INTERFACE   the port to watch
  --db-sock SOCKET            where the database server listens
                              (default: {remote})
  --dump-cmd COMMAND          run this instead of tcpdump
  --mirror-to NAME            name of the device that gets the packets (default: miINTERFACE)
  --span                      watch all ports of the bridge
  --filter FLOW               only packets that match
  -h, --help                  print this
  -V, --version               print the version
"""
_WITH_VALUE = {"-i": "interface", "--interface": "interface", "--db-sock": "remote",
               "--dump-cmd": "command", "--mirror-to": "target", "--filter": "filter"}
_DEVICE_NAME_MAX = 15
_TUNSETIFF, _IFF_TAP = 0x400454CA, 0x1002       # Without a header before each packet.


class Settings:
    """What the command line asks for."""

    def __init__(self) -> None:
        self.interface = ""
        self.remote = default_remote()
        self.command = "tcpdump"
        self.target = ""
        self.filter = ""
        self.is_span = False
        self.rest: list[str] = []


def main(argv: list[str]) -> int:
    """Run ovs-tcpdump with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    settings = Settings()
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            sys.stdout.write(_HELP.format(remote=default_remote()))
            return 0
        if word in ("-V", "--version"):
            print_version(PROGRAM)
            return 0
        if word == "--span":
            settings.is_span = True
        elif name in _WITH_VALUE:
            value = value if equals else next(words, None)
            if value is None:
                raise Fatal(f"option '{name}' requires an argument")
            setattr(settings, _WITH_VALUE[name], value)
        else:
            settings.rest.append(word)
    if not settings.interface:
        raise _Refusal("Error: must at least specify an interface with '-i' option")
    settings.target = settings.target or f"mi{settings.interface}"[:_DEVICE_NAME_MAX]
    return _dump(settings)


class _Refusal(Fatal):
    """Ends the program with a line on stdout that lacks its name, as the reference's lines do."""

    def __init__(self, text: str) -> None:
        print(text, flush=True)
        super().__init__(None)


def _dump(settings: Settings) -> int:
    time_limit(None)
    port = Mirroring(settings)
    port.check()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    is_made = False
    try:
        is_made = _make_device(settings.target, settings.interface)
        port.begin()
        command = [settings.command, "-i", settings.target, "-l", *settings.rest]
        sys.stdout.flush()
        try:
            process = subprocess.Popen(command)
        except OSError:
            raise _Refusal(f"Error: unable to execute '{settings.command}' (check PATH)") from None
        return _wait(process)
    except KeyboardInterrupt:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        port.end()
        if is_made:
            _ip("link", "del", settings.target)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _wait(process: subprocess.Popen) -> int:
    """Wait for the command; hand on what interrupts us, so that it prints its summary."""
    while True:
        try:
            code = process.wait()
            return code if code >= 0 else 128 - code
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _ip(*words: str) -> bool:
    done = subprocess.run(["ip", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def _make_device(name: str, model: str) -> bool:
    """Make the device that packets are mirrored to; return False where it was there before."""
    if os.path.exists(f"/sys/class/net/{name}"):
        return False
    if not _ip("link", "add", name, "type", "dummy"):
        _open_tap(name)
    try:
        with open(f"/sys/class/net/{model}/mtu") as file:
            _ip("link", "set", "dev", name, "mtu", file.read().strip())
    except OSError:
        pass                            # A port of the switch that is no device of the system.
    _ip("link", "set", "dev", name, "up")
    return True


def _open_tap(name: str) -> None:
    """Make a tap, for kernels without dummy devices; it lives as long as this process.

    A tap carries packets only while somebody has it open, and somebody has to take them out.
    """
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", os.fsencode(name), _IFF_TAP))
    except OSError as error:
        raise _Refusal(f"ERROR: cannot create the device {name} ({error.strerror})") from None

    def drain() -> None:
        try:
            while os.read(tap, 65536):
                pass
        except OSError:
            pass                        # The device is gone: we are at the end.
    _thread.start_new_thread(drain, ())


class Mirroring:
    """The mirror of a port and the port it goes to, in the database; by ovs-vsctl."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mirror = f"m_{settings.interface}"
        self._bridge = ""

    def _vsctl(self, *words: str, must_work: bool = True) -> str:
        """Run our ovs-vsctl; return what it printed."""
        code = ("import sys; sys.path[:] = {!r}; from utilities.vsctl import main; "
                "sys.exit(main(sys.argv[1:]))").format(sys.path)
        done = subprocess.run([sys.executable, "-IS", "-c", code,
                               f"--db={self._settings.remote}", *words],
                              stdout=subprocess.PIPE, text=True,
                              stderr=None if must_work else subprocess.DEVNULL)
        if done.returncode and must_work:
            raise Fatal(None)
        return done.stdout.strip()

    def check(self) -> None:
        """Find the bridge; refuse where the port or its mirror cannot be.  Raises Fatal."""
        name, target = self._settings.interface, self._settings.target
        bridges = self._vsctl("--no-wait", "list-br").split()
        self._bridge = name if name in bridges else self._vsctl(
            "--no-wait", "port-to-br", name, must_work=False)
        if not self._bridge:
            raise _Refusal(f"ERROR: Port {name} does not exist.")
        taken = self._vsctl("--no-wait", "port-to-br", target, must_work=False) or (
            target if target in bridges else "")
        if taken or self._vsctl("--no-wait", "--if-exists", "get", "mirror", self._mirror, "name"):
            raise _Refusal(f"ERROR: Mirror port ({target}) exists for port {name}.")

    def begin(self) -> None:
        """Add port and mirror, and wait until the switch has them."""
        settings = self._settings
        options = [f"filter={settings.filter}"] if settings.filter else []
        self._vsctl(
            "add-port", self._bridge, settings.target,
            "--", "--id=@source", "get", "port", settings.interface,
            "--", "--id=@target", "get", "port", settings.target,
            "--", "--id=@mirror", "create", "mirror", f"name={self._mirror}",
            "select_src_port=@source", "select_dst_port=@source", "output_port=@target",
            f"select_all={'true' if settings.is_span else 'false'}", *options,
            "--", "add", "bridge", self._bridge, "mirrors", "@mirror")

    def end(self) -> None:
        """Take both back, as far as they are there."""
        if not self._bridge:
            return
        mirror = self._vsctl("--no-wait", "--if-exists", "get", "mirror", self._mirror, "_uuid")
        remove = ["--", "remove", "bridge", self._bridge, "mirrors", mirror] if mirror else []
        self._vsctl("--timeout=5", "--if-exists", "del-port", self._bridge, self._settings.target,
                    *remove, must_work=False)
