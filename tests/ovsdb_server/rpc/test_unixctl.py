"""The control socket: table, arity, errors, async handlers, JSON output."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ovsdb_server.rpc import blocking, unixctl
from ovsdb_server.rpc.unixctl import Command, CommandError

ROOT = Path(__file__).resolve().parents[3]


def talk(path, body, commands=()):
    """Run `body(connection)` in a thread while a control socket serves."""

    async def slow(args):
        await trio.sleep(0)
        return f"slow {args[0]}"

    def fail(args):
        raise CommandError("it failed")

    table = (Command("exit", "", 0, 0, lambda args: None), Command("slow", "X", 1, 1, slow),
             Command("fail", "", 0, 0, fail), Command("many", "[X]...", 0, None,
                                                      lambda args: ",".join(args)),
             Command("table", "", 0, 0, lambda args: {"a": [1]}), *commands)

    async def main():
        server = unixctl.Server(path, table, "prog (Open vSwitch) 4.0.90")
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            outcome = await trio.to_thread.run_sync(body)
            nursery.cancel_scope.cancel()
        server.close()
        return outcome

    return trio.run(main)


def appctl(path, *args):
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
         "from utilities.appctl import main; sys.exit(main(sys.argv[1:]))", "-t", path, *args],
        capture_output=True, text=True, timeout=10)
    return done.returncode, done.stdout, done.stderr


def refused(path, text):
    return (2, "", f"{text}\novs-appctl: {path}: server returned an error\n")


def test_commands_answer_as_the_reference_does(tmp_path):
    path = str(tmp_path / "x.ctl")

    def body():
        assert appctl(path, "version") == (0, "prog (Open vSwitch) 4.0.90\n", "")
        assert appctl(path, "exit") == (0, "", "")
        assert appctl(path, "slow", "a") == (0, "slow a\n", "")
        assert appctl(path, "many", "-x", "--", "b") == (0, "-x,--,b\n", "")
        assert appctl(path, "fail") == refused(path, "it failed")
        assert appctl(path, "bogus") == refused(
            path, '"bogus" is not a valid command (use "list-commands" to see a list of valid '
                  'commands)')
        assert appctl(path, "slow") == refused(
            path, '"slow" command requires at least 1 arguments')
        assert appctl(path, "slow", "a", "b") == refused(
            path, '"slow" command takes at most 1 arguments')
        assert appctl(path, "list-commands")[1].splitlines()[:3] == [
            "The available commands are:", "  exit                    ",
            "  fail                    "]

    talk(path, body)
    assert not (tmp_path / "x.ctl").exists()


def test_json_output_wraps_plain_answers(tmp_path):
    path = str(tmp_path / "x.ctl")

    def body():
        assert json.loads(appctl(path, "--format=json", "slow", "a")[1]) == {
            "reply": "slow a", "reply-format": "plain"}
        assert appctl(path, "-f", "json", "--pretty", "table")[1] == (
            '{\n  "a": [\n    1]}\n')
        assert appctl(path, "--pretty", "table")[0] == 1

    talk(path, body)


def test_one_connection_carries_several_commands(tmp_path):
    path = str(tmp_path / "x.ctl")

    def body():
        with blocking.connect_path(path, 5) as connection:
            assert connection.call("slow", ["1"], 5) == "slow 1\n"
            with pytest.raises(blocking.RpcError):
                connection.call("fail", [], 5)
            assert connection.call("many", [], 5) == ""

    talk(path, body)


def test_garbage_ends_only_its_connection(tmp_path):
    path = str(tmp_path / "x.ctl")

    def body():
        with blocking.connect_path(path, 5) as bad, blocking.connect_path(path, 5) as good:
            bad._sock.send(b"garbage")
            with pytest.raises(blocking.ConnectionClosed):
                bad.receive(5)
            assert good.call("many", ["x"], 5) == "x\n"

    talk(path, body)
