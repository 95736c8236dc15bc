"""Controllers that nobody here wrote, with a switch to control: what the tests of them share.

`make` puts them into an environment of their own, `controllers` beside the packages that run the
tests: Faucet with the os-ken it wants, and of an older os-ken, whose wheel still has them, the
example applications (`examples`).  A `Suite` is a switch in a namespace, ours or Debian's; its
controller runs in the same namespace, at the port where controllers are expected.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.differential.switches import REAL
from tests.system import network
from tests.system.network import Namespace, need_privileges, wait

HOME = Path(sys.prefix) / "controllers"
PYTHON = HOME / "bin" / "python"
EXAMPLES = HOME / "examples" / "os_ken"
# The applications find each other as parts of os_ken.app, and are started by the program they came
# with, which serves HTTP for them; newer eventlets lack a name that they import.
RUN = ("import runpy, sys, eventlet.wsgi, os_ken.app; "
       "eventlet.wsgi.ALREADY_HANDLED = object(); "
       "os_ken.app.__path__.append({examples!r} + '/app'); "
       "runpy.run_path({examples!r} + '/cmd/manager.py', run_name='__main__')")

require = pytest.mark.skipif(not EXAMPLES.exists(),
                             reason=f"no controllers in {HOME}: make check puts them there")


class Suite(network.Suite):
    """A switch in a namespace of its own; `real` says whose."""

    def __init__(self, directory: Path, real: bool = False) -> None:
        need_privileges()
        directory.mkdir(exist_ok=True)
        self.real = real
        self.hosts: list[Namespace] = []
        self.controllers: list[Controller] = []
        super().__init__(directory, Namespace())

    def command(self, name: str, *args: str) -> list[str]:
        """The command that runs one of the programs, ours or Debian's."""
        if self.real:
            return self.host.command(REAL.get(name, f"/usr/bin/{name}"), *args)
        return super().command(name, *args)

    def add_host(self, name: str, address: str, bridge: str, *settings: str) -> Namespace:
        """A host behind port `name` of a bridge."""
        host = Namespace()
        self.hosts.append(host)
        self.wire(host, name, None, address)
        for namespace, device in ((host, "eth0"), (self.host, name)):
            namespace.run("ethtool", "-K", device, "tx", "off", check=False)
        self.vsctl("add-port", bridge, name, *settings)
        return host

    def control(self, *args: str, environment: dict[str, str] | None = None) -> "Controller":
        """Starts a controller beside the switch."""
        controller = Controller(self, args, environment or {})
        self.controllers.append(controller)
        return controller

    def applications(self, *names: str) -> "Controller":
        """Starts example applications of os-ken."""
        return self.control("-c", RUN.format(examples=str(EXAMPLES)), "--verbose",
                            *(f"os_ken.app.{name}" for name in names))

    def connect(self, bridge: str, *targets: str) -> None:
        """Gives a bridge its controllers, and waits for them."""
        rows = [("--", f"--id=@c{number}", "create", "controller", f'target="{target}"',
                 "connection_mode=out-of-band", "max_backoff=1000")
                for number, target in enumerate(targets or ("tcp:127.0.0.1:6653",))]
        names = ",".join(f"@c{number}" for number in range(len(rows)))
        self.vsctl(*(word for row in rows for word in row), "--", "set", "bridge", bridge,
                   f"controller=[{names}]")
        wait(lambda: "false" not in self.vsctl("--columns=is_connected", "--bare", "list",
                                               "controller"), 30, 0.2)

    def close(self) -> None:
        """Ends all."""
        for controller in self.controllers:
            controller.close()
        super().close()
        for host in (*self.hosts, self.host):
            host.close()


class Controller:
    """A controller's process; what it prints goes to a file."""

    def __init__(self, suite: Suite, args: tuple[str, ...], environment: dict[str, str]) -> None:
        self.path = suite.directory / f"controller{len(suite.controllers)}.log"
        with self.path.open("w") as output:
            self._process = subprocess.Popen(
                suite.host.command(str(PYTHON), *args), stdout=output, stderr=output,
                stdin=subprocess.DEVNULL, cwd=suite.directory,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment})

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.path.read_text(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for(self, word: str, timeout: float = 20) -> str:
        """Waits until it has printed a word; returns all it has printed."""
        try:
            wait(lambda: word in self.text or self.has_ended, timeout, 0.1)
        except AssertionError:
            pass
        assert word in self.text, self.text[-4000:]
        return self.text

    def close(self) -> None:
        """Ends it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
