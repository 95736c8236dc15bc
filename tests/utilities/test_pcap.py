"""ovs-pcap and ovs-tcpundump beside the reference's, and on files of every kind."""

import shutil
import struct
import subprocess

import pytest

from tests.utilities.test_appctl_interop import Place
from tests.utilities.oracle import run_ours
from utilities import pcap, tcpundump

PACKETS = [bytes(range(20)), b"\xff" * 64, b"", b"abc"]


def pcap_file(order: str = "<", magic: int = 0xa1b2c3d4) -> bytes:
    """Return a pcap file with PACKETS."""
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 1)
    for packet in PACKETS:
        data += struct.pack(order + "IIII", 1, 2, len(packet), len(packet)) + packet
    return data


FILES = {"little": pcap_file(), "big": pcap_file(">"), "nano": pcap_file("<", 0xa1b23c4d),
         "cut packet": pcap_file()[:-2], "cut record": pcap_file()[:-8], "short": b"abc",
         "other": b"x" * 40, "empty": b""}

TEXTS = [
    "12:00 IP\n\t0x0000:  0001 0203\n\t0x0010:  0405 06    ...\n12:01 ARP\n\t0x0000:  ffff ff\n",
    "\t0x0000:  01\n\t0x0000:  02\n", "\t0x0000:  01\njunk\n\t0x0010:  02\n", "",
    "\t0x0000:  0102 03 0405  ..0a 0b\n", "\t0x0000:   0102\n", "\t0x0000:  AABB cc",
    " 0x00a0:  0102\n 0x0000: 03\n", "\t0x0000:  010203040506 07\n", "0x0000:  01\n",
]


def both(program: str, main, tmp_path, argv: list[str], stdin: bytes = b"") -> None:
    """Assert that our program and the reference's print and return the same."""
    place = Place(tmp_path)
    path = shutil.which(program, path="/usr/bin:/usr/local/bin")
    theirs = subprocess.run([path, *argv], input=stdin, capture_output=True, cwd=tmp_path)
    ours = run_ours(main, argv, place, stdin)
    assert (ours.stdout, ours.stderr, ours.code) == (
        theirs.stdout.decode(), theirs.stderr.decode().replace(f"{path}:", f"{program}:"),
        theirs.returncode)


reference = [pytest.mark.differential, pytest.mark.skipif(
    shutil.which("ovs-pcap", path="/usr/bin:/usr/local/bin") is None,
    reason="Debian's openvswitch-switch is not installed")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=reference) for name in FILES])
def test_pcap_files_are_printed_as_by_the_reference(name, tmp_path) -> None:
    (tmp_path / "file").write_bytes(FILES[name])
    both("ovs-pcap", pcap.main, tmp_path, ["file"])


@pytest.mark.parametrize("argv", [
    pytest.param(argv, marks=reference) for argv in ([], ["a", "b"])])
def test_mistakes_are_named_as_by_the_reference(argv, tmp_path) -> None:
    both("ovs-pcap", pcap.main, tmp_path, argv)


@pytest.mark.parametrize("text", [pytest.param(text, marks=reference) for text in TEXTS])
def test_dumps_are_read_as_by_the_reference(text, tmp_path) -> None:
    both("ovs-tcpundump", tcpundump.main, tmp_path, [], text.encode())


def test_packets_come_back(tmp_path) -> None:
    (tmp_path / "file").write_bytes(FILES["big"])
    outcome = run_ours(pcap.main, ["file"], Place(tmp_path))
    assert outcome.stdout.splitlines() == [packet.hex() for packet in PACKETS]


def test_a_file_that_is_not_there_is_no_traceback(tmp_path) -> None:
    outcome = run_ours(pcap.main, ["nosuch"], Place(tmp_path))
    assert (outcome.stderr, outcome.code) == (
        "ovs-pcap: nosuch: No such file or directory\n", 1)


def test_dumped_lines_are_joined() -> None:
    assert list(tcpundump.packets(TEXTS[0].splitlines())) == ["00010203040506", "ffffff"]
