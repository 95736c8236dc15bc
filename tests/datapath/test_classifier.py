"""The classifier against its linear twin, and the masks it yields against their meaning."""

import random

import pytest

from datapath import face
from datapath.match import pack_match
from datapath.program import pack_op
from schema.flow.fields import FIELD, FLOW_SIZE
from schema.flow.seam import SEAM
from tests.model.classifier import Rule, best, matches
from tests.vswitchd.twin import Ours

IP, IPV6, TCP, UDP = 0x0800, 0x86dd, 6, 17
POOL = {                        # values that flows and rules are made of: few, so that they meet
    "in_port": (1, 2, 3), "metadata": (0, 5), "reg0": (0, 1, 0x80000000),
    "eth_dst": (1, 2, 0x010000000001), "vlan_tci": (0, 0x1005, 0x1006),
    "ip_src": (0x0a000001, 0x0a000102, 0x0a800001, 0xc0a80001),
    "ip_dst": (0x0a000001, 0x0a000003, 0xc0a80102), "nw_proto": (TCP, UDP), "nw_ttl": (1, 64),
    "tcp_src": (80, 1000, 1024), "tcp_dst": (22, 80, 81, 443, 65535), "tcp_flags": (0, 2, 16),
}
FULL = {name: (1 << (16 if name == "in_port" else FIELD[name].width)) - 1 for name in POOL}


@pytest.fixture
def switch():
    ours = Ours()
    ours.bridge("br0", {f"p{number}": {"ofp": number} for number in (1, 2, 3)})
    yield ours
    ours.close()


