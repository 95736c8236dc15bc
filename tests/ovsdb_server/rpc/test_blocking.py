"""The blocking client against a small peer in a thread; long socket paths."""

import threading

import pytest

from ovsdb_server.rpc import address, blocking


def _serve(listener, replies):
    """Accept one connection, read something, send `replies`, close."""

    def run():
        peer, _ = listener.accept()
        with peer:
            for reply in replies:
                peer.recv(65536)
                peer.sendall(reply)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_call_keeps_what_arrives_before_its_reply(tmp_path):
    path = str(tmp_path / "s")
    with address.listen_unix(path) as listener:
        _serve(listener, [b'{"id":null,"method":"update","params":[1]}'
                          b'{"id":0,"result":[2],"error":null}'])
        with blocking.connect("unix:" + path, 5) as connection:
            assert connection.call("m", [], 5) == [2]
            assert connection.receive(5).params == [1]


def test_an_error_reply_and_an_end_of_file_are_told_apart(tmp_path):
    path = str(tmp_path / "s")
    with address.listen_unix(path) as listener:
        _serve(listener, [b'{"id":0,"error":"unknown method"}'])
        with blocking.connect("unix:" + path, 5) as connection:
            with pytest.raises(blocking.RpcError) as caught:
                connection.call("m", [], 5)
            assert caught.value.error == "unknown method"
            with pytest.raises((blocking.ConnectionClosed, BrokenPipeError)):
                connection.call("m", [], 5)


def test_a_silent_peer_times_out(tmp_path):
    path = str(tmp_path / "s")
    with address.listen_unix(path):
        with blocking.connect("unix:" + path, 5) as connection, pytest.raises(TimeoutError):
            connection.call("m", [], 0.01)


def test_socket_paths_longer_than_a_sockaddr_work(tmp_path):
    directory = tmp_path / ("d" * 100) / ("e" * 100)
    directory.mkdir(parents=True)
    path = str(directory / "db.sock")
    with address.listen_unix(path) as listener:
        _serve(listener, [b'{"id":0,"result":1,"error":null}'])
        with blocking.connect("unix:" + path, 5) as connection:
            assert connection.call("m", [], 5) == 1


@pytest.mark.parametrize("text, kind, host, port", [
    ("tcp:1.2.3.4:99", "tcp", "1.2.3.4", 99), ("tcp:1.2.3.4", "tcp", "1.2.3.4", 6640),
    ("ssl:[::1]:7", "ssl", "::1", 7), ("tcp:[::1]", "tcp", "::1", 6640),
    ("ptcp:", "ptcp", "", 6640), ("ptcp:0:[::1]", "ptcp", "::1", 0),
    ("pssl:5:1.2.3.4", "pssl", "1.2.3.4", 5),
])
def test_remotes_parse(text, kind, host, port):
    remote = address.parse_remote(text)
    assert (remote.kind, remote.host, remote.port) == (kind, host, port)


def test_relative_socket_files_live_in_the_run_directory(monkeypatch):
    monkeypatch.setenv("OVS_RUNDIR", "/r")
    assert address.parse_remote("punix:x.sock").path == "/r/x.sock"
