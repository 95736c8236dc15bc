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

WATCH = """ovs-ofctl --names -m monitor br0 watch: --detach --no-chdir --pidfile=$PWD/pid \
--unixctl=$PWD/ctl 2>mon; ovs-appctl -t $PWD/ctl ofctl/barrier; ovs-appctl -t $PWD/ctl exit; cat mon"""
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
    # What errors and monitors show, and small things.
    Case(("--names", "--bundle", "add-group", "br0", "group_id=1,type=all,bucket=p1")),
    Case(("--names", "add-group", "br0", "group_id=1,type=all,bucket=p1")),
    Case(shell=WATCH), *(Case(("monitor", "br0", f"watch:{what}")) for what in (
        "in_port=p9,!add", "tcp,tp_dst=x", "zork=3", "zork", "table=", "nw_src=x")),
    *(Case(("-mmmmm", change, "br0", *flow)) for change, *flow in (
        ("add-flow", "in_port=1,actions=9999"), ("del-flows",), ("mod-flows", "ip,actions=2"))),
    Case(("-mmmmm", "add-flows", "br0", "-"), FLOWS), Case(("-mmmm", "del-flows", "br0", "ip")),
    Case(("dump-tables", "br0")), Case(("-OOpenFlow11", "dump-tables", "br0")),
    Case(("-OOpenFlow13", "dump-table-features", "br1")), Case(("mod-group", "br0")),
    Case(("-OOpenFlow14", "mod-table", "br0", "all", "evict")), Case(("del-meter", "br0", "kbps")),
    Case(("ct-flush", "br0", "ct_nw_proto=1,icmp_type=8")), Case(("ct-flush", "br0", "")),
    Case(("ct-flush-zone", "br0", "0x5")), Case(("packet-out", "br0", "in_port=all,packet=" + FRAME)),
    Case(("packet-out", "br0", "in_port=65534,packet=" + FRAME)), Case(("replace-flows", "br0", "./none")),
    Case(("--no-names", "dump-ports", "br0", "p1")), Case(("-vofctl", "probe", "br0")),
    Case(("replace-flows", "br0", "-"), FLOWS),
    Case(("-OOpenFlow15", "dump-ports-desc", "br0", "")), Case(("packet-out", "br0", "all", "2", FRAME)),
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


@pytest.mark.parametrize("first, count", [(0, 30),
                                          pytest.param(1000, 700, marks=pytest.mark.long)])
def test_commands_do_and_say_what_the_reference_does_and_says(pair, first, count):
    pair.reset()
    found = differences(pair, ((seed, numbered(seed), seed % 2 == 1)
                               for seed in range(first, first + count)))
    # What is rare may be unknown yet.
    assert len(found) <= count // 50, "\n".join(found)
    if not found:
        assert pair.ours.state() == pair.theirs.state()


def test_what_was_found_stays_mended(pair):
    pair.reset()
    assert differences(pair, ((number, what, is_forked) for number, what in enumerate(FOUND)
                              for is_forked in (False, True))) == []