def make_match(rng: random.Random) -> dict[str, tuple[int, int]]:
    match = {"eth_type": (IP, 0xffff)}
    for name in rng.sample(sorted(POOL), rng.randint(0, 4)):
        bits = FIELD[name].width
        mask = FULL[name]
        if name.startswith("ip_") or rng.random() < 0.2:
            mask = mask >> (bits - rng.choice((bits, bits, bits // 2, bits // 4))) << (
                bits - rng.choice((bits, bits * 3 // 4, bits // 2, bits // 4)))
            mask &= FULL[name]
        if mask and name != "in_port":
            match[name] = (rng.choice(POOL[name]) & mask, mask)
        elif name == "in_port":
            match[name] = (rng.choice(POOL[name]), 0xffff)
    return match


def make_flow(rng: random.Random) -> dict[str, int]:
    return {"eth_type": IP, **{name: rng.choice(values) for name, values in POOL.items()}}


def pack_flow(flow: dict[str, int]) -> bytes:
    return pack_match({name: (value, value) for name, value in flow.items()})[0]


def change(switch: Ours, number: int, rule: Rule, command: str = "RULE_ADD",
           bridge: str = "br0") -> face.RuleChange:
    value, mask = pack_match(rule.match)
    program = pack_op("set_field", field=FIELD["tun_id"].id, value=number.to_bytes(8, "big"),
                      mask=b"\xff" * 8)
    return face.RuleChange(switch.bridges[bridge], SEAM[command], 0, rule.priority, value, mask,
                           program)


def ask(switch: Ours, flow: bytes, bridge: str = "br0") -> tuple[int, bytes]:
    """(the number that the rule found has written, the mask of what mattered)."""
    traced = face.trace(switch.dp, flow, switch.bridges[bridge])
    return int.from_bytes(traced.final[:8], "big"), traced.mask


@pytest.mark.parametrize("seed", range(6))
def test_finds_what_a_linear_search_finds(switch, seed):
    rng = random.Random(seed)
    rules: dict[tuple, Rule] = {}
    for number in range(1, 150):
        rule = Rule(rng.choice((1, 5, 5, 10, 100)), make_match(rng), number)
        rules[rule.priority, tuple(sorted(rule.match.items()))] = rule
        face.rules_change(switch.dp, [change(switch, number, rule)])
        if rng.random() < 0.3:
            gone = rng.choice(sorted(rules, key=repr))
            face.rules_change(switch.dp, [change(switch, 0, rules.pop(gone),
                                                 "RULE_DELETE_STRICT")])
    for _ in range(150):
        flow = make_flow(rng)
        found, _ = ask(switch, pack_flow(flow))
        expected = best(list(rules.values()), flow)
        assert found in (expected or {0})


@pytest.mark.parametrize("seed", range(3))
def test_every_flow_within_the_mask_gets_the_same_rule(switch, seed):
    rng = random.Random(seed)
    face.rules_change(switch.dp, [change(switch, number, Rule(rng.choice((1, 5, 10)),
                                                              make_match(rng), number))
                                  for number in range(1, 80)])
    found = [(*ask(switch, pack_flow(flow)), flow) for flow in (make_flow(rng) for _ in range(60))]
    for answer, mask, flow in found:
        bits = int.from_bytes(mask, "big")
        for other, _, other_flow in found:
            same = (int.from_bytes(pack_flow(flow), "big") ^ int.from_bytes(
                pack_flow(other_flow), "big")) & bits == 0
            if same and flow["metadata"] == other_flow["metadata"] and (
                    flow["reg0"] == other_flow["reg0"]):
                assert other == answer


def make_similar(rng: random.Random) -> dict[str, tuple[int, int]]:
    """A match whose mask differs from others' mostly in the ports."""
    match = {"eth_type": (IP, 0xffff), "nw_proto": (TCP, 0xff)}
    if rng.random() < 0.5:
        match["reg0"] = rng.choice(POOL["reg0"]), 0xffffffff
    for name in ("ip_src", "ip_dst"):
        mask = 0xffffffff << rng.choice((0, 8, 31, 32)) & 0xffffffff
        if mask:
            match[name] = rng.choice(POOL[name]) & mask, mask
    for name in ("tcp_src", "tcp_dst"):
        mask = 0xffff << rng.choice((0, 0, 4, 10, 16)) & 0xffff
        if mask:
            match[name] = rng.choice(POOL[name]) & mask, mask
    return match


def test_subtables_that_are_skipped_would_have_changed_nothing(switch):
    """Subtables with the same first stages are skipped together, but only a thousand such groups:
    the second bridge has as many that are never searched, and skips none of the others."""
    switch.bridge("br1", {f"q{number}": {"ofp": number, "odp": 10 + number}
                          for number in (1, 2, 3)})
    rng = random.Random(1)
    face.rules_change(switch.dp, [
        change(switch, 9, Rule(0, {"eth_type": (IP, 0xffff), "metadata": (0, mask)}, 9), bridge="br1")
        for mask in range(1, 1200)])
    rules = [Rule(rng.randrange(2, 60), make_similar(rng), number) for number in range(10, 400)]
    rules.append(Rule(1, {}, 1))

    def change_both(some: list[Rule], command: str) -> None:
        for bridge in ("br0", "br1"):
            face.rules_change(switch.dp, [change(switch, rule.answer, rule, command, bridge)
                                          for rule in some])

    def compare() -> int:
        found = set()
        for _ in range(400):
            flow = pack_flow(make_flow(rng) | {"nw_proto": TCP, "in_port": 1, "metadata": 0})
            answer = ask(switch, flow)
            assert answer == ask(switch, flow, "br1")
            found.add(answer)
        return len(found)

    change_both(rules, "RULE_ADD")
    assert compare() > 30
    change_both(rng.sample(rules[:-1], 200), "RULE_DELETE_STRICT")
    for _ in range(3):
        face.pump()
    assert compare() > 20


def test_a_prefix_trie_shortens_the_mask(switch):
    rule = Rule(1, {"eth_type": (IP, 0xffff), "ip_dst": (0x0a000000, 0xffffff00)}, 1)
    face.rules_change(switch.dp, [change(switch, 1, rule)])
    _, mask = ask(switch, pack_flow({"eth_type": IP, "in_port": 1, "ip_dst": 0xc0a80001}))
    place = FIELD["ip_dst"].offset
    assert mask[place:place + 4] == b"\x80\0\0\0"       # the first bit says it is not 10.0.0/24
    face.table_set(switch.bridges["br0"], 0, prefixes=())
    _, mask = ask(switch, pack_flow({"eth_type": IP, "in_port": 1, "ip_dst": 0xc0a80001}))
    assert mask[place:place + 4] == b"\xff\xff\xff\0"


def test_a_failed_stage_leaves_later_ones_wild(switch):
    rule = Rule(1, {"reg0": (1, 0xffffffff), "eth_type": (IP, 0xffff), "nw_proto": (TCP, 255),
                    "tcp_dst": (80, 0xffff)}, 1)
    face.rules_change(switch.dp, [change(switch, 1, rule)])
    _, mask = ask(switch, pack_flow({"eth_type": IP, "in_port": 1, "nw_proto": TCP}))
    assert mask[FIELD["nw_proto"].offset] == 0
    _, mask = ask(switch, pack_flow({"eth_type": IP, "in_port": 1, "nw_proto": TCP, "reg0": 1,
                                     "tcp_dst": 22}))
    place = FIELD["tcp_dst"].offset
    assert mask[place:place + 2] == b"\xff\xc0"          # as the reference: the trie of ports


def test_conjunctions_match_when_all_clauses_do(switch):
    switch.flows("br0", [
        "conj_id=7,ip actions=set_field:9->tun_id",
        "ip,nw_src=10.0.0.1 actions=conjunction(7,1/2)",
        "ip,nw_src=10.0.0.2 actions=conjunction(7,1/2)",
        "tcp,tp_dst=80 actions=conjunction(7,2/2)",
        "priority=1,ip actions=set_field:1->tun_id"])
    for source, port, expected in ((0x0a000001, 80, 9), (0x0a000002, 80, 9), (0x0a000003, 80, 1),
                                   (0x0a000001, 81, 1)):
        flow = {"eth_type": IP, "nw_proto": TCP, "ip_src": source, "tcp_dst": port, "in_port": 1}
        assert ask(switch, pack_flow(flow))[0] == expected


def test_model_agrees_with_itself():
    rules = [Rule(1, {"reg0": (1, 1)}, "a"), Rule(2, {"reg0": (3, 3)}, "b")]
    assert best(rules, {"reg0": 1}) == {"a"} and best(rules, {"reg0": 3}) == {"b"}
    assert not best(rules, {"reg0": 2}) and matches({}, {})


def test_an_unknown_prefix_field_is_refused(switch):
    switch.flows("br0", ["ip actions=1"])
    with pytest.raises(Exception, match="trie"):
        face.table_set(switch.bridges["br0"], 0, prefixes=(FIELD["tcp_dst"].id,))
    assert len(bytes(FLOW_SIZE)) == FLOW_SIZE
