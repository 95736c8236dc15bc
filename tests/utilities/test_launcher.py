"""Launchers: the programs keep their names, ignore the caller's Python settings, start fast."""

import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from utilities import launcher, programs

ROOT = Path(__file__).resolve().parents[2]


def make_program(tmp_path, directory, source):
    """Write the launcher of a program `probe`, whose module has `source`, below `directory`."""
    root = tmp_path / directory
    (root / "utilities").mkdir(parents=True)
    (root / "utilities" / "programs.py").write_text(
        (ROOT / "utilities" / "programs.py").read_text().replace(
            "PROGRAMS = {", 'PROGRAMS = {\n    "probe": "utilities.probe",'))
    (root / "utilities" / "probe.py").write_text(source)
    python = root / "bin" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    path = root / "bin" / "probe"
    path.write_text(launcher.launcher_text(
        "probe", str(root), str(python), sysconfig.get_path("purelib")))
    path.chmod(0o755)
    return path


SHOW_NAME = """
def main(argv):
    print(open("/proc/self/comm").read().strip(), *argv, sep="|")
    return 7
"""


@pytest.mark.parametrize("directory", ["plain", "with spaces", "quote'd", "long" * 50])
def test_program_keeps_its_name_arguments_and_exit_code_wherever_it_lies(tmp_path, directory):
    path = make_program(tmp_path, directory, SHOW_NAME)
    result = subprocess.run([path, "a b", "$c"], capture_output=True, text=True, cwd="/")
    assert (result.stdout, result.stderr, result.returncode) == ("probe|a b|$c\n", "", 7)


def test_callers_python_settings_cannot_replace_our_modules(tmp_path):
    path = make_program(tmp_path, "plain", SHOW_NAME)
    evil = tmp_path / "evil" / "utilities"
    evil.mkdir(parents=True)
    (evil / "__init__.py").write_text("raise SystemExit('wrong module')")
    environment = os.environ | {"PYTHONPATH": str(evil.parent), "PYTHONSTARTUP": "/nonexistent"}
    result = subprocess.run(
        [path], capture_output=True, text=True, cwd=evil.parent, env=environment)
    assert (result.stdout, result.stderr) == ("probe\n", "")


def test_text_is_utf8_in_the_c_locale(tmp_path):
    path = make_program(tmp_path, "plain", "def main(argv):\n    print('\\u00b5' + argv[0])\n")
    environment = {"LC_ALL": "C", "PATH": os.environ["PATH"]}
    result = subprocess.run([path, "\u00b5"], capture_output=True, env=environment)
    assert result.stdout.decode() == "\u00b5\u00b5\n"


def test_reader_that_goes_away_ends_the_program_quietly(tmp_path):
    path = make_program(tmp_path, "plain", "def main(argv):\n    print('x\\n' * 1000000)\n")
    result = subprocess.run(f"{path} | head -1", shell=True, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("x\n", "")


def test_launchers_are_written_for_the_programs_that_exist(tmp_path):
    (tmp_path / "bin").mkdir()
    names = launcher.write_launchers(tmp_path)
    assert "ovs-appctl" in names
    assert set(names) == {path.name for path in (tmp_path / "bin").iterdir()}
    for name in names:
        assert os.access(tmp_path / "bin" / name, os.X_OK)


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
