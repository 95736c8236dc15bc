"""Builds and runs the C tests of this directory: plain, with ASan+UBSan, with TSan."""

import os
import re
import subprocess

import pytest

PACKET_ROOMS = ("base", "packet", "action")
ALL_ROOMS = (".", "base", "packet", "classifier", "conntrack", "action", "cache", "pipeline",
             "translation", "port", "worker")
ENVIRONMENT = os.environ | {"ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1",
                            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
ENVIRONMENT.pop("LD_PRELOAD", None)


def run(program, *arguments: object) -> str:
    """Run a C test; its output. Fails with what it said."""
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_hostile_frames_break_no_promise(compile_native):
    program = compile_native("fuzz_packet", PACKET_ROOMS, "address,undefined")
    run(program, 20_000, 1)


@pytest.mark.long
def test_a_million_hostile_frames_take_no_more_memory_than_a_tenth(compile_native):
    program = compile_native("fuzz_packet", PACKET_ROOMS)
    early, late = map(int, re.search(r"(\d+) kB, (\d+) kB", run(program, 1_000_000, 7)).groups())
    assert late <= early * 1.05


@pytest.mark.parametrize("sanitize", ["", "address,undefined"])
def test_objects_of_the_pool_are_nobody_elses_and_their_memory_is_given_back(
        compile_native, sanitize):
    program = compile_native("pool", ("base",), sanitize)
    before, after = map(int, re.search(r"(\d+) kB, (\d+) kB", run(program, 5)).groups())
    assert sanitize or after < before + 6000, "of some 40 MB, 16 chunks may be kept"


@pytest.mark.parametrize("sanitize", ["thread", "address,undefined"])
def test_ports_flows_and_rules_may_change_while_workers_forward(compile_native, sanitize):
    program = compile_native("churn", ALL_ROOMS, sanitize)
    run(program, 2, 60)
