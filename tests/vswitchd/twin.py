"""Two switches with one configuration: ours, driven through the library, and the real one.

`Ours` builds bridges, ports and flows from the texts that ovs-vsctl and ovs-ofctl read; `Reference`
runs Debian's daemons privately in dummy mode. Both answer `trace(bridge, flow)` with the text of
ofproto/trace. For tests only.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from datapath import action_text, face, text as dp_text
from schema.flow.seam import SEAM
from vswitchd.openflow import packed, source
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.text import parse_actions, parse_flow
from tests.datapath.conftest import port as port_config
from vswitchd.trace import Account, Names, trace_flow

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
HAS_REFERENCE = bool(shutil.which("ovs-vswitchd") and os.path.exists(SCHEMA))
_COMMANDS = {"add": 0, "modify": 1, "modify_strict": 2, "delete": 3, "delete_strict": 4}


class Ours:
    """A dummy datapath with bridges; ports are {name: {...}} as `Reference.bridge` takes them."""

    def __init__(self) -> None:
        face.clock(True, 1000)
        self.dp = face.datapath_open("ovs-dummy")
        self.bridges: dict[str, int] = {}
        self.ports: dict[str, dict[str, dict]] = {}
        self.bundles: dict[str, list[str]] = {}
        self.groups: dict[tuple[int, int], list] = {}

    def close(self) -> None:
        face.datapath_close(self.dp)
        face.clock(False)

    def bridge(self, name: str, ports: dict[str, dict], **settings) -> None:
        """Makes a bridge; a port has ofp, and maybe tag, trunks, mode, peer=(bridge, port)."""
        handle = face.bridge_add(self.dp, {
            "name": name, "mac_aging_s": 300, "mac_table_size": 2048, "forward_bpdu": False,
            "mac": "aa:55:aa:55:00:01", "flood_vlans": 0, **settings})
        self.bridges[name] = handle
        number = int("".join(filter(str.isdigit, name)) or 0) + 100
        self.ports[name] = {name: {"ofp": 0xfffe, "odp": number}, **ports}
        for port_name, port in self.ports[name].items():
            if "peer" not in port:
                port.setdefault("odp", port["ofp"])
                face.port_add(self.dp, port["odp"], port_config(port_name))
        self.refresh()

    def refresh(self) -> None:
        """Hands over all ports and bundles anew."""
        for name, handle in self.bridges.items():
            rows, bundles, members = [], [], []
            for index, (port_name, port) in enumerate(self.ports[name].items(), 1):
                peer = port.get("peer")
                known = peer and peer[0] in self.bridges
                rows.append({
                    "ofp": port["ofp"], "odp": port.get("odp", 0xffffffff),
                    "peer_bridge": self.bridges[peer[0]] if known else 0,
                    "peer_ofp": self.ports[peer[0]][peer[1]]["ofp"] if known else 0,
                    "config": port.get("config", 0), "is_live": True, "bundle": index,
                    "mtu": 1500, "name": port_name})
                tag = port.get("tag", 0)
                trunks = sum(1 << vlan for vlan in port.get("trunks", ()))
                cvlans = sum(1 << vlan for vlan in port.get("cvlans", ()))
                mode = port.get("mode") or ("access" if tag and not trunks else "trunk")
                bundles.append({
                    "id": index, "vlan_mode": mode, "vlan": tag, "qinq_tpid": 0,
                    "protected": False, "priority_tags": "never", "bond_mode": None,
                    "active_ofp": port["ofp"], "first_member": len(members), "n_members": 1,
                    "trunks": trunks, "cvlans": cvlans})
                members.append(port["ofp"])
            self.bundles[name] = list(self.ports[name])
            face.bridge_ports_set(handle, rows)
            face.bundles_set(handle, bundles, members)

    def flows(self, bridge: str, lines: list[str], command: str = "add") -> list[int]:
        """Carries out flow_mods as texts of ovs-ofctl."""
        changes = []
        for line in lines:
            flow = parse_flow(line, command)
            mod = flow[0] if isinstance(flow, tuple) and not hasattr(flow, "match") else flow
            value, mask = packed.pack(mod.match)
            table = mod.table if mod.table != 255 or command != "add" else 0
            changes.append(face.RuleChange(
                self.bridges[bridge], _COMMANDS[command], table, mod.priority, value, mask,
                compile_actions(mod.actions), source.pack(mod.actions), mod.flags,
                mod.idle_timeout, mod.hard_timeout, mod.importance, cookie=mod.new_cookie,
                cookie_match=mod.cookie if command != "add" else 0,
                cookie_mask=mod.cookie_mask if command != "add" else 0))
        return face.rules_change(self.dp, changes)

    def group(self, bridge: str, number: int, kind: str, buckets: list[str]) -> None:
        """Adds a group; buckets are texts of actions."""
        handle = self.bridges[bridge]
        parsed = [parse_actions(bucket) for bucket in buckets]
        parsed = [item[0] if item and isinstance(item[0], tuple)
                  and not hasattr(item[0], "_defaults") else item for item in parsed]
        version = face.version_open(self.dp)
        face.groups_stage(version, [face.GroupChange(
            handle, SEAM["GROUP_ADD"], {"all": 0, "select": 1, "indirect": 2, "ff": 3}[kind],
            number, tuple(face.Bucket(index, 1, 0xffffffff, 0xffffffff, compile_actions(actions))
                          for index, actions in enumerate(parsed)))])
        face.version_commit(version)
        self.groups[handle, number] = parsed

    def names(self) -> Names:
        by_handle = {handle: name for name, handle in self.bridges.items()}
        return Names(by_handle.__getitem__,
                     lambda bridge, bundle: self.bundles[by_handle[bridge]][bundle - 1],
                     lambda bridge, group, index: self.groups[bridge, group][index])

    def trace(self, bridge: str, flow: str, generate: bool = False) -> str:
        return self.account(bridge, flow, generate).text.rstrip("\n")

    def account(self, bridge: str, flow: str, generate: bool = False) -> Account:
        match = parse_flow(f"{flow},actions=drop" if flow else "actions=drop", "add").match
        if "eth_type" not in match.fields and "packet_type" not in match.fields:
            pass
        value, _ = packed.pack(match)
        return trace_flow(self.dp, self.bridges[bridge], value, self.names(),
                          learn=generate)

    def receive(self, port: int, key: str) -> None:
        values, _ = dp_text.parse_flow(key)
        frame = face.frame_compose(dp_text.pack(values), 64)
        face.port_receive(self.dp, port, 0, frame)
        while face.pump():
            pass

    def dump(self) -> list[str]:
        return sorted(
            dp_text.format_flow(dp_text.unpack(flow.key), dp_text.unpack(flow.mask))
            + " actions:" + (action_text.format_actions(flow.actions) or "drop")
            for flow in face.flows(self.dp))


class _Config:
    """A dummy port."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kind = "dummy"
        self.fd, self.ifindex, self.mtu, self.n_rxq = -1, 0, 1500, 1
        self.is_up, self.has_offloads, self.sends_to_queue = True, False, False
        self.mac = "aa:55:aa:55:00:02"
        self.rx_pcap = self.tx_pcap = ""


