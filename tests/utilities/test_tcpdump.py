"""ovs-tcpdump on Debian's switch: what it puts into the database, and that it takes it back."""

import shutil
import subprocess
import sys

import pytest

from tests.system.network import ROOT, Namespace, need_privileges
from tests.utilities.oracle import Server, needs_reference

OURS = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from utilities.tcpdump import main; sys.exit(main(sys.argv[1:]))"]
THEIRS = ["ovs-tcpdump"]

# Stands in for tcpdump: tells what it was given and what the database holds.
WITNESS = """\
#!/bin/sh
echo "$*"
ovs-vsctl --columns=name,select_all,select_vlan,output_vlan list mirror
ovs-vsctl --columns=name,type list interface $2
for direction in src dst; do
    port=$(ovs-vsctl --bare --columns=select_${direction}_port list mirror)
    ovs-vsctl get port $port name
done
ovs-vsctl get port "$(ovs-vsctl --bare --columns=output_port list mirror)" name
"""

pytestmark = [pytest.mark.system, pytest.mark.differential, needs_reference]


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """A database and Debian's switch in a namespace, with br0 and a port of it."""
    need_privileges()
    namespace = Namespace()
    server = Server(tmp_path_factory.mktemp("tcpdump"))
    server.host = namespace
    witness = server.directory / "witness"
    witness.write_text(WITNESS)
    witness.chmod(0o755)
    subprocess.run(namespace.command(
        "ovs-vswitchd", "--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"),
        cwd=server.directory, env=server.environment, check=True)
    run(server, ["ovs-vsctl"], "add-br", "br0", "--", "set", "bridge", "br0",
        "datapath_type=netdev", "--", "add-port", "br0", "p1", "--", "set", "interface", "p1",
        "type=internal")
    yield server
    run(server, ["ovs-appctl"], "exit", "--cleanup")
    server.stop()
    namespace.close()


def run(server: Server, command: list[str], *argv: str) -> tuple[int, str, str]:
    """Run a program in the namespace; return code, stdout, stderr."""
    done = subprocess.run(server.host.command(*command, *argv), cwd=server.directory,
                          env=server.environment, capture_output=True, text=True, timeout=30)
    error = done.stderr.replace("Error: Unknown device type.\n", "")
    return done.returncode, done.stdout.replace(str(server.directory), "DIR"), error


@pytest.mark.parametrize("argv", [
    ["-i", "br0", "--mirror-to", "foo", "--span"],
    pytest.param(["-i", "p1", "-nn", "-xx"], marks=pytest.mark.long),
    pytest.param(["--interface", "p1", "-c", "1"], marks=pytest.mark.long)])
def test_the_mirror_is_the_references(switch, argv) -> None:
    own = [*argv, "--dump-cmd", str(switch.directory / "witness")]
    ours, theirs = run(switch, OURS, *own), run(switch, THEIRS, *own)
    assert ours == theirs and ours[0] == 0 and ours[1]
    assert run(switch, ["ovs-vsctl"], "list-ports", "br0")[1] == "p1\n"
    assert run(switch, ["ovs-vsctl"], "list", "mirror")[1] == ""
    assert not switch.host.exists("mip1") and not switch.host.exists("foo")


@pytest.mark.long
@pytest.mark.parametrize("argv", [
    ["-i", "nosuch"], [], ["-i", "p1", "--mirror-to", "p1"],
    ["-i", "p1", "--dump-cmd", "/nosuch"]])
def test_refusals_are_the_references(switch, argv) -> None:
    assert run(switch, OURS, *argv) == run(switch, THEIRS, *argv)
    assert run(switch, ["ovs-vsctl"], "list-ports", "br0")[1] == "p1\n"


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_packets_are_seen_and_an_interrupt_ends_it(switch) -> None:
    switch.host.ip("link set br0 up")
    switch.host.ip("addr add 10.9.9.1/24 dev br0")
    process = subprocess.Popen(
        switch.host.command(*OURS, "-i", "br0", "-n", "-c", "2", "arp"), cwd=switch.directory,
        env=switch.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("listening"):
            break
    switch.host.pings("10.9.9.2", 2)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and out.count("ARP, Request who-has 10.9.9.2") == 2
