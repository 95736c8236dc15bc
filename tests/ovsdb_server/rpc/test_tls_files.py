"""TLS remotes: only clients with a certificate of the right authority get in."""

import json
import re
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest
import trio

from ovsdb_server.client.replica import Replica, Status
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.rpc.tls_files import TlsFiles, make_context
from ovsdb_server.storage import journal
from tests.ovsdb_server.authority import Authority

SCHEMA = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
    "A": {"columns": {"x": {"type": "integer"}}}}})


@pytest.fixture
def keys(tmp_path):
    return Authority(tmp_path, "good").issue("host")


@pytest.fixture
def server(make_server, keys):
    return start(make_server, *tls_options(keys))


def is_served(server, key, certificate, authority, protocols=None, ciphers=None):
    try:
        with blocking.connect(f"ssl:127.0.0.1:{server.port}", 5, blocking.Tls(
                key, certificate, authority, protocols, ciphers)) as connection:
            return connection.call("echo", [1], 5) == [1]
    except (ssl.SSLError, ConnectionError, blocking.ConnectionClosed):
        return False


def wait_log(server, pattern):
    deadline = time.monotonic() + 10
    while (found := re.search(pattern, server.log(), re.MULTILINE)) is None:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.01)
    return found


def start(make_server, *options, name=""):
    """Return a started server of SCHEMA with a TLS port."""
    server = make_server(files=("t.db",), name=name, options=("--remote=pssl:0:127.0.0.1",
                                                              *options))
    journal.create(str(server.directory / "t.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    server.port = re.search(r"listening on port (\d+)$", server.log(), re.MULTILINE).group(1)
    return server


def tls_options(keys):
    return f"--private-key={keys[0]}", f"--certificate={keys[1]}", f"--ca-cert={keys[2]}"


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
    other = Authority(tmp_path, "bad").issue("stranger")
    assert not is_served(server, other[0], other[1], keys[2])
    for line in (r"stream_ssl\|WARN\|SSL_accept: error:0A000086:SSL routines::certificate verify "
                 "failed", r"jsonrpc\|WARN\|ssl:127.0.0.1:\d+: receive error: Protocol error",
                 r"reconnect\|WARN\|ssl:127.0.0.1:\d+: connection dropped \(Protocol error\)"):
        wait_log(server, line)
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
    server = start(make_server)
    with blocking.connect(f"tcp:127.0.0.1:{server.port}", 5) as connection:
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


def test_changed_files_count_for_the_next_connection(server, keys, tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
    new = Authority(tmp_path / "new", "new").issue("host")
    old = [shutil.copy(file, tmp_path / "old") for file in keys]
    assert is_served(server, *old) and not is_served(server, *new)
    for file, replacement in zip(keys, new):
        shutil.copy(replacement, file)
    assert is_served(server, *new) and not is_served(server, *old)
    # While a file is not usable, what was read last goes on to serve.
    Path(keys[1]).write_bytes(Path(keys[1]).read_bytes()[:100])
    assert is_served(server, *new)
    Path(keys[2]).unlink()
    assert is_served(server, *new)
    assert server.log().count("|stream_ssl|ERR|") == 2


def test_versions_ciphers_and_suites_are_limited(make_server, keys):
    server = start(
        make_server, *tls_options(keys), "--ssl-protocols=TLSv1.2",
        "--ssl-ciphers=ECDHE-ECDSA-AES256-GCM-SHA384", name="old")
    assert is_served(server, *keys) and not is_served(server, *keys, "TLSv1.3")
    assert not is_served(server, *keys, None, "ECDHE-ECDSA-AES128-GCM-SHA256")
    suites = start(
        make_server, *tls_options(keys), "--ssl-ciphersuites=TLS_AES_128_GCM_SHA256",
        name="suites")
    client = make_context(TlsFiles(*keys), False)
    with socket.create_connection(("127.0.0.1", suites.port)) as plain:
        with client.wrap_socket(plain) as sock:
            assert sock.cipher()[0] == "TLS_AES_128_GCM_SHA256"


def test_what_is_wrong_with_the_options_is_logged_at_the_start(make_server, keys):
    server = start(make_server, *tls_options(keys), "--ssl-protocols=SSLv9", "--ssl-ciphers=no",
                   "--ssl-ciphersuites=no", name="lists")
    errors = [line.split("|", 3)[3] for line in server.log().splitlines() if "|ERR|" in line]
    assert errors == [
        "ERR|SSLv9: SSL protocol not recognized",
        "ERR|SSL_CTX_set_cipher_list: error:0A0000B9:SSL routines::no cipher match",
        "ERR|SSL_CTX_set_ciphersuites: error:0A0000B9:SSL routines::no cipher match"]
    server = start(make_server, "--private-key=no", "--certificate=no", "--ca-cert=none",
                   name="files")
    assert ("|stream_ssl|ERR|SSL_use_certificate_file: error:80000002:system library::No such file"
            " or directory") in server.log()
    assert "|WARN|Peer certificate validation disabled (this is a security risk)" in server.log()


def test_a_server_learns_the_authority_of_the_server_it_calls(make_server, tmp_path, keys):
    """A relay with --bootstrap-ca-cert, whose source sends its authority along."""
    source = start(make_server, *tls_options(keys), f"--peer-ca-cert={keys[2]}", name="source")
    relay = make_server(name="relay", files=(f"relay:T:ssl:127.0.0.1:{source.port}",), options=(
        f"--private-key={keys[0]}", f"--certificate={keys[1]}", "--bootstrap-ca-cert=learned.pem"))
    assert relay.start("-vconsole:off", "--log-file").returncode == 0
    with blocking.connect(relay.remote, 5) as connection:
        connection.call("set_db_change_aware", [True], 5)
        connected = {"op": "wait", "table": "Database", "where": [["name", "==", "T"]],
                     "columns": ["connected"], "until": "==", "rows": [{"connected": True}]}
        assert connection.call("transact", ["_Server", connected], 8) == [{}]
        assert "uuid" in connection.call(
            "transact", ["T", {"op": "insert", "table": "A", "row": {"x": 3}}], 5)[0]
    learned = relay.directory / "learned.pem"
    assert ssl.PEM_cert_to_DER_cert(learned.read_text()) == ssl.PEM_cert_to_DER_cert(
        Path(keys[2]).read_text())
    assert f"|INFO|successfully bootstrapped CA cert to {learned}" in relay.log()
    # From now on only that authority is trusted.
    (tmp_path / "other").mkdir()
    source.kill()
    relay.kill()
    other = start(make_server, *tls_options(Authority(tmp_path / "other", "o").issue("host")),
                  name="other")
    relay.files = (f"relay:T:ssl:127.0.0.1:{other.port}",)
    assert relay.start("-vconsole:off", "--log-file").returncode == 0
    wait_log(relay, "connection attempt failed")


RBAC = {"name": "R", "version": "1.0.0", "tables": {
    "RBAC_Role": {"isRoot": True, "columns": {
        "name": {"type": "string"},
        "permissions": {"type": {
            "key": "string", "value": {"type": "uuid", "refTable": "RBAC_Permission",
                                       "refType": "weak"}, "min": 0, "max": "unlimited"}}}},
    "RBAC_Permission": {"isRoot": True, "columns": {
        "table": {"type": "string"},
        "authorization": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
        "insert_delete": {"type": "boolean"},
        "update": {"type": {"key": "string", "min": 0, "max": "unlimited"}}}},
    "Remote": {"isRoot": True, "columns": {
        "target": {"type": "string"}, "role": {"type": "string"}}},
    "Use": {"isRoot": True, "columns": {"remotes": {"type": {
        "key": {"type": "uuid", "refTable": "Remote"}, "min": 0, "max": "unlimited"}}}},
    "Port": {"isRoot": True, "columns": {
        "owner": {"type": "string"}, "n": {"type": "integer"}, "secret": {"type": "integer"}}}}}

DENIED = 'RBAC rules for client "host" role "reader" prohibit '


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_a_role_limits_what_a_certificate_may_write(make_server, keys, kind):
    server = make_server(kind, files=("r.db",), options=(*tls_options(keys),
                                                         "--remote=db:R,Use,remotes"))
    journal.create(str(server.directory / "r.db"), DatabaseSchema.from_json(RBAC))
    assert server.start("-vconsole:off", "--log-file").returncode == 0

    def port(n, owner):
        return {"op": "insert", "table": "Port", "row": {"n": n, "owner": owner}}

    def write(**row):
        return {"op": "update", "table": "Port", "where": [["n", "==", 1]], "row": row}

    with blocking.connect(server.remote, 5) as root:
        root.call("transact", ["R", port(1, "host"), port(2, "other"), {
            "op": "insert", "table": "RBAC_Permission", "uuid-name": "p", "row": {
                "table": "Port", "authorization": "owner", "insert_delete": True,
                "update": ["set", ["n"]]}},
            {"op": "insert", "table": "RBAC_Role", "row": {
                "name": "reader", "permissions": ["map", [["Port", ["named-uuid", "p"]]]]}},
            {"op": "insert", "table": "Remote", "uuid-name": "t", "row": {
                "target": "pssl:0:127.0.0.1", "role": "reader"}},
            {"op": "insert", "table": "Use", "row": {"remotes": ["named-uuid", "t"]}}], 5)
    found = wait_log(server, r"listening on port (\d+)$")
    every = []
    cases = [
        (port(3, "host"), None), (port(4, "other"), 'row insertion into table "Port".'),
        (write(n=1), None), (write(secret=5), 'modification of table "Port".'),
        ({"op": "update", "table": "Port", "where": every, "row": {"n": 7}},
         'modification of table "Port".'),
        ({"op": "mutate", "table": "Port", "where": [["n", "==", 1]],
          "mutations": [["n", "+=", 0]]}, None),
        ({"op": "mutate", "table": "Port", "where": every, "mutations": [["n", "+=", 1]]},
         'mutate operation on table "Port".'),
        ({"op": "delete", "table": "Port", "where": [["n", "==", 2]]},
         'row deletion from table "Port".'),
        ({"op": "delete", "table": "Port", "where": [["n", "==", 3]]}, None),
        ({"op": "insert", "table": "Remote", "row": {}}, 'row insertion into table "Remote".')]
    with blocking.connect(f"ssl:127.0.0.1:{found.group(1)}", 5,
                          blocking.Tls(*keys)) as connection:
        for operation, denied in cases:
            result = connection.call("transact", ["R", operation], 5)[0]
            if denied is None:
                assert "error" not in result, operation
            else:
                assert result == {"error": "permission error", "details": DENIED + denied}
        rows = connection.call("transact", ["R", {"op": "select", "table": "Port", "where": [],
                                                  "columns": ["n"]}], 5)[0]["rows"]
        assert sorted(row["n"] for row in rows) == [1, 2]
        with pytest.raises(blocking.RpcError) as raised:
            connection.call("convert", ["R", RBAC], 5)
        assert raised.value.error == {
            "error": "permission error",
            "details": DENIED + '"convert" of database R (only the root role may convert '
                                'databases)'}