class Reference:
    """Debian's ovsdb-server and ovs-vswitchd in a directory of their own."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ref", dir="/tmp"))
        self.env = {**os.environ, **{f"OVS_{name}DIR": str(self.directory)
                                     for name in ("RUN", "LOG", "DB", "SYSCONF")}}
        database = self.directory / "conf.db"
        self.socket = f"unix:{self.directory}/db"
        self.control = str(self.directory / "ctl")
        self.run("ovsdb-tool", "create", str(database), SCHEMA)
        common = ("--detach", "--no-chdir", "--pidfile", "-vconsole:off", "-vfile:off")
        self.run("ovsdb-server", str(database), f"--remote=p{self.socket}", *common,
                 f"--unixctl={self.directory}/db.ctl")
        self.vsctl("--no-wait", "init")
        self.run("ovs-vswitchd", self.socket, "--enable-dummy", "--disable-system", *common,
                 f"--unixctl={self.control}")

    def close(self) -> None:
        for name in ("ovs-vswitchd", "ovsdb-server"):
            try:
                os.kill(int((self.directory / f"{name}.pid").read_text()), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, input=text)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout

    def vsctl(self, *command: str) -> str:
        return self.run("ovs-vsctl", f"--db={self.socket}", *command)

    def appctl(self, *command: str) -> str:
        return self.run("ovs-appctl", "-t", self.control, *command)

    def bridge(self, name: str, ports: dict[str, dict], **settings) -> None:
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=dummy",
                   "fail_mode=secure", "protocols=OpenFlow10,OpenFlow13")
        for port_name, port in ports.items():
            command = ["add-port", name, port_name, "--", "set", "interface", port_name,
                       f"ofport_request={port['ofp']}"]
            if "peer" in port:
                command += ["type=patch", f"options:peer={port['peer'][1]}"]
            else:
                command += ["type=dummy"]
            columns = []
            if "tag" in port:
                columns.append(f"tag={port['tag']}")
            if "trunks" in port:
                columns.append(f"trunks={','.join(map(str, port['trunks']))}")
            if "mode" in port:
                columns.append(f"vlan_mode={port['mode']}")
            if columns:
                command += ["--", "set", "port", port_name, *columns]
            self.vsctl(*command)

    def flows(self, bridge: str, lines: list[str]) -> None:
        path = self.directory / "flows"
        path.write_text("\n".join(lines) + "\n")
        try:
            self.run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", bridge, str(path))
        except AssertionError:      # Some need the laxer rules of OpenFlow 1.0.
            if len(lines) == 1:
                self.run("ovs-ofctl", "add-flow", bridge, lines[0])
            else:
                half = len(lines) // 2
                self.flows(bridge, lines[:half])
                self.flows(bridge, lines[half:])

    def group(self, bridge: str, number: int, kind: str, buckets: list[str]) -> None:
        self.run("ovs-ofctl", "-O", "OpenFlow13", "add-group", bridge,
                 f"group_id={number},type={kind}," + ",".join(f"bucket={b}" for b in buckets))

    def trace(self, bridge: str, flow: str, generate: bool = False) -> str:
        return self.appctl("ofproto/trace", bridge, flow,
                           *(["-generate"] if generate else [])).rstrip("\n")

    def receive(self, port: str, key: str) -> None:
        self.appctl("netdev-dummy/receive", port, key)
