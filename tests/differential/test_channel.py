"""What controllers, listeners and the database see of a bridge's OpenFlow channels, ours beside
Debian's: snooping, passive controllers, two controllers with roles, forced reconnects, fail modes.
"""

import re
import ssl
import struct
import subprocess
import time

import pytest

from tests.differential.peer import Peer
from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_daemon import ARP, BACK, SETUP

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

FEATURES_REQUEST, PACKET_OUT, FLOW_MOD_10 = 5, 13, 14
SET_CONFIG = 9
ROLE_REQUEST, BARRIER_13 = 24, 20
SECURE, STANDALONE = "fail_mode=secure", "fail_mode=standalone"
CONTROLLERS = "--columns=is_connected,role list controller"
LINK_STATE = r"(?<=state:      )(LIVE|0)"


class Scene:
    """One switch, its controllers, and what was seen."""

    def __init__(self, directory, real: bool, *peers: Peer):
        self.switch = Switch(directory, real)
        self.peers = peers
        self.seen: list[str] = []
        self.run(SETUP.strip())

    def name(self, text: str) -> str:
        """`text` without the ports that peers happen to have."""
        for number, peer in enumerate(self.peers):
            text = text.replace(peer.target, f"PEER{number}").replace(str(peer.port), f"P{number}")
        return text

    def run(self, line: str) -> None:
        """Runs a line of shell and notes what it prints."""
        text = normal(self.switch.run(line), self.switch.directory)
        line, text = self.name(normal(line, self.switch.directory)), self.name(text)
        self.seen.append(f"$ {line}\n{text}")

    def note(self, text: str) -> None:
        """Notes something else that was seen; whether a port is live is left out."""
        self.seen.append(re.sub(LINK_STATE, "", normal(text, self.switch.directory)))

    def poll(self, line: str, wanted: str) -> None:
        """Waits until a line of shell prints `wanted` somewhere, and notes that."""
        for _ in range(100):
            if wanted in (text := self.switch.run(line)):
                self.seen.append(f"{line}: {wanted}\n")
                return
            time.sleep(0.1)
        raise AssertionError(f"{line}: no {wanted!r} in {text}")

    def warp_until(self, is_there, step: int = 250) -> None:
        """Lets the switch's stopped clock go on until something has happened."""
        for _ in range(60):
            if is_there():
                return
            self.switch.run(f"ovs-appctl time/warp {step} 250")
            time.sleep(0.02)
        raise AssertionError("it did not happen")

    def log(self, pattern: str, is_sorted: bool = False) -> None:
        """Notes log lines of the switch daemon: module, level and text."""
        lines = (self.switch.directory / "ovs-vswitchd.log").read_text().splitlines()
        for line in sorted(lines, key=lambda line: line.split("|")[2:]) if is_sorted else lines:
            if re.search(pattern, line):
                text = normal("|".join(line.split("|")[2:]), self.switch.directory)
                self.seen.append(self.name(text) + "\n")

    def close(self) -> str:
        """Ends all; returns what was seen."""
        for peer in self.peers:
            peer.close()
        self.switch.close()
        return "".join(self.seen)


def snooping(directory, real: bool) -> str:
    """A listener on BRIDGE.snoop hears both sides of the channel to a controller."""
    scene = Scene(directory, real, peer := Peer(1))
    try:
        scene.run(f"ovs-vsctl set-controller br0 {peer.target}")
        peer.wait_connected()
        peer.ask(FEATURES_REQUEST)
        scene.run("ovs-ofctl snoop br0 --detach --no-chdir --pidfile=snoop.pid 2> snoop.log")
        peer.say(SET_CONFIG, struct.pack("!HH", 0, 0xffff))
        flood = struct.pack("!HHHH", 0, 8, 0xfffb, 0)
        scene.run(f"ovs-appctl netdev-dummy/receive p1 '{ARP}'")
        peer.wait(lambda: any(message[1] == 10 for message in peer.heard))
        peer.say(PACKET_OUT, struct.pack("!IHH", 0xffffffff, 1, 8) + flood + bytes(60))
        match = struct.pack("!IH34x", 0x3ffffe, 1)
        peer.say(FLOW_MOD_10, match + struct.pack("!QHHHHIHH", 5, 0, 0, 0, 7, 0xffffffff, 0xffff, 0)
                 + flood)
        peer.ask(18)                            # barrier
        scene.poll("cat snoop.log", "BARRIER_REPLY")
        scene.run("kill `cat snoop.pid`")
        # Debian's snoopers hear echoes too, which come when they come.
        scene.note("".join(re.split(r"(?m)^OFPT_ECHO.*\n",
                                    (directory / "snoop.log").read_text())))
        scene.run("ovs-ofctl dump-flows br0")
    finally:
        seen = scene.close()
    return seen


