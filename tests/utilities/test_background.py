"""Tests of utilities/background.py: the control socket of tools that stay."""

import json
import select
import socket

import pytest

from ovsdb_server.rpc import address
from utilities.background import Control

COMMANDS = {"exit": ("", 0, 0, None), "add": ("A B", 2, 2, lambda words: ("+".join(words), None)),
            "fail": ("[WHY]...", 0, 9, lambda words: (None, " ".join(words)))}


@pytest.fixture
def control(tmp_path):
    listener = address.listen_unix(str(tmp_path / "ctl"))
    yield Control("tool", listener, COMMANDS)
    listener.close()


def turn(control: Control) -> list:
    """One turn of the owner's loop."""
    return control.take(select.select(control.fds(), [], [], 0)[0])


def connect(tmp_path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(10)
    peer.connect(str(tmp_path / "ctl"))
    return peer


def say(peer: socket.socket, method: str, *words: str) -> None:
    peer.sendall(json.dumps({"id": 1, "method": method, "params": list(words)}).encode())


def ask(control: Control, peer: socket.socket, method: str, *words: str) -> tuple:
    """(result, error) of a command that is answered at once."""
    say(peer, method, *words)
    assert turn(control) == []
    answer = json.loads(peer.recv(65536))
    return answer["result"], answer["error"]


@pytest.mark.parametrize("words, answer", [
    (("add", "1", "2"), ("1+2\n", None)),
    (("add", "1"), (None, '"add" command requires at least 2 arguments\n')),
    (("add", "1", "2", "3"), (None, '"add" command takes at most 2 arguments\n')),
    (("fail", "so", "what"), (None, "so what\n")),
    (("nope",), (None, '"nope" is not a valid command (use "list-commands" to see a list of '
                       'valid commands)\n')),
    (("version",), ("tool (Open vSwitch) 4.0.90\n", None))])
def test_commands_are_answered(control, tmp_path, words, answer):
    with connect(tmp_path) as peer:
        assert turn(control) == []
        assert ask(control, peer, *words) == answer


def test_all_commands_are_listed_with_those_of_the_log(control, tmp_path):
    with connect(tmp_path) as peer:
        turn(control)
        lines = ask(control, peer, "list-commands")[0].splitlines()
    assert lines[0] == "The available commands are:" and lines[1:] == sorted(lines[1:])
    assert "  add                     A B" in lines
    assert {"exit", "list-commands", "version", "vlog/set", "coverage/show"} <= {
        line.split()[0] for line in lines[1:]}


def test_the_owner_answers_its_own_commands_when_it_likes(control, tmp_path):
    with connect(tmp_path) as slow, connect(tmp_path) as quick:
        turn(control)
        turn(control)
        say(slow, "exit")
        request, = turn(control)
        assert request.name == "exit" and request.arguments == []
        assert ask(control, quick, "add", "a", "b") == ("a+b\n", None)
        request.reply()
        assert json.loads(slow.recv(65536)) == {"id": 1, "result": "", "error": None}


def test_peers_that_leave_or_talk_nonsense_are_forgotten(control, tmp_path):
    peer, other = connect(tmp_path), connect(tmp_path)
    turn(control)
    turn(control)
    assert len(control.fds()) == 3
    peer.sendall(b"]nonsense")
    other.close()
    assert turn(control) == [] and len(control.fds()) == 1
    assert peer.recv(10) == b""
    peer.close()
    with connect(tmp_path) as again:
        turn(control)
        assert ask(control, again, "add", "1", "2") == ("1+2\n", None)
