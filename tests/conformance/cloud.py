"""A small OVN cloud of Debian's programs (ovn-northd, ovn-controller, ovn-nbctl) on a suite.

`Cloud` is a `Switch` of tests/differential with two databases more, northbound and southbound,
served by the same suite, and one hypervisor whose integration bridge is the suite's.
"""

import os
import re
import shutil
import time
from pathlib import Path

from tests.differential.switches import REAL, Switch, ours

_PROGRAMS = ("ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl")
_SCHEMAS = "/usr/share/ovn/ovn-{}.ovsschema"


def is_installed() -> bool:
    """Whether Debian's OVN is here."""
    return all(map(shutil.which, _PROGRAMS)) and all(
        os.path.exists(_SCHEMAS.format(name)) for name in ("nb", "sb"))


def without_chance(text: str) -> str:
    """`text` without cookies, which OVN makes of random UUIDs, without numbers of zones, which it
    gives out in their order (they are in reg11 to reg13 too), and without the nat(src) that it adds
    where a datapath says that it can do ct_zero_snat."""
    text = re.sub(r"\bcookie([ =])(?:0x[0-9a-f]+|HEX)", r"cookie\1C", text)
    text = re.sub(r"set_field:0x[0-9a-f]+->(reg1[123])", r"set_field:Z->\1", text)
    text = re.sub(r"\b(reg1[123]=|(?:ct_)?zone=)(0x)?[0-9a-f]+", r"\1Z", text)
    return re.sub(r"\n +nat\(src\)$|,nat\(src\)|\nReplacing src/dst IP/ports.*\n .*\n .*", "",
                  text, flags=re.MULTILINE)


class Cloud(Switch):
    """OVN with one hypervisor, `hv1`, whose br-int is a bridge of `datapath_type` dummy."""

    def __init__(self, directory: Path, real: bool):
        super().__init__(directory, real)
        self.environment |= {f"OVN_{name}": str(directory)
                             for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        for name in ("nb", "sb"):
            self.environment[f"OVN_{name.upper()}_DB"] = f"unix:{directory}/ovn{name}_db.sock"
            file = f"{directory}/{name}.db"
            self._check(["ovsdb-tool", "create", file, _SCHEMAS.format(name)])
            server = [REAL["ovsdb-server"]] if real else ours("ovsdb-server")
            self._check([*server, "--detach", "--no-chdir", f"--pidfile={directory}/{name}.pid",
                         f"--log-file={directory}/ovs-{name}.log",
                         f"--unixctl={directory}/{name}.ctl",
                         f"--remote=punix:{directory}/ovn{name}_db.sock", file])
        self._check(["ovn-nbctl", "init", "--", "set", "nb_global", ".",
                     "options:svc_monitor_mac=0a:00:00:00:00:01"])
        self._check(["ovn-northd", "--detach", "--no-chdir", "--pidfile", "--log-file"])
        self._check(["ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int",
                     "datapath_type=dummy", "fail-mode=secure",
                     "other-config:disable-in-band=true",
                     "other-config:hwaddr=aa:55:aa:55:00:00",
                     "other-config:datapath-id=fedcba9876543210", "--", "set", "open_vswitch", ".",
                     "external-ids:system-id=hv1", "external-ids:hostname=hv1",
                     f"external-ids:ovn-remote=unix:{directory}/ovnsb_db.sock",
                     "external-ids:ovn-encap-type=geneve", "external-ids:ovn-encap-ip=127.0.0.1"])
        self._check(["ovn-controller", "--detach", "--no-chdir", "--pidfile", "--log-file"])

    def flows(self) -> list[str]:
        """The flows of br-int, in any order of the actions: that of the ports of a multicast group
        is random."""
        text, before = self._dump(), ""
        while text != before:               # ports that just came up have more to do
            time.sleep(0.3)
            text, before = self._dump(), text
        flows = []
        for line in text.splitlines():
            match, actions, words = without_chance(line.strip()).partition(" actions=")
            flows.append(match + actions + ",".join(sorted(
                words.split(","))))
        return sorted(flows)

    def _dump(self) -> str:
        return self.run("ovs-ofctl --no-stats --no-names -OOpenFlow15 dump-flows br-int")

    def wait_hypervisor(self) -> str:
        """Waits until hv1 has done what the northbound database says; "" or a complaint."""
        return self.run("ovn-nbctl --timeout=20 --wait=hv sync")

    def close(self) -> None:
        """Ends all daemons."""
        for name in ("ovn-controller", "ovn-northd"):
            self.run(f"ovn-appctl -t {name} exit")
        for name in ("nb", "sb"):
            self.run(f"ovs-appctl -t {self.directory}/{name}.ctl exit")
        super().close()