def passive(directory, real: bool) -> str:
    """Whoever comes to a ptcp: controller may ask, and hears nothing unless it asks for it."""
    scene = Scene(directory, real)
    try:
        scene.run("ovs-vsctl set-controller br0 ptcp:0:127.0.0.1 punix:$PWD/br0.sock punix:no "
                  "unix:/no/such")
        scene.poll("cat ovs-vswitchd.log", "listening on port")
        text = (directory / "ovs-vswitchd.log").read_text()
        target = "tcp:127.0.0.1:" + re.search(r"listening on port (\d+)", text)[1]
        for remote in (target, "unix:$PWD/br0.sock"):
            scene.note(scene.switch.run(f"ovs-ofctl add-flow {remote} in_port=2,actions=controller;"
                                        f"ovs-ofctl dump-flows {remote};"
                                        f"ovs-ofctl show {remote};"
                                        f"ovs-ofctl -O OpenFlow14 dump-desc {remote}"))
        scene.switch.run(f"ovs-ofctl monitor {target} 65534 --detach --no-chdir --pidfile 2> mon")
        scene.run(f"ovs-appctl netdev-dummy/receive p2 '{BACK}'")
        scene.run("ovs-appctl -t ovs-ofctl ofctl/barrier; ovs-appctl -t ovs-ofctl exit; cat mon")
        scene.run(f"ovs-vsctl {CONTROLLERS}")
        scene.run("ovs-vsctl del-controller br0; ls br0.sock")
        scene.note(scene.switch.run(f"ovs-ofctl show {target}").replace(target, "TARGET"))
        scene.log("connmgr.*(added|removed)", is_sorted=True)
    finally:
        seen = scene.close()
    return seen


def two_controllers(directory, real: bool) -> str:
    """Roles, and who hears what, of two controllers at once."""
    scene = Scene(directory, real, one := Peer(4), other := Peer(4))
    try:
        scene.run(f"ovs-vsctl set-controller br0 {one.target} {other.target}")
        for peer in (one, other):
            peer.wait_connected()
            peer.ask(FEATURES_REQUEST)
        scene.run("ovs-ofctl add-flow br0 in_port=1,actions=controller:20")

        def settled() -> None:
            for peer in (one, other):
                before = len(peer.heard)
                peer.say(BARRIER_13)
                peer.wait(lambda: any(m[1] == 21 for m in peer.heard[before:]))

        def change() -> None:
            scene.run(f"ovs-appctl netdev-dummy/receive p1 '{ARP}'")
            scene.run("ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy ofport_request=4 "
                      "mac='\"02:00:00:00:00:04\"'; ovs-vsctl del-port p4")
            settled()

        change()
        for number, (peer, role, generation) in enumerate((
                (one, 2, 10), (other, 2, 11), (one, 2, 5), (one, 3, 12), (other, 0, 0),
                (one, 1, 0))):
            before = len(peer.heard)
            peer.say(ROLE_REQUEST, struct.pack("!I4xQ", role, generation))
            peer.wait(lambda: any(m[1] in (1, 25) for m in peer.heard[before:]))
            if number < 2:
                change()
        one.say(14, bytes(40), 0x99)            # a flow_mod
        settled()
        scene.poll(f"ovs-vsctl {CONTROLLERS}", "role")
        for peer in (one, other):
            # A port that comes may be told of twice: with its liveness, or before it.
            text = re.sub(r"OFPT_PORT_STATUS.*: MOD:.*\n(?: .*\n)*", "", peer.told())
            scene.note(text)
            scene.note("----\n")
    finally:
        seen = scene.close()
    return seen


