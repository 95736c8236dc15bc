"""ovs-pki: authorities, requests and certificates, exchanged with the reference's program."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.utilities.oracle import ROOT

OURS = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from utilities.pki import main; sys.exit(main(sys.argv[1:]))"]
REFERENCE = shutil.which("ovs-pki", path="/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program")
needs_reference = [pytest.mark.differential, pytest.mark.skipif(
    REFERENCE is None, reason="Debian's openvswitch-common is not installed")]


def run(command: list[str], directory: Path, *argv: str, answer: str = ""
        ) -> tuple[int, str, str]:
    """Run a program in `directory` on the PKI there; return code, stdout, stderr."""
    done = subprocess.run([*command, "-d", str(directory / "pki"), "-l", str(directory / "log"),
                           *argv], cwd=directory, input=answer, capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"})
    return done.returncode, done.stdout, done.stderr.replace("/usr/bin/ovs-pki: ", "ovs-pki: ")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A PKI of ours with two members; -B 1024 saves time."""
    directory = tmp_path_factory.mktemp("pki")
    assert run(OURS, directory, "-B", "1024", "init") == (
        0, "", "Creating controllerca...\nCreating switchca...\n")
    for argv in (["req+sign", "sc", "switch"], ["req+sign", "ctl", "controller"], ["req", "self"]):
        assert run(OURS, directory, "-B", "1024", *argv)[::2] == (0, "")
    return directory


def test_members_are_signed_by_their_authority(directory) -> None:
    assert run(OURS, directory, "verify", "sc") == (0, "sc-cert.pem: OK\n", "")
    assert run(OURS, directory, "verify", "ctl", "controller") == (0, "ctl-cert.pem: OK\n", "")
    code, _, error = run(OURS, directory, "verify", "ctl", "switch")
    assert code == 2 and "verification failed" in error


def test_keys_are_for_their_owner_only(directory) -> None:
    def mode(name: str) -> int:
        return stat.S_IMODE((directory / name).stat().st_mode)
    assert mode("sc-privkey.pem") == 0o600
    assert mode("pki/switchca/private") == 0o700
    assert mode("pki/switchca/private/cakey.pem") == 0o700
    assert mode("sc-req.pem") & 0o444 == mode("sc-cert.pem") & 0o444 == 0o444


def test_nothing_is_replaced_without_force(directory) -> None:
    before = (directory / "sc-privkey.pem").read_bytes()
    assert run(OURS, directory, "req", "sc") == (
        1, "", "ovs-pki: sc-privkey.pem already exists and --force not supplied\n")
    assert run(OURS, directory, "req+sign", "sc")[0] == 1
    assert run(OURS, directory, "init") == (
        1, "", f"ovs-pki: {directory}/pki already exists and --force not specified\n")
    assert (directory / "sc-privkey.pem").read_bytes() == before


@pytest.mark.parametrize("answer, is_signed", [("yes\n", True), ("no\n", False), ("", False)])
def test_a_person_confirms_the_fingerprint(directory, answer, is_signed) -> None:
    (directory / "self-cert.pem").unlink(missing_ok=True)
    code, out, error = run(OURS, directory, "sign", "self", answer=answer)
    assert re.fullmatch(r"self-req.pem\t\w{3} \w{3} .\d \S+ UTC \d{4}\n\tfingerprint [0-9a-f]{40}\n"
                        r"Does fingerprint match\? \(yes/no\)\n", out)
    assert (code, error) == ((0, "") if is_signed else
                             (1, "ovs-pki: Match failure, aborting\n"))
    assert (directory / "self-cert.pem").exists() == is_signed


def test_a_self_signed_certificate_verifies_itself(directory) -> None:
    (directory / "self-cert.pem").unlink(missing_ok=True)
    assert run(OURS, directory, "self-sign", "self") == (0, "", "")
    subprocess.run(["openssl", "verify", "-CAfile", "self-cert.pem", "self-cert.pem"],
                   cwd=directory, check=True, capture_output=True)


MISTAKES = [[], ["nosuch"], ["req"], ["req", "a", "b"], ["sign"], ["sign", "sc", "x"],
            ["verify", "nosuch"], ["fingerprint"], ["self-sign", "nosuch"], ["-k", "x", "init"]]


@pytest.mark.parametrize("argv", [
    pytest.param(argv, marks=needs_reference, id=" ".join(argv)) for argv in MISTAKES])
def test_mistakes_are_named_as_by_the_reference(directory, argv) -> None:
    assert run(OURS, directory, *argv) == run([REFERENCE], directory, *argv)


@pytest.mark.differential
@pytest.mark.skipif(REFERENCE is None, reason="Debian's openvswitch-common is not installed")
def test_directories_are_exchanged_with_the_reference(directory, tmp_path) -> None:
    # Theirs works in our directory, ours in theirs.
    assert run([REFERENCE], directory, "-b", "req+sign", "theirs")[0] == 0
    assert run(OURS, directory, "verify", "theirs") == (0, "theirs-cert.pem: OK\n", "")
    for name in ("sc-cert.pem", "sc-req.pem", "sc-privkey.pem"):
        assert run(OURS, directory, "fingerprint", name) == run(
            [REFERENCE], directory, "fingerprint", name)
    assert run([REFERENCE], tmp_path, "-B", "1024", "init")[0] == 0
    assert run(OURS, tmp_path, "-u", "req+sign", "ours", "controller")[0] == 0
    assert run([REFERENCE], tmp_path, "verify", "ours", "controller") == (
        0, "ours-cert.pem: OK\n", "")
    subject = subprocess.run(["openssl", "x509", "-in", "ours-cert.pem", "-noout", "-subject"],
                             cwd=tmp_path, capture_output=True, text=True).stdout
    assert subject.strip().endswith("OU = Open vSwitch certifier, CN = ours")
