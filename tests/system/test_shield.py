"""The filter that keeps a link's frames from the host's own stack, on a real veth pair."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.system

# host stack -- va ==== vb -- host stack: va is shielded, vb sends.
SCRIPT = """
import os, socket, subprocess, sys
from vswitchd.switch import link
def run(*args): subprocess.run(args, check=True)
run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb")
run("ip", "link", "set", "va", "up"); run("ip", "link", "set", "vb", "up")
index = socket.if_nametoindex("va")
def show(): return subprocess.run(["tc", "filter", "show", "dev", "va", "ingress"],
                                  capture_output=True, text=True).stdout
# A socket for all protocols sees a frame before the filter; one for a protocol is part of the stack.
taken, stack = (socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2))
taken.bind(("va", 3)); taken.settimeout(5)
stack.bind(("va", 0x88b5)); stack.setblocking(False)
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); sender.bind(("vb", 0))
def dropped():
    rows = subprocess.run(["tc", "-s", "qdisc", "show", "dev", "va"],
                          capture_output=True, text=True).stdout
    return int(rows.split("dropped ")[-1].split(",")[0])
link.shield(index); link.shield(index)
assert show().count("bpf") >= 1 and show().count("handle 0x1") == 1, show()
before = dropped()
frame = b"\\xff" * 6 + b"\\x02" * 6 + b"\\x88\\xb5" + bytes(46)
sender.send(frame)
while taken.recv(100) != frame: pass
assert dropped() > before
try:
    assert not stack.recv(100)
except BlockingIOError:
    pass
link.unshield(index)
assert show() == "", show()
assert "clsact" not in subprocess.run(["tc", "qdisc", "show", "dev", "va"],
                                      capture_output=True, text=True).stdout
sender.send(frame); stack.settimeout(5); assert stack.recv(100) == frame
print("done")
"""


@pytest.mark.parametrize("flags", [["--net"], ["--user", "--map-root-user", "--net"]],
                         ids=["root", "user namespace"])
def test_packet_socket_sees_what_the_host_does_not(flags):
    if subprocess.run(["unshare", *flags, "true"], capture_output=True).returncode:
        pytest.skip("needs root or user namespaces")
    result = subprocess.run(["unshare", *flags, sys.executable, "-c", SCRIPT], cwd=ROOT,
                            capture_output=True, text=True, timeout=30)
    assert (result.stdout, result.stderr) == ("done\n", "")
