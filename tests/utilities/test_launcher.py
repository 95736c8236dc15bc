"""Launchers: the programs keep their names, ignore the caller's Python settings, start fast."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from utilities import launcher, programs
from utilities.quickstart import build

ROOT = Path(__file__).resolve().parents[2]


def make_tree(tmp_path, directory, source, modules={}):
    """Make a checkout below `directory` with a program `probe`, whose module has `source`, and with
    {name: source} of other modules of utilities."""
    root = tmp_path / directory
    (root / "utilities").mkdir(parents=True)
    (root / "utilities" / "programs.py").write_text(
        (ROOT / "utilities" / "programs.py").read_text().replace(
            "PROGRAMS = {", 'PROGRAMS = {\n    "probe": "utilities.probe",'))
    for name, text in {"probe": source, **modules}.items():
        (root / "utilities" / f"{name}.py").write_text(text)
    python = root / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    return root


@pytest.fixture(autouse=True)
def _bundle_little(monkeypatch):
    """Leave the standard library out of bundles, which costs a second each time."""
    monkeypatch.setattr(build, "_STANDARD", ("struct",))


def make_tool(tmp_path, directory, source, modules={}):
    """Do as `make_program`, but make a tool that starts from C."""
    root = make_tree(tmp_path, directory, source, modules)
    complaint = build.write_tools(root, sysconfig.get_path("purelib"), ["probe"], root)
    if "Python.h" in complaint or "no libpython" in complaint:
        pytest.skip("needs python3-dev")
    assert complaint == ""
    return root / "bin" / "probe"


def make_program(tmp_path, directory, source):
    """Write the launcher of a program `probe`, whose module has `source`, below `directory`."""
    root = make_tree(tmp_path, directory, source)
    python = root / "bin" / "python3"
    path = root / "bin" / "probe"
    path.write_text(launcher.launcher_text(
        "probe", str(root), str(python), sysconfig.get_path("purelib")))
    path.chmod(0o755)
    return path


SHOW_NAME = """
def main(argv):
    if "--version" in argv:
        print("probe 1")
        return 0
    print(open("/proc/self/comm").read().strip(), *argv, sep="|")
    return 7
"""


@pytest.mark.parametrize("directory", ["plain", "with spaces", "quote'd", "long" * 50])
def test_program_keeps_its_name_arguments_and_exit_code_wherever_it_lies(tmp_path, directory):
    path = make_program(tmp_path, directory, SHOW_NAME)
    result = subprocess.run([path, "a b", "$c"], capture_output=True, text=True, cwd="/")
    assert (result.stdout, result.stderr, result.returncode) == ("probe|a b|$c\n", "", 7)


MAKERS = pytest.mark.parametrize("make", [make_program, make_tool], ids=["script", "tool"])


@MAKERS
def test_callers_python_settings_cannot_replace_our_modules(tmp_path, make):
    path = make(tmp_path, "plain", SHOW_NAME)
    evil = tmp_path / "evil" / "utilities"
    evil.mkdir(parents=True)
    (evil / "__init__.py").write_text("raise SystemExit('wrong module')")
    environment = os.environ | {"PYTHONPATH": str(evil.parent), "PYTHONSTARTUP": "/nonexistent",
                                "PYTHONSAFEPATH": "1"}
    if make is make_tool:
        environment["PYTHONHOME"] = "/nonexistent"
    result = subprocess.run(
        [path], capture_output=True, text=True, cwd=evil.parent, env=environment)
    assert (result.stdout, result.stderr) == ("probe\n", "")


@MAKERS
def test_text_is_utf8_in_the_c_locale(tmp_path, make):
    path = make(tmp_path, "plain",
                "def main(argv):\n    print('probe', '\\u00b5' + argv[0])\n")
    environment = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    result = subprocess.run([path, "\u00b5"], capture_output=True, env=environment)
    assert result.stdout.decode() == "probe \u00b5\u00b5\n"


@MAKERS
def test_reader_that_goes_away_changes_nothing(tmp_path, make):
    path = make(tmp_path, "plain", """
import sys

