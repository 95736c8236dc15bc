"""An os-ken controller sees the same of our switch as of Debian's."""

import re

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.vswitchd.openflow.controllers import observe

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]
pytest.importorskip("os_ken", reason="os-ken is not installed")


def words(line: str) -> tuple[str, ...]:
    """A message without the order of its parts: ports come in any; versions differ."""
    line = re.sub(r"sw_desc=b'[\d.]+'", "", line)
    return tuple(sorted(re.split(r"[(){}\[\], ]+|\d+: ", line)))


@pytest.mark.parametrize("version", [1, 4])
def test_a_controller_sees_the_same_of_both_switches(version, tmp_path):
    seen = []
    for real in (True, False):
        switch = Switch(tmp_path / ("real" if real else "ours"), real)
        try:
            lines, told = observe(switch, version)
        finally:
            switch.close()
        del told["ovs-vsctl --columns=is_connected,role list controller"]   # told late by Debian's
        seen.append(([words(line) for line in lines],
                     {normal(line, switch.directory): normal(text, switch.directory)
                      for line, text in told.items()}))
    assert seen[1][0] == seen[0][0]
    assert seen[1][1] == seen[0][1]
