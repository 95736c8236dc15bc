"""Random command lines, from a seed, through both ovs-vsctl; both databases stay equal.

`PYVSWITCH_SEEDS="11 12"` runs other seeds, `PYVSWITCH_STEPS=2000` more steps.
"""

import os
import random
import re

import pytest

from tests.utilities.oracle import Pair, needs_reference
from utilities.vsctl import main

pytestmark = [pytest.mark.differential, needs_reference]

SEEDS = os.environ.get("PYVSWITCH_SEEDS", "1 2").split()
STEPS = int(os.environ.get("PYVSWITCH_STEPS", "75"))

NAMES = ["br0", "br1", "fake", "p1", "p2", "bond", "e1", "e2", ".", "", "@a", "@b"]
TABLES = ["bridge", "port", "interface", "open", "qos", "queue", "mirror", "controller", "manager",
          "ssl", "b", "p", "in", "netflow", "x"]
COLUMNS = ["name", "ports", "tag", "trunks", "interfaces", "other_config", "external-ids",
           "external_ids:k", "other_config:a", "fail_mode", "stp_enable", "flood_vlans", "type",
           "options:x", "target", "queues", "queues:0", "max_backoff", "nosuch", "mirrors", "qos",
           "bond_mode", "statistics", "flow_tables", "flow_tables:1", "_uuid"]
VALUES = ["1", "2", "1,2", "[]", "{}", "a", "a=b", "a=b,c=d", "{a=1}", "true", "no", "x y",
          '"x y"', "@a", "@b", "tcp:1.2.3.4", "secure", "standalone", "-1", "4096", "5000000000",
          "1.5", "[1 2]", "\\", '"', "a,b", "active-backup", "[@a,@b]", "1=@a", "",
          "00000000-0000-0000-0000-000000000001"]
OPERATORS = ["=", "!=", "<", ">", "<=", ">=", "{=}", "{in}", "{<=}", "{not-in}", ":"]
OPTIONS = ["--may-exist", "--if-exists", "--id=@a", "--id=@b", "--real", "--fake",
           "--with-iface", "--columns=name", "--all", "--fake-iface", "--bootstrap",
           "--inactivity-probe=5", "--inactivity-probe=x", "--id=", "--id=a", "--id",
           "--may-exist=1"]
GENERIC = ("set get add remove clear create find list destroy " * 3).split()
OTHERS = ("add-br del-br list-br br-exists br-to-vlan br-to-parent br-set-external-id "
          "br-get-external-id list-ports add-port del-port port-to-br add-bond add-bond-iface "
          "del-bond-iface list-ifaces iface-to-br get-controller del-controller set-controller "
          "get-fail-mode set-fail-mode del-fail-mode get-manager set-manager del-manager get-ssl "
          "set-ssl del-ssl add-aa-mapping del-aa-mapping get-aa-mapping comment init add-zone-tp "
          "list-zone-tp add-br add-port add-port").split()


GLOBAL_OPTIONS = ["--oneline", "--bare", "--no-headings", "--pretty", "--dry-run", "-f table",
                  "-f csv", "-f list", "-f json", "-f html", "-d json", "-d bare", "-d string",
                  "--max-column-width=4", "--columns=name", "--if-exists", "-f x", "--data=x",
                  "--nosuch", "-v", "-voff", "-t 9", "-t x", "--no-leader-only"]


def random_options(rng: random.Random) -> list[str]:
    """Return options that come before the first command."""
    words = [rng.choice(GLOBAL_OPTIONS) for _ in range(rng.choice([0, 0, 0, 1, 2]))]
    return [part for word in words if word != "-v" for part in word.split()]


def random_command(rng: random.Random) -> list[str]:
    """Return one command with its options and arguments, often a wrong one."""
    def names(n: int) -> list[str]:
        return [rng.choice(NAMES) for _ in range(n)]

    def settings(n: int, operators: list[str] = ["="]) -> list[str]:
        return [rng.choice(COLUMNS) + rng.choice(operators) + rng.choice(VALUES)
                for _ in range(n)]
    command = rng.choice(GENERIC + OTHERS)
    options = [rng.choice(OPTIONS)] if rng.random() < 0.25 else []
    table = rng.choice(TABLES)
    n = rng.randint(1, 2)
    match command:
        case "set":
            arguments = [table, *names(1), *settings(n)]
        case "get":
            arguments = [table, *names(1), *rng.choices(COLUMNS, k=n - 1)]
        case "clear":
            arguments = [table, *names(1), *rng.choices(COLUMNS, k=n)]
        case "add" | "remove":
            arguments = [table, *names(1), rng.choice(COLUMNS), *rng.choices(VALUES, k=n)]
        case "create":
            arguments = [table, *settings(n)]
        case "find":
            options = [rng.choice(["--columns=_uuid", "--columns=name", "--columns=_uuid,type",
                                   "--columns=other_config", "--columns="])]
            arguments = [table, *settings(n - 1, OPERATORS)]
        case "list" | "destroy":
            arguments = [table, *names(n - 1)]
        case "set-fail-mode":
            arguments = [*names(1), rng.choice(["secure", "standalone", "x"])]
        case "set-controller" | "set-manager":
            arguments = names(1) if command == "set-controller" else []
            arguments += rng.choices(["tcp:1.2.3.4", "ssl:5", "x", "ptcp:1"], k=n)
        case "set-ssl":
            arguments = ["a", "b", "c"]
        case "add-aa-mapping" | "del-aa-mapping":
            arguments = [*names(1), rng.choice(["1", "2", "x"]), rng.choice(["1", "5"])]
        case "add-zone-tp":
            arguments = ["netdev", "zone=1", "icmp_first=2"]
        case "add-br":
            arguments = names(1)
            if rng.random() < 0.3:
                arguments += [*names(1), rng.choice(["5", "6", "0"])]
        case "add-port":
            arguments = names(2) + (settings(1) if rng.random() < 0.4 else [])
        case "add-bond":
            arguments = names(4)
        case _:
            arguments = names(rng.choice([0, 1, 1, 1, 2, 2]))
    return [*options, command, *arguments]


def _shown(outcome, directory) -> tuple:
    """Return an outcome with rows and UUIDs in no order."""
    stdout, stderr, code = outcome.normal(directory)
    stdout, stderr = (re.sub(r"<\d+>", "<>", text) for text in (stdout, stderr))
    # Which of several options is named first is a matter of the reference's hash order.
    stderr = re.sub(r"command has no '.*' option", "command has no such option", stderr)
    return sorted(stdout.splitlines()), stderr, code


@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_have_the_same_effect(seed: str, tmp_path) -> None:
    rng = random.Random(int(seed))
    pair = Pair(tmp_path)
    try:
        pair.run_both("ovs-vsctl", main, [
            "--no-wait", "add-br", "br0", "--", "add-port", "br0", "p1", "--", "add-port", "br0",
            "p2", "tag=5"])
        for _ in range(STEPS):
            argv = ["--no-wait", *random_options(rng)]
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                argv += ["--", *random_command(rng)]
            outcomes = pair.run_both("ovs-vsctl", main, argv)
            ours, reference = (_shown(outcome, server.directory)
                               for outcome, server in zip(outcomes, pair.sides))
            assert ours == reference, argv
        pair.compare_databases()
    finally:
        pair.stop()