def reconnecting(directory, real: bool) -> str:
    """bridge/reconnect, and a controller that closes: the switch comes again."""
    scene = Scene(directory, real, peer := Peer(1))
    try:
        scene.run("ovs-appctl time/stop")
        scene.run(f"ovs-vsctl set-controller br0 {peer.target}")
        scene.warp_until(lambda: peer.n_connections >= 1 and peer.heard)
        scene.warp_until(lambda: "true" in scene.switch.run(f"ovs-vsctl {CONTROLLERS}"), 1000)
        scene.run("ovs-ofctl add-flow br0 in_port=3,actions=drop")
        scene.run("ovs-appctl bridge/reconnect br0")
        scene.warp_until(lambda: peer.n_connections >= 2 and peer.heard)
        scene.run("ovs-appctl bridge/reconnect")
        scene.warp_until(lambda: peer.n_connections >= 3 and peer.heard)
        peer.drop()
        scene.warp_until(lambda: peer.n_connections >= 4 and peer.heard)
        scene.run("ovs-appctl bridge/reconnect nope")
        scene.run("ovs-ofctl --no-stats dump-flows br0")
        scene.warp_until(lambda: "true" in scene.switch.run(f"ovs-vsctl {CONTROLLERS}"), 1000)
        scene.log(r"\|rconn\|")
    finally:
        seen = scene.close()
    return seen


def failing(directory, real: bool) -> str:
    """Without a controller, with one that is lost, and back, in both fail modes."""
    scene = Scene(directory, real, peer := Peer(1))
    flows = "ovs-ofctl --no-stats dump-flows br0; ovs-appctl bridge/dump-flows br0 | " \
            "grep -v table_id=254 | sed 's/duration[^p]*//' | sort"
    frame = f"ovs-appctl netdev-dummy/receive p1 '{ARP}'"
    sent = "ovs-appctl revalidator/purge; ovs-ofctl dump-ports br0 p2 | grep tx"
    try:
        scene.run("ovs-appctl time/stop")
        for mode in (SECURE, STANDALONE):
            scene.run(f"ovs-vsctl del-controller br0 -- set bridge br0 {mode}")
            scene.run(f"{flows}; {frame}; {sent}")
            before = peer.n_connections
            scene.run(f"ovs-vsctl set-controller br0 {peer.target}")
            scene.warp_until(lambda: peer.n_connections > before and peer.heard)
            peer.ask(FEATURES_REQUEST)
            peer.say(FLOW_MOD_10, struct.pack("!IH34xQHHHHIHH", 0x3ffffe, 3, 5, 0, 0, 0, 7,
                                              0xffffffff, 0xffff, 0))
            peer.ask(18)
            scene.run(f"{flows}; {frame}; {sent}")
            listener = peer.port
            peer.close()                        # lost
            scene.run("ovs-appctl time/warp 4000 500")
            scene.run(f"{flows}; {frame}; {sent}")
            scene.run("ovs-appctl time/warp 30000 500")
            scene.run(f"{flows}; {frame}; {sent}")
            scene.log("fail_open")
            peer = Peer(1, port=listener)
            scene.peers = (peer,)
            scene.warp_until(lambda: peer.heard, 1000)      # back
            peer.ask(FEATURES_REQUEST)
            peer.ask(18)
            scene.run("ovs-appctl time/warp 1000")
            scene.run(f"{flows}; {frame}; {sent}")
            scene.log("fail_open")
    finally:
        seen = scene.close()
    return seen


def taking_over(directory, real: bool) -> str:
    """Whoever comes to rule a bridge, or leaves it, leaves nothing; listeners do not rule."""
    scene = Scene(directory, real)
    nobody, other = "tcp:127.0.0.1:9", "tcp:127.0.0.1:10"
    try:
        for line in ("set-fail-mode br0 secure", f"set-controller br0 {nobody}",
                     f"set-controller br0 {other}", "set-fail-mode br0 standalone",
                     "del-controller br0", "set-fail-mode br0 secure", "set-controller br0 ptcp:0",
                     f"set-controller br0 ptcp:0 {nobody}", "set-controller br0 ptcp:0",
                     "set-fail-mode br0 standalone", "del-fail-mode br0"):
            scene.switch.run("ovs-ofctl add-flow br0 in_port=3,actions=drop; "
                             "ovs-ofctl -OOpenFlow13 add-group br0 group_id=1,type=all; "
                             "ovs-ofctl -OOpenFlow13 add-meter br0 "
                             "meter=1,kbps,band=type=drop,rate=9")
            scene.run(f"ovs-vsctl {line}")
            scene.run("ovs-ofctl --no-stats dump-flows br0 --sort; for kind in group meter; do "
                      "ovs-ofctl -OOpenFlow13 dump-${kind}s br0; done")
    finally:
        seen = scene.close()
    return seen


