"""The compiled library with gcc's sanitizers: hostile frames through all of it, and its own tests.

The extension is built as `make check-asan` and `make check-tsan` do it, where that is not up to date.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PUMP = ROOT / "tests" / "fuzz" / "pump.py"
LIBRARIES = {"asan": "libasan.so", "tsan": "libtsan.so"}
SANITIZERS = {"asan": "address,undefined", "tsan": "thread"}


@pytest.fixture(scope="session", params=["asan", "tsan"])
def sanitized(request) -> dict[str, str]:
    """An environment whose Python loads the library with sanitizers."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    kind = request.param
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([sys.executable, "setup.py", "-q", "build_ext"], cwd=ROOT, check=True,
                   env=plain | {"DP_SANITIZE": SANITIZERS[kind]}, stdout=subprocess.DEVNULL)
    library = subprocess.run(["cc", f"-print-file-name={LIBRARIES[kind]}"], check=True, text=True,
                             capture_output=True).stdout.strip()
    return plain | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
                    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
                    "TSAN_OPTIONS": "halt_on_error=1",
                    "PYVSWITCH_DATAPATH": str(ROOT / "build" / kind / "datapath")}


def run(command: list[object], environment: dict[str, str]) -> str:
    """What a program prints that must succeed."""
    done = subprocess.run([sys.executable, "-I", *map(str, command)], cwd=ROOT, text=True,
                          env=environment, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout


def test_the_tests_of_what_is_in_c_pass_under_sanitizers(sanitized):
    run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/datapath",
         "tests/vswitchd/openflow/test_quick.py", "tests/vswitchd/openflow/test_flow_lines.py",
         "tests/vswitchd/openflow/test_shapes.py", "tests/utilities/test_ofctl_many.py"],
        sanitized)


@pytest.mark.parametrize("sanitized", ["asan"], indirect=True)
def test_hostile_frames_break_and_leak_nothing(sanitized, tmp_path):
    """What the interpreter leaves is not ours: only blocks that the library made count."""
    options = f"detect_leaks=1:exitcode=0:log_path={tmp_path}/leaks"
    found = json.loads(run([PUMP, 3000, 10_000, 3], sanitized | {"ASAN_OPTIONS": options}))
    assert min(found["out"], found["hit"], found["missed"], found["dropped"]) > 500, found
    reports = [path.read_text() for path in tmp_path.glob("leaks*")]
    assert reports, "the leak checker did not look"
    for report in reports:
        assert "AddressSanitizer" not in report.replace("SUMMARY: AddressSanitizer", ""), report
        leaks = [leak for leak in report.split("\n\n") if "datapath/src/" in leak]
        assert not leaks, "\n\n".join(leaks[:3])


@pytest.mark.long
def test_a_million_hostile_frames_take_no_more_memory_than_a_tenth():
    found = json.loads(run([PUMP, 100_000, 1_000_000, 9], dict(os.environ)))
    assert found["late"] <= found["early"] * 1.05
