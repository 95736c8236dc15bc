"""OVN, whose programs know nothing of us, drives our databases and switch as it drives Debian's.

Each scenario is a text of lines. `trace FLOW` traces a packet on br-int; all other lines are shell.
The same lines run on a cloud of Debian's suite and on one of ours; what they print, the flows that
ovn-controller installed and the traces must be equal.
"""

from difflib import unified_diff
from pathlib import Path

import pytest

from tests.conformance.cloud import Cloud, is_installed, without_chance
from tests.differential.switches import normal

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="OVN is not installed")]
SCENARIOS = sorted(Path(__file__).with_name("ovn").glob("*.txt"))


def play(cloud: Cloud, scenario: Path) -> list[tuple[str, str]]:
    """(line, what it printed) of each line; then the flows."""
    told = []
    for line in scenario.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        command = f"ovs-appctl ofproto/trace br-int '{rest}'" if word == "trace" else line
        if word in ("trace", "flows"):
            told.append(("sync", cloud.wait_hypervisor()))
        if word == "flows":
            told += [("flow", flow) for flow in cloud.flows()]
        else:
            told.append((line, without_chance(normal(cloud.run(command), cloud.directory))))
    return told


def _lines(told: list[tuple[str, str]]) -> list[str]:
    return [line for command, output in told for line in f"{command}: {output}".splitlines()]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.stem)
def test_ovn_sees_the_same_of_both_suites(scenario, tmp_path):
    told = []
    for real in (True, False):
        cloud = Cloud(tmp_path / ("real" if real else "ours"), real)
        try:
            told.append(play(cloud, scenario))
            complaints = cloud.complaints()
        finally:
            cloud.close()
    difference = "\n".join(unified_diff(*map(_lines, told), "Debian's", "ours", lineterm=""))
    assert told[1] == told[0], difference
    assert not complaints