def encrypted(directory, real: bool) -> str:
    """ssl: and pssl: controllers, with the SSL row, without it, and of another authority."""
    scene = Scene(directory, real, peer := Peer(1))
    try:
        files = make_keys(directory)
        scene.run("ovs-vsctl set-controller br0 pssl:0:127.0.0.1")
        scene.poll("cat ovs-vswitchd.log", "listening on port")
        port = re.search(r"listening on port (\d+)",
                         (directory / "ovs-vswitchd.log").read_text())[1]
        show = (f"ovs-ofctl -p {files['client'][0]} -c {files['client'][1]} -C {files['authority'][1]}"
                f" dump-desc ssl:127.0.0.1:{port}")

        def ask() -> None:
            text = scene.switch.run(f"{show} 2>&1 | grep -v WARN")
            # At which step a client hears that it is refused is chance.
            text = re.sub(r"ovs-ofctl: .*\n", "refused\n", text)
            scene.note(text.replace(port, "PORT"))

        ask()
        key, certificate = files["switch"]
        scene.run(f"ovs-vsctl set-ssl {key} {certificate} {files['authority'][1]}")
        ask()
        show = show.replace(str(files["client"][1]), str(files["stranger"][1])).replace(
            str(files["client"][0]), str(files["stranger"][0]))
        ask()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["client"][1], files["client"][0])
        context.load_verify_locations(files["authority"][1])
        context.verify_mode = ssl.CERT_REQUIRED
        peer.wrap = lambda stream: context.wrap_socket(stream, server_side=True)
        scene.run(f"ovs-vsctl set-controller br0 {peer.target.replace('tcp', 'ssl')}")
        peer.wait_connected()
        peer.ask(FEATURES_REQUEST)
        scene.run("ovs-ofctl add-flow br0 in_port=1,actions=controller")
        scene.run(f"ovs-appctl netdev-dummy/receive p1 '{ARP}'")
        peer.wait(lambda: any(message[1] == 10 for message in peer.heard))
        scene.note(peer.told())
        scene.poll(f"ovs-vsctl {CONTROLLERS}", "true")
        learned = directory / "learned.pem"
        scene.run("ovs-vsctl del-controller br0 -- del-ssl -- -- --bootstrap set-ssl "
                  f"{key} {certificate} {learned}".replace("-- -- ", "-- "))
        before = peer.n_connections
        scene.run(f"ovs-vsctl set-controller br0 {peer.target.replace('tcp', 'ssl')}")
        peer.wait(lambda: peer.n_connections > before and bool(peer.heard))
        scene.note(f"learned: {learned.exists()}\n")
    finally:
        seen = scene.close()
    return seen


def make_keys(directory) -> dict[str, tuple]:
    """{name: (key, certificate)} of an authority, two it has signed, and a stranger."""
    found = {}
    for name in ("authority", "client", "switch", "stranger"):
        key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
        sign = [] if name in ("authority", "stranger") else [
            "-CA", found["authority"][1], "-CAkey", found["authority"][0]]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9",
                        "-subj", f"/CN={name}", "-keyout", key, "-out", certificate, *sign],
                       check=True, capture_output=True)
        found[name] = key, certificate
    return found


# The others are part of make check-long.
OFTEN = (encrypted, two_controllers, failing, taking_over)
SCENES = [pytest.param(scene, id=scene.__name__,
                       marks=() if scene in OFTEN else pytest.mark.long)
          for scene in (encrypted, snooping, passive, two_controllers, reconnecting, failing,
                        taking_over)]


@pytest.mark.parametrize("scene", SCENES)
def test_both_switches_are_seen_alike(scene, tmp_path):
    theirs = scene(tmp_path / "real", True)
    ours = scene(tmp_path / "ours", False)
    assert ours == theirs