def main(argv):
    if "--version" in argv:
        print("probe 1")
        return 0
    print("probe\\n" * 1000000)
    print("done", file=sys.stderr)
    return 3
""")
    result = subprocess.run(["bash", "-c", f"set -o pipefail; {path} | head -1"],
                            capture_output=True, text=True)
    assert (result.stdout, result.stderr, result.returncode) == ("probe\n", "done\n", 3)


def test_tool_keeps_its_name_arguments_and_exit_code_in_odd_places(tmp_path):
    path = make_tool(tmp_path, "quote'd and long " + "x" * 200, SHOW_NAME)
    result = subprocess.run([path, "a b", "$c"], capture_output=True, text=True, cwd="/")
    assert (result.stdout, result.stderr, result.returncode) == ("probe|a b|$c\n", "", 7)


@MAKERS
def test_names_of_hosts_and_text_of_any_encoding_can_be_used(tmp_path, make):
    path = make(tmp_path, "plain", """
import socket

def main(argv):
    if "--version" not in argv:
        print(socket.getaddrinfo("127.0.0.1", 1)[0][4], "\\u00b5".encode("latin-1"))
    else:
        print("probe 1")
""")
    result = subprocess.run([path], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("('127.0.0.1', 1) b'\\xb5'\n", "")


def test_tool_notices_edited_modules_and_may_be_moved_and_copied(tmp_path):
    path = make_tool(tmp_path, "plain", SHOW_NAME)
    root = path.parents[1]
    link = tmp_path / "other"
    link.symlink_to(path)
    copy = tmp_path / "probe"
    shutil.copy(path, copy)
    module = root / "utilities" / "probe.py"
    module.write_text(SHOW_NAME.replace("return 7", "return 8").replace("sep='|'", "sep=' '"))
    assert subprocess.run([path], capture_output=True).returncode == 8
    assert subprocess.run([copy], capture_output=True).returncode == 8
    assert subprocess.run([link], capture_output=True).returncode == 8
    copy.rename(tmp_path / "renamed")
    result = subprocess.run([tmp_path / "renamed"], capture_output=True, text=True)
    assert result.returncode == 1 and "needs the name of one" in result.stderr
    root.rename(tmp_path / "moved")
    result = subprocess.run([tmp_path / "moved" / "bin" / "probe"], capture_output=True, text=True)
    assert (result.stdout, result.stderr, result.returncode) == ("probe\n", "", 8)


def test_tool_ends_as_python_would(tmp_path):
    path = make_tool(tmp_path, "plain", """
import atexit, sys, threading
def main(argv):
    if "--version" in argv:
        print("probe 1")
        return 0
    if argv == ["raise"]:
        raise ValueError("wrong")
    if argv == ["exit"]:
        sys.exit("bye")
    atexit.register(lambda: print("at exit"))
    threading.Thread(target=lambda: print("thread")).start()
    print("no newline", end="", file=sys.stderr)
""")
    result = subprocess.run([path], capture_output=True, text=True)
    assert sorted(result.stdout.split("\n")) == ["", "at exit", "thread"]
    assert (result.stderr, result.returncode) == ("no newline", 0)
    result = subprocess.run([path, "raise"], capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.endswith("ValueError: wrong\n")
    result = subprocess.run([path, "exit"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "bye\n")


CLASSES = '''
import dataclasses, inspect, sys
from collections import namedtuple
Pair = namedtuple("Pair", "left right", defaults=(2,))

@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A place."""
    x: int
    y: int = 0

@dataclasses.dataclass(order=True)
class Other:
    items: list = dataclasses.field(default_factory=list)

def main(argv):
    print("probe", Point(1), Pair(1), Point(1) == Point(1, 0), hash(Point(2)) == hash(Point(2)))
    print(Other([1]) < Other([2]), Point.__doc__, Other.__doc__, Point.__annotations__["x"])
    try:
        Point(1).x = 2
    except dataclasses.FrozenInstanceError as error:
        print(error)
    print(inspect.signature(Point), main.__doc__, inspect.__name__, Pair.__new__.__qualname__)
