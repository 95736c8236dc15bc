"""What ovs-ofctl does in C before Python is there, under ASan and UBSan: flows of any words, and
switches that answer anything.

A switch in this process answers as one should, but for some messages that are changed, cut or said
twice.
"""

import os
import random
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.fuzz import hostile
from tests.utilities.test_ofctl_flow import USUAL
from tests.utilities.test_ofctl_short import BITMAP, HELLO, LINES, ONLY_13, SCRIPTS, FakeSwitch
from utilities.ofctl import pieces
from utilities.quickstart.build import INCLUDES, SOURCES
from vswitchd.openflow.framing import HEADER

ROOT = Path(__file__).resolve().parents[2]
NATIVE = Path(__file__).resolve().parent
ALPHABET = b",,==/:()[]->_ \t0123456789abcdefx\"{}%\x80\xff"


class HostileSwitch(FakeSwitch):
    """Spoils some of its answers; a client that waits for more is hung up on by `hang_up`."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.rng = rng
        self._peer: socket.socket | None = None
        super().__init__(path, SCRIPTS["usual"])

    def _answer(self, peer: socket.socket, message: bytes) -> bool:
        self._peer = peer
        return super()._answer(_Spoiler(peer, self.rng), message)

    def use(self, script) -> None:
        """Follow `script` from now on."""
        self._script = script
        self.told.clear()

    def hang_up(self) -> None:
        """Have the client see the end of what is said."""
        try:
            self._peer.shutdown(socket.SHUT_RDWR)
        except (OSError, AttributeError):
            pass


class _Spoiler:
    """Sends to a peer what may be spoiled."""

    def __init__(self, peer: socket.socket, rng: random.Random) -> None:
        self._peer = peer
        self._rng = rng

    def sendall(self, data: bytes) -> None:
        rng = self._rng
        match rng.randrange(12) if len(data) > HEADER.size else 11:
            case 0 | 1 | 2:
                whole = data[:8] + hostile.mutate(rng, data[8:], 3)[:65000]
                data = whole[:2] + len(whole).to_bytes(2) + whole[4:]
            case 3:
                data = hostile.mutate(rng, data, 3)
            case 4:
                data = hostile.wrong_length(rng, data)
            case 5:
                data = data[:rng.randrange(len(data))]
            case 6:
                data *= 2
        self._peer.sendall(data)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A process that carries out lines as short_lines.c says; its runtime directory."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    pieces.write()
    directory = tmp_path_factory.mktemp("short")
    sources = [path for path in SOURCES if path.parent.name == "ofctl"]
    subprocess.run(["cc", "-O1", "-g", "-fsanitize=address,undefined", "-Wall", "-Wextra",
                    *(f"-I{place}" for place in INCLUDES),
                    '-DEXT_SUFFIX=".none"', NATIVE / "short_lines.c", *sources,
                    "-o", directory / "short_lines"], check=True)
    environment = os.environ | {"OVS_RUNDIR": str(directory), "OVS_CTL_TIMEOUT": "30",
                                "ASAN_OPTIONS": "detect_leaks=0",
                                "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    environment.pop("LD_PRELOAD", None)
    with subprocess.Popen([directory / "short_lines", ROOT], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=(directory / "err").open("wb"),
                          env=environment, cwd=directory) as process:
        yield process, directory
        process.stdin.close()
        assert process.wait(10) == 0, (directory / "err").read_text()[-4000:]


def carry_out(program, words: list[bytes], hang_up=lambda: None) -> int:
    """Have a line carried out; its result."""
    process, directory = program
    process.stdin.write(b"\t".join(word.replace(b"\t", b" ") for word in words) + b"\n")
    process.stdin.flush()
    heard = b""
    deadline = time.monotonic() + 60
    while not (heard.endswith(b"\n") and b"\1" in heard[-8:]):
        if not select.select([process.stdout], [], [], 0.02)[0]:
            hang_up()               # The client waits for what will not come.
            assert time.monotonic() < deadline, words
            continue
        more = os.read(process.stdout.fileno(), 1 << 16)
        assert more, (directory / "err").read_text()[-4000:]
        heard += more
    return int(heard.rpartition(b"\1")[2])


def spoil(rng: random.Random, text: bytes) -> bytes:
    """A text with some characters changed, put in, left out or repeated."""
    out = bytearray(text)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0:
                out[at:at + 1] = bytes((rng.choice(ALPHABET),))
            case 1:
                del out[at:at + rng.randrange(1, 9)]
            case 2:
                out[at:at] = out[at - min(at, 12):at] * rng.choice((1, 2, 300))
            case 3:
                out[at:at] = rng.choice((b"18446744073709551616", b"0x", b"-1", b"1e9", b"::", b"/"))
    return bytes(byte for byte in out[:100_000] if byte not in b"\0\n\t")


COUNTS = [300, pytest.param(15_000, marks=pytest.mark.long)]


@pytest.mark.parametrize("count", COUNTS)
def test_flows_of_any_words_break_nothing(program, count):
    rng = random.Random(count)
    switch = HostileSwitch(program[1] / "br0.mgmt", random.Random(0))
    switch.rng.randrange = lambda *_: 11            # It does as it should.
    results = set()
    for _ in range(count):
        command = rng.choice((b"add-flow", b"mod-flows", b"del-flows", b"dump-flows"))
        flow = b",".join(rng.choice(USUAL).encode() for _ in range(rng.choice((1, 1, 1, 2))))
        if command in (b"del-flows", b"dump-flows"):
            flow = flow.partition(b"actions")[0].rstrip(b", ")
        options = rng.choice(([], [b"--strict"], [b"-OOpenFlow13"], [b"--no-stats"]))
        switch.use(SCRIPTS["usual"]._replace(hello=rng.choice((HELLO, BITMAP, ONLY_13)),
                                             is_first=rng.random() < 0.95))
        words = [*options, command, b"br0", spoil(rng, flow)]
        if words[-1] != b"-":                       # That would be stdin.
            results.add(carry_out(program, words, switch.hang_up))
    switch.close()
    (program[1] / "br0.mgmt").unlink()
    assert results == {0, -1}


@pytest.mark.parametrize("count", COUNTS)
def test_switches_that_say_anything_break_nothing(program, count):
    rng = random.Random(count)
    switch = HostileSwitch(program[1] / "br0.mgmt", rng)
    lines = [(line.encode().split(), script) for line, script in LINES.items()]
    lines += [([b"dump-flows", b"br0"], script) for script in SCRIPTS.values()]
    results = set()
    for _ in range(count):
        words, script = rng.choice(lines)
        switch.use(script._replace(is_first=rng.random() < 0.95))
        results.add(carry_out(program, words, switch.hang_up))
    switch.close()
    (program[1] / "br0.mgmt").unlink()
    assert results == {0, -1}
