"""TLS remotes: only clients with a certificate of the right authority get in."""

import datetime
import json
import re
import ssl

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ovsdb_server.client.replica import Replica, Status
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.service.tls import TlsFiles, make_context
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
    "A": {"columns": {"x": {"type": "integer"}}}}})


def make_authority(directory, name):
    """Make an authority and one certificate; return (key file, certificate file, CA file)."""

    def name_of(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def issue(subject, key, issuer, issuer_key, is_authority):
        start = datetime.datetime(2020, 1, 1)
        return (x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(
            name_of(issuer)).public_key(key.public_key()).serial_number(7 + is_authority)
            .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=36500))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .sign(issuer_key, hashes.SHA256()))

    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    files = [directory / f"{name}-{kind}.pem" for kind in ("key", "cert", "ca")]
    files[0].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    pem = serialization.Encoding.PEM
    files[1].write_bytes(issue(f"{name}-host", key, name, authority_key, False).public_bytes(pem))
    files[2].write_bytes(issue(name, authority_key, name, authority_key, True).public_bytes(pem))
    return tuple(map(str, files))


@pytest.fixture
def keys(tmp_path):
    return make_authority(tmp_path, "good")


@pytest.fixture
def server(make_server, keys):
    process = make_server(files=("t.db",), options=(
        f"--private-key={keys[0]}", f"--certificate={keys[1]}", f"--ca-cert={keys[2]}",
        "--remote=pssl:0:127.0.0.1"))
    journal.create(str(process.directory / "t.db"), SCHEMA)
    assert process.start("-vconsole:off", "--log-file").returncode == 0
    process.port = re.search(r"\|socket_util\|INFO\|0:127\.0\.0\.1: listening on port (\d+)$",
                             process.log(), re.MULTILINE).group(1)
    return process


def test_a_client_with_a_certificate_is_served(server, keys):
    with blocking.connect(f"ssl:127.0.0.1:{server.port}", 5, blocking.Tls(*keys)) as connection:
        big = "x" * 1_000_000
        assert connection.call("echo", [big], 10) == [big]
        assert connection.call("list_dbs", [], 5) == ["T", "_Server"]


@pytest.mark.differential
def test_ovsdb_client_of_the_reference_is_served(server, keys, tools):
    done = server.run(tools.reference("ovsdb-client"), "-p", keys[0], "-c", keys[1], "-C", keys[2],
                      "transact", f"ssl:127.0.0.1:{server.port}",
                      json.dumps(["T", {"op": "insert", "table": "A", "row": {"x": 1}}]))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_of_another_authority_is_refused(server, tmp_path, keys):
    other = make_authority(tmp_path, "bad")
    with pytest.raises((ssl.SSLError, ConnectionError, blocking.ConnectionClosed)):
        with blocking.connect(f"ssl:127.0.0.1:{server.port}", 5,
                              blocking.Tls(other[0], other[1], keys[2])) as connection:
            connection.call("list_dbs", [], 5)
    with blocking.connect(server.remote, 5) as connection:
        assert connection.call("echo", [1], 5) == [1]


def test_a_client_that_speaks_no_tls_is_refused(server):
    with blocking.connect(f"tcp:127.0.0.1:{server.port}", 5) as connection:
        with pytest.raises((blocking.ConnectionClosed, blocking.ProtocolError, OSError)):
            connection.call("echo", [1], 5)


def test_a_replica_follows_over_tls(server, keys, quiet_console):
    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                replica = Replica(f"ssl:127.0.0.1:{server.port}", SCHEMA,
                                  tls_context=lambda: make_context(TlsFiles(*keys), False))
                nursery.start_soon(replica.serve)
                await replica.wait_synced()
                txn = replica.transaction()
                txn.insert("A", {"x": (5,)})
                assert await replica.commit(txn) is Status.SUCCESS
                assert [row["x"] for row in replica.rows["A"].values()] == [(5,)]
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_without_keys_a_client_is_turned_away_and_the_log_says_why(make_server):
    server = make_server(files=("t.db",), options=("--remote=pssl:0:127.0.0.1",))
    journal.create(str(server.directory / "t.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    port = re.search(r"listening on port (\d+)$", server.log(), re.MULTILINE).group(1)
    with blocking.connect(f"tcp:127.0.0.1:{port}", 5) as connection:
        with pytest.raises((blocking.ConnectionClosed, ConnectionError)):
            connection.receive(5)
    assert "|stream_ssl|ERR|Private key must be configured to use SSL" in server.log()


def test_keys_can_come_from_the_database(make_server, keys):
    schema = DatabaseSchema.from_json({"name": "K", "version": "1.0.0", "tables": {
        "SSL": {"columns": {name: {"type": "string"} for name in ("key", "cert", "ca")}}}})
    server = make_server(files=("k.db",), options=(
        "--private-key=db:K,SSL,key", "--certificate=db:K,SSL,cert", "--ca-cert=db:K,SSL,ca",
        "--remote=pssl:0:127.0.0.1"))
    journal.create(str(server.directory / "k.db"), schema)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    with blocking.connect(server.remote, 5) as connection:
        connection.call("transact", ["K", {"op": "insert", "table": "SSL", "row": dict(
            zip(("key", "cert", "ca"), keys))}], 5)
    port = re.search(r"listening on port (\d+)$", server.log(), re.MULTILINE).group(1)
    with blocking.connect(f"ssl:127.0.0.1:{port}", 5, blocking.Tls(*keys)) as connection:
        assert connection.call("list_dbs", [], 5) == ["K", "_Server"]
