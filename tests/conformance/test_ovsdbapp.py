"""OpenStack's ovsdbapp: its own functional tests, unmodified, with our programs first in PATH.

They come with the package; they make databases, start servers and the switch (and OVN's daemons,
which the fixtures want), and drive them through the Python IDL: bridges, ports, QoS, mirrors,
controllers, and the northbound and southbound databases.
"""

import os
import re
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conformance import cloud
from utilities.launcher import ROOT, launcher_text
from utilities.programs import PROGRAMS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(find_spec("ovsdbapp") is None or find_spec("oslotest") is None,
                       reason="ovsdbapp and oslotest are not installed"),
    pytest.mark.skipif(not cloud.is_installed(), reason="Debian's OVN is not installed")]

# Module below ovsdbapp.tests.functional, and how many tests it has at least.
MODULES = [("schema.open_vswitch.test_impl_idl", 15), ("schema.open_vswitch.test_common_db", 4),
           ("schema.ovn_southbound.test_impl_idl", 15), ("test_venv", 5)]


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> Path:
    """A directory with a launcher for each of our programs."""
    directory = tmp_path_factory.mktemp("bin")
    for name in PROGRAMS:
        path = directory / name
        path.write_text(launcher_text(name, str(ROOT), sys.executable,
                                      sysconfig.get_path("purelib")))
        path.chmod(0o755)
    return directory


@pytest.mark.parametrize("module, count", MODULES)
def test_functional_tests_pass(programs: Path, module: str, count: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unittest", f"ovsdbapp.tests.functional.{module}"],
        cwd=programs, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    ran = re.search(r"^Ran (\d+) tests? in", done.stderr, re.MULTILINE)
    failed = re.findall(r"^(?:ERROR|FAIL): .*", done.stderr, re.MULTILINE)
    assert done.returncode == 0 and ran and int(ran[1]) >= count, failed or done.stderr[-3000:]
