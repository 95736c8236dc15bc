"""The tools over TLS: files, their mistakes, bootstrapping, several remotes."""

import datetime
import re
import signal
import time
from pathlib import Path

import pytest

from tests.utilities.oracle import Outcome, Server, run_ours
from utilities.vsctl import main

x509 = pytest.importorskip("cryptography.x509")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


def make_certificate(directory: Path, name: str, authority: tuple | None = None) -> tuple:
    """Write NAME.pem and NAME-key.pem, signed by `authority` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder().subject_name(subject)
        .issuer_name(authority[1].subject if authority else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(authority is None, None), True)
        .sign(authority[0] if authority else key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    (directory / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    (directory / f"{name}-key.pem").write_bytes(key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return key, certificate


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Our server, which also listens for TLS; `server.port` says where."""
    directory = tmp_path_factory.mktemp("tls")
    authority = make_certificate(directory, "ca")
    for name in ("server", "client"):
        make_certificate(directory, name, authority)
    make_certificate(directory, "stranger")
    chain = (directory / "server.pem").read_text() + (directory / "ca.pem").read_text()
    (directory / "chain.pem").write_text(chain)
    server = Server(directory, is_ours=True)
    server.stop()
    deadline = time.monotonic() + 10
    while (directory / "ovsdb-server.pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    server.run("ovsdb-server", True, "--detach", "--no-chdir", "--pidfile",
                "--log-file=tls.log", "-vconsole:off", "--remote=punix:db.sock",
                "--remote=pssl:0:127.0.0.1", "-p", "server-key.pem", "-c", "chain.pem", "-C",
                "ca.pem")
    server.port = re.search(r"listening on port (\d+)",
                            (directory / "tls.log").read_text())[1]
    run_ours(main, ["--no-wait", "add-br", "br0"], server)
    yield server
    server.stop()


def vsctl(server: Server, *options: str, remote: str | None = None) -> Outcome:
    """Run list-br over TLS; file names are those of the server's directory."""
    remote = remote or f"ssl:127.0.0.1:{server.port}"
    return run_ours(main, ["-t", "10", f"--db={remote}", *options, "list-br"], server)


GOOD = ("-p", "client-key.pem", "-c", "client.pem", "-C", "ca.pem")


@pytest.mark.parametrize("options", [
    GOOD, (*GOOD[:4], "-C", "none"), (*GOOD, "--ssl-protocols=TLSv1.2"),
    (*GOOD, "--ssl-protocols=TLSv1.2+"), (*GOOD, "--ssl-server-name=example.org"),
    (*GOOD, "--peer-ca-cert=ca.pem"), (*GOOD, "--ssl-ciphersuites=TLS_AES_128_GCM_SHA256")])
def test_a_good_set_of_files_connects(server, options: tuple[str, ...]) -> None:
    outcome = vsctl(server, *options)
    assert (outcome.stdout, outcome.code) == ("br0\n", 0)


@pytest.mark.parametrize("options, texts", [
    ((), ["Private key must be configured to use SSL",
          "Certificate must be configured to use SSL",
          "CA certificate must be configured to use SSL", "(Protocol not available)"]),
    ((*GOOD[2:], "-p", "nosuch.pem"),
     ["SSL_use_PrivateKey_file: error:80000002:system library::No such file or directory",
      "Private key must be configured to use SSL", "(Protocol not available)"]),
    ((*GOOD[:4], "-C", "server.pem"),
     ["SSL_connect: error:0A000086:SSL routines::certificate verify failed", "(Protocol error)"]),
    (("-p", "client-key.pem", "-c", "server.pem", "-C", "ca.pem"),
     ["Private key does not match certificate public key: error:0A0000BE:SSL routines::no private "
      "key assigned", "(Protocol not available)"]),
])
def test_mistakes_are_named(server, options: tuple[str, ...], texts: list[str]) -> None:
    outcome = vsctl(server, *options)
    assert (outcome.stdout, outcome.code) == ("", 1)
    position = 0
    for text in texts:
        position = outcome.stderr.index(text, position)


def test_who_is_refused_after_the_handshake_hears_it_in_words_of_the_system(server) -> None:
    """With TLS 1.3 the client is told when it talks; its own data may meet a closed socket."""
    outcome = vsctl(server, "-p", "stranger-key.pem", "-c", "stranger.pem", "-C", "ca.pem")
    assert outcome.code == 1
    words = re.search(r"\|stream_ssl\|WARN\|(SSL_\w+): .*\n.*\((.*)\)$", outcome.stderr.strip())
    assert words.groups() in (("SSL_read", "Input/output error"), ("SSL_write", "Broken pipe"))


@pytest.mark.parametrize("option, complaint", [
    ("--ssl-ciphers=nonsense",
     "SSL_CTX_set_cipher_list: error:0A0000B9:SSL routines::no cipher match"),
    ("--ssl-ciphersuites=x",
     "SSL_CTX_set_ciphersuites: error:0A0000B9:SSL routines::no cipher match"),
    ("--ssl-protocols=foo,TLSv1.2", "foo: SSL protocol not recognized"),
    ("--ssl-protocols=", "SSL protocol settings invalid")])
def test_lists_that_cannot_be_used_are_told_and_ignored(server, option: str,
                                                        complaint: str) -> None:
    outcome = vsctl(server, *GOOD, option)
    assert (outcome.stdout, outcome.code) == ("br0\n", 0)
    assert [line.split("|", 2)[2] for line in outcome.stderr.splitlines()] == [
        f"stream_ssl|ERR|{complaint}"]


def test_the_authority_can_be_bootstrapped(server) -> None:
    path = server.directory / "boot.pem"
    options = (*GOOD[:4], "--bootstrap-ca-cert=boot.pem")
    # The connection that brings the authority is given up, as the reference gives it up.
    outcome = vsctl(server, *options, "-vconsole:info", "-vPATTERN:console:%p|%m")
    assert (outcome.stdout, outcome.code) == ("", 1)
    lines = outcome.stderr.splitlines()
    assert lines[0] == "INFO|successfully bootstrapped CA cert to boot.pem"
    assert re.fullmatch(r"INFO\|Trusting CA cert from boot\.pem \((/\w+=[^/]+)+\) "
                        r"\(fingerprint [0-9a-f]{2}(:[0-9a-f]{2}){19}\)", lines[1])
    assert lines[2] == "INFO|killing successful connection to retry using CA cert"
    assert lines[3].endswith("database connection failed (Protocol error)")
    assert path.read_text() == (server.directory / "ca.pem").read_text()
    assert vsctl(server, *options).stdout == "br0\n"
    path.unlink()
    path.write_text((server.directory / "client.pem").read_text())
    assert vsctl(server, *options).code == 1


def test_the_next_of_several_remotes_is_tried(server) -> None:
    remote = f"unix:/nonexistent,ssl:127.0.0.1:{server.port}"
    assert vsctl(server, *GOOD, remote=remote).stdout == "br0\n"
    outcome = vsctl(server, remote="unix:/nonexistent,tcp:127.0.0.1:1")
    assert outcome.code == 1
    assert "database connection failed (" in outcome.stderr


def test_retrying_ends_with_the_time_limit(server) -> None:
    outcome = run_ours(main, ["-t", "1", "--retry", "--db=unix:/nonexistent", "list-br"], server)
    assert outcome.code == -signal.SIGALRM
