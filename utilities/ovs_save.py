"""ovs-save: prints shell scripts that restore what a restart would lose.

`save-flows BRIDGE...` dumps the flows, groups and tunnel metadata mappings of bridges into a
temporary directory and prints the commands that put them back; `save-interfaces DEVICE...` prints
the commands that give network devices their state, addresses and routes again.  Called by ovs-ctl.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

from utilities.service import Directories

USAGE = """\
{program}: writes down the configuration of a switch so that it can be restored
usage: {program} COMMAND

Commands:
 save-interfaces DEVICE...  print a shell script that restores the state, addresses and
                            routes of network devices, and the iptables rules
 save-flows BRIDGE...       print a shell script that restores the OpenFlow flows of bridges
"""

VERSIONS = ("OpenFlow15", "OpenFlow14", "OpenFlow13", "OpenFlow12", "OpenFlow11", "OpenFlow10")
FIRST_WITH_BUNDLES = "OpenFlow14"


def main(argv: list[str]) -> int:
    """Run ovs-save with arguments `argv`; return the exit code."""
    os.environ["LC_ALL"] = "C"
    program = os.path.basename(sys.argv[0])
    match argv:
        case ["save-flows", *bridges]:
            Directories().use_own_programs()
            return save_flows(bridges)
        case ["save-interfaces", *devices]:
            return save_interfaces(devices)
        case ["-h" | "--help", *_]:
            print(USAGE.format(program=program), end="")
            return 0
        case [word, *_]:
            print(f'{sys.argv[0]}: unknown command "{word}" (use --help for help)',
                  file=sys.stderr)
            return 1
    return 0


def save_flows(bridges: list[str]) -> int:
    """Dump the flows of `bridges`; print the script that restores them.

    Returns 0, or 1 if a bridge's flows could not be read: then they would be lost.
    """
    directory = tempfile.mkdtemp(prefix="ovs-save.")
    print("rc=0")
    for bridge in bridges:
        version, flows = _dump_flows(bridge)
        if flows is None:
            print(f"ovs-save: cannot dump the flows of {bridge}", file=sys.stderr)
            return 1
        _restore(f"ovs-ofctl -O {version}", bridge, directory, flows, _dump_groups(bridge, version),
                 _dump_mappings(bridge, version),
                 has_bundles=version >= FIRST_WITH_BUNDLES)
    print(f"rm -rf {shlex.quote(directory)}")
    print("exit $rc")
    return 0


def _restore(ofctl: str, bridge: str, directory: str, flows: str, groups: str, mappings: str,
             has_bundles: bool) -> None:
    """Keep the dumps of `bridge` in `directory`; print the commands that put them back."""
    name = shlex.quote(bridge)
    if mappings:
        print(f"{ofctl} add-tlv-map {name} {shlex.quote(mappings)} || rc=1")
    for kind, command, text in (("groups", "add-groups", groups),
                                ("flows", "replace-flows", flows)):
        path = os.path.join(directory, f"{bridge}.{kind}.dump")
        with open(path, "w") as file:
            file.write(text)
        if text or kind == "flows":
            line = f"{ofctl} {command} {name} {shlex.quote(path)}"
            # At once where the switch has bundles, else one by one.
            print((f"{line} --bundle 2>/dev/null || " if has_bundles else "") + f"{line} || rc=1")


def versions_to_try(protocols: str) -> list[str]:
    """Return the OpenFlow versions to talk to a bridge, best first.

    `protocols` is the column's value as ovs-vsctl prints it; empty means the switch's defaults.
    """
    named = re.findall(r"OpenFlow1\d", protocols)
    return [version for version in VERSIONS if version in (named or VERSIONS[1:])]


def _dump_flows(bridge: str) -> tuple[str, str | None]:
    """Return the best version that works with `bridge` and its flows, as add-flows reads them."""
    protocols = _output(["ovs-vsctl", "get", "bridge", bridge, "protocols"]) or ""
    for version in versions_to_try(protocols):
        text = _output(["ovs-ofctl", "-O", version, "dump-flows", "--no-names", "--no-stats",
                        bridge])
        if text is not None:
            return version, flows_as_input(text)
    return "", None


def flows_as_input(text: str) -> str:
    """Return a dump of flows in the form that ovs-ofctl reads: no heading, no ages."""
    lines = []
    for line in text.splitlines():
        if "NXST_FLOW" in line or "OFPST_FLOW" in line:
            continue
        line = re.sub(r"(idle|hard)_age=[^,]*,", "", line)
        line = line.replace("igmp_type", "tp_src").replace("igmp_code", "tp_dst")
        lines.append(line.replace("igmp", "ip,nw_proto=2") + "\n")
    return "".join(lines)


def _dump_groups(bridge: str, version: str) -> str:
    """Return the groups of `bridge` as add-groups reads them, "" where there are none."""
    text = _output(["ovs-ofctl", "-O", version, "dump-groups", bridge]) or ""
    return "".join(line + "\n" for line in text.splitlines()
                   if not line.startswith(("OFPST_GROUP_DESC", "NXST_GROUP_DESC")))


def _dump_mappings(bridge: str, version: str) -> str:
    """Return the tunnel metadata mappings of `bridge` as add-tlv-map reads them."""
    text = _output(["ovs-ofctl", "-O", version, "dump-tlv-map", bridge]) or ""
    rows = (line.split() for line in text.splitlines() if re.match(r"\s+0x", line))
    return ",".join("{class=%s,type=%s,len=%s}->%s" % tuple(row[:4]) for row in rows)


def _output(command: list[str]) -> str | None:
    """Return what `command` prints, None where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def save_interfaces(devices: list[str]) -> int:
    """Print the script that restores `devices`; those that do not exist are passed over."""
    if devices and _output(["ip", "-V"]) is None:
        print(f"{sys.argv[0]}: ip not found in {os.environ.get('PATH')}", file=sys.stderr)
        return 1
    for device in devices:
        links = _rows("link", device)
        if not links:
            continue
        print(f"# {device}")
        link, name = links[0], shlex.quote(device)
        print(f"ip link set dev {name} down")       # A MAC changes only on a device that is down.
        state = " ".join(["up"] * ("UP" in link.get("flags", [])) + [
            f"{word} {link[key]}" for word, key in (
                ("txqueuelen", "txqlen"), ("address", "address"), ("broadcast", "broadcast"),
                ("mtu", "mtu")) if key in link])
        print(f"ip link set dev {name} {state}")
        print(f"ip addr flush dev {name} 2>/dev/null")
        for row in _rows("addr", device):
            for address in row.get("addr_info", []):
                _print_address(address, name)
        print(f"ip route flush dev {name} proto boot 2>/dev/null")
        routes = _output(["ip", "route", "show", "dev", device]) or ""
        for route in routes.splitlines():
            if "proto kernel" not in route:
                print(f"ip route add {route.strip()} dev {name}")
        print()
    if devices:
        rules = _output(["iptables-save"])
        if rules is None:
            print("# iptables-save not found, not saving iptables state")
        else:
            print(f"# global\niptables-restore <<'EOF'\n{rules}EOF")
    return 0


def _rows(what: str, device: str) -> list[dict]:
    text = _output(["ip", "-json", what, "show", "dev", device])
    return json.loads(text) if text else []


def _print_address(address: dict, name: str) -> None:
    family = address["family"]
    if family == "inet6" and (address.get("dynamic") or address.get("scope") != "global"):
        if address.get("scope") != "link":
            return                                   # The kernel makes these by itself.
    words = [f"{address['local']}/{address['prefixlen']}"]
    for key, word in (("broadcast", "brd"), ("scope", "scope"), ("label", "label")):
        if key in address:
            words += [word, address[key]]
    print(f"ip -f {family} addr add {' '.join(words)} dev {name}")