'''


def test_module_that_its_pack_needs_runs_once(tmp_path, monkeypatch):
    """`outer` is what has a pack, and the pack's `inner` needs it."""
    monkeypatch.setitem(build._PACKS, "utilities.outer", ("utilities.outer", "utilities.inner"))
    path = make_tool(tmp_path, "plain", """
def main(argv):
    if "--version" in argv:
        print("probe 1")
        return 0
    from utilities import outer
    from utilities.inner import count
    print(count(), outer.count())
""", {"outer": "n = 0\ndef count():\n    global n\n    n += 1\n    return n\n",
      "inner": "from utilities.outer import count\n"})
    result = subprocess.run([path], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("1 2\n", "")


def test_tool_makes_classes_as_python_does(tmp_path, monkeypatch):
    """What the bundle does to be quick shows nowhere: texts compiled before, lazy modules."""
    monkeypatch.setattr(build, "_STANDARD", ("struct", "collections", "dataclasses", "inspect"))
    monkeypatch.setattr(build, "_WITH_TEXTS", ("utilities.",))
    path = make_tool(tmp_path, "plain", CLASSES)
    ours = subprocess.run([path], capture_output=True, text=True)
    theirs = subprocess.run(
        [sys.executable, "-I", "-c", "import sys; sys.path.insert(0, sys.argv[1])\n"
         "from utilities.probe import main; main([])", path.parents[1]],
        capture_output=True, text=True, check=True)
    assert (ours.stdout, ours.stderr) == (theirs.stdout, "")


def test_without_a_compiler_the_tools_are_scripts(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CC", "/nonexistent/cc")
    (tmp_path / "bin").mkdir()
    launcher.write_launchers(tmp_path)
    assert "which start more slowly" in capsys.readouterr().err
    assert (tmp_path / "bin" / "ovs-vsctl").read_text().startswith("#!")


def test_launchers_are_written_for_the_programs_that_exist(tmp_path):
    (tmp_path / "bin").mkdir()
    names = launcher.write_launchers(tmp_path)
    assert "ovs-appctl" in names
    assert set(names) == {path.name for path in (tmp_path / "bin").iterdir()}
    for name in names:
        assert os.access(tmp_path / "bin" / name, os.X_OK)


def test_tools_that_are_up_to_date_are_left_alone(tmp_path):
    path = make_tool(tmp_path, "plain", SHOW_NAME)
    root = path.parents[1]

    def make_again():
        assert build.write_tools(root, sysconfig.get_path("purelib"), ["probe"], root) == ""
        return path.stat().st_ino, (root / build.LIBRARY_NAME).stat().st_ino

    before = make_again()
    assert make_again() == before
    module = root / "utilities" / "probe.py"
    os.utime(module, (time.time() + 10, time.time() + 10))
    assert make_again() != before


def test_daemons_start_without_what_only_tests_need():
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); import vswitchd.main, "
            "vswitchd.supervisor, ovsdb_server.main; "
            "print(*({'pytest', 'trio.testing', 'jsonschema', 'asyncio'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True,
                          check=True)
    assert done.stdout == "\n"


def test_tools_start_without_the_heavy_libraries():
    """A tool imports neither trio nor jsonschema nor the compiled datapath to say its version."""
    heavy = {"trio", "jsonschema", "asyncio", "argparse", "datapath._dp", "cryptography"}
    for name, module in programs.PROGRAMS.items():
        if name in ("ovsdb-server", "ovs-vswitchd") or not launcher.module_exists(module, ROOT):
            continue
        code = (f"import sys; sys.path.append({str(ROOT)!r}); import {module}; "
                f"print(*({heavy!r} & set(sys.modules)))")
        result = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
        assert (result.stdout.strip(), result.stderr) == ("", ""), name


def test_version_takes_a_few_tens_of_milliseconds():
    path = ROOT / ".venv" / "bin" / "ovs-appctl"
    if not path.exists():
        pytest.skip("needs make build")
    best = min(_time_of([path, "--version"]) for _ in range(5))
    assert best < 0.25


def _time_of(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin
