"""Files of many flows by our ovs-ofctl and by Debian's with Debian's switch."""

import subprocess

import pytest

from tests.differential.switches import Switch, is_installed, normal, ours

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="needs Debian's openvswitch-switch")]

PLAIN = [f"table={n % 3},priority={n},tcp,nw_src=10.0.{n}.0/24,actions=output:{n + 1}"
         for n in range(250)]
OVERLAPS = ["table=1,priority=7,check_overlap,tcp,nw_src=10.0.0.0/8,actions=drop",
            "table=2,priority=5,check_overlap,tcp,nw_src=10.0.0.0/8,actions=drop"]
FILES = {
    "plain": PLAIN, "refused by the switch": [*PLAIN, *OVERLAPS, "priority=7777,actions=drop"],
    "odd": [*PLAIN, "priority=5,tp_dst=7,actions=drop", "reg1=3/7,actions=learn(table=3)"],
    "wrong": [*PLAIN, "priority=5,tp_dst=7,actions=drop", "priority=66666,actions=drop"],
    "wrong number": [*PLAIN, "priority=1,actions=load:9->NXM_NX_REG0[0..2]"],
    "commands": [*PLAIN, *(f"delete table={n % 3},tcp,nw_src=10.0.{n}.0/24" for n in range(200))],
}


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    switch = Switch(tmp_path_factory.mktemp("ofctl") / "switch", real=True)
    switch.run("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure "
               "protocols=OpenFlow10,OpenFlow13,OpenFlow14")
    yield switch
    switch.close()


@pytest.mark.parametrize("options", ["", "--bundle", "-O OpenFlow13", "-O OpenFlow14 --bundle",
                                     "-F nxm", "--no-names"])
@pytest.mark.parametrize("name", FILES)
def test_many_flows_go_in_alike(name, options, switch, tmp_path):
    path = tmp_path / "flows"
    path.write_text("\n".join(FILES[name]))
    found = []
    for client in (["ovs-ofctl"], ours("ovs-ofctl")):
        subprocess.run(["ovs-ofctl", "del-flows", "br0"], env=switch.environment, check=True)
        done = subprocess.run([*client, *options.split(), "add-flows", "br0", str(path)],
                              env=switch.environment, capture_output=True, text=True, check=False)
        dump = subprocess.run(["ovs-ofctl", "--no-stats", "dump-flows", "br0"], text=True,
                              env=switch.environment, capture_output=True, check=True).stdout
        found.append((done.returncode, done.stdout, normal(done.stderr, tmp_path),
                      sorted(dump.splitlines())))
    assert found[1] == found[0]
