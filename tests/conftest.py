"""What all tests share.

With PYVSWITCH_REQUIRE_ALL=1 (as .ci/run sets it) a test marked `system` or `differential` that
skips itself, or a module that skips as a whole, counts as failed: on the machine that judges a
change everything must really have run.

Daemons leave signals ignored that they were started with so, as nohup does; tests that send them
must not depend on how they themselves were started.
"""

import os
import signal

import pytest

REQUIRE_ALL = os.environ.get("PYVSWITCH_REQUIRE_ALL") == "1"
STRICT_MARKS = ("system", "differential")

for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


def _refuse_skip(report) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"skipped although PYVSWITCH_REQUIRE_ALL=1: {reason}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    strict = REQUIRE_ALL and any(item.get_closest_marker(mark) for mark in STRICT_MARKS)
    if strict and report.skipped and not hasattr(report, "wasxfail"):
        _refuse_skip(report)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    report = outcome.get_result()
    if REQUIRE_ALL and report.skipped:
        _refuse_skip(report)
