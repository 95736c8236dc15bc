"""Random command lines by our ovs-ofctl and by Debian's: see client_fuzz.py.

A few always, in a fork and by the installed tool, and many in make check-long. What they found has
rows in `FOUND`, which run always.
"""

import shutil

import pytest

from tests.differential.client_cases import FRAME, Case
from tests.differential.client_fuzz import Pair, numbered, show
from tests.differential.switches import is_installed

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent"),
              pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")]

FLOWS = "in_port=1,actions=2\nin_port=p2,actions=drop\n"
FOUND = (
    # Which names are asked for, in which order, and when.
    Case(("dump-flows", "br0", "in_port=p1")), Case(("dump-aggregate", "br0", "ip")),
    Case(("--names", "dump-flows", "br0")), Case(("--names", "-OOpenFlow13", "dump-flows", "br1")),
    Case(("--names", "dump-aggregate", "br0")), Case(("--names", "show", "br0")),
    Case(("packet-out", "br0", "nosuch", "1", FRAME)), Case(("mod-table", "br0", "all", "Drop")),
    Case(("queue-get-config", "br0", "p1")), Case(("queue-get-config", "br0")),
    Case(("--names", "diff-flows", "br0", "/dev/stdin"), FLOWS.replace("p2", "2")),
    # Versions.
    Case(("-O", "", "probe", "br0")), Case(("-OOpenFlow10", "bundle", "br0", "-"), "flow actions=1\n"),
    Case(("--bundle", "-OOpenFlow10,OpenFlow13", "add-flows", "br0", "-"), FLOWS),
    Case(("--bundle", "-OOpenFlow11", "-FNXM", "add-flow", "br0", "actions=drop")),
    # What --read-only forbids, and other options.
    Case(("--read-only", "ofp-print", "0100000800000001")), Case(("--read-only", "ct-flush-zone", "br0", "1")),
    Case(("-Pnxm", "probe", "br0")),
    # Nobody reads what is printed.
    Case(("dump-flows", "br0"), out="pipe"), Case(("show", "br0"), out="pipe"),
    Case(("list-commands",), out="pipe"), Case(("diff-flows", "br0", "./empty"), out="pipe"),
    Case(("parse-pcap", "./none", "./pcap")), Case(("compose-packet", "tcp", "x")),
    Case(("encode-error-reply", "OFPFMFC_OVERLAP", "01020050" + "00" * 76)),
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("client"))
    yield pair
    pair.close()


def differences(pair: Pair, cases) -> list[str]:
    """How those of (name, case, is it forked) that differ do."""
    found = []
    for name, what, is_forked in cases:
        outcomes = pair.difference(what, is_forked)
        if outcomes is not None:
            found.append(f"{name} {what}\n{show(*outcomes)}")
    return found


@pytest.mark.parametrize("first, count", [(0, 40),
                                          pytest.param(1000, 4000, marks=pytest.mark.long)])
def test_commands_do_and_say_what_the_reference_does_and_says(pair, first, count):
    pair.reset()
    assert differences(pair, ((seed, numbered(seed), seed % 2 == 1)
                              for seed in range(first, first + count))) == []
    assert pair.ours.state() == pair.theirs.state()


def test_what_was_found_stays_mended(pair):
    pair.reset()
    assert differences(pair, ((number, what, is_forked) for number, what in enumerate(FOUND)
                              for is_forked in (False, True))) == []
