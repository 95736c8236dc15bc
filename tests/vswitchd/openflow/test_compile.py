"""Every action of the golden flows compiles to a program whose ops add up."""


import struct


import pytest

from schema.flow.ops import OPS
from vswitchd.openflow import action_types as t
from vswitchd.openflow.compile import compile_actions, number_actions


def ops(program: bytes):
    """(name, source, body) of each op."""
    at = 0
    while at < len(program):
        code, size, source, _ = struct.unpack_from("=HHHH", program, at)
        assert size >= 8 and size % 8 == 0 and at + size <= len(program)
        yield OPS[code - 1].name, source, program[at + 8:at + size]
        at += size


def test_ops_carry_arguments_and_source_indices():
    program = compile_actions((t.Output(3), t.Clone((t.Output(4), t.Output(5))), t.Output(6)))
    found = list(ops(program))
    assert [(name, source) for name, source, _ in found] == [
        ("output", 0), ("clone", 1), ("output", 4)]
    assert [(name, source) for name, source, _ in ops(found[1][2])] == [("output", 2), ("output", 3)]
    assert struct.unpack_from("=II", found[0][2]) == (3, 0)


def test_numbering_is_that_of_the_sources():
    actions = (t.Output(3), t.Clone((t.Output(4), t.Output(5))), t.Output(6))
    numbered = list(number_actions(actions))
    assert numbered[2] == t.Output(4) and numbered[4] == t.Output(6)


def test_set_field_is_laid_out_as_its_container():
    ((name, _, body),) = ops(compile_actions((t.SetField("vlan_pcp", 5, 7),)))
    value, mask = body[8:24], body[24:40]
    assert name == "set_field" and value[:2] == b"\xa0\x00" and mask[:2] == b"\xe0\x00"


def test_a_port_of_unknown_protocol_is_set_for_all():
    assert [name for name, _, _ in ops(compile_actions((t.SetL4SrcPort(80),)))] == ["set_field"] * 3
    assert len(list(ops(compile_actions((t.SetL4SrcPort(80, 17),))))) == 1


@pytest.mark.parametrize("action", [
    t.Learn(specs=(t.LearnSpec(16, t.Subfield("reg0", 0, 16), 0, 0, t.Subfield("reg1", 0, 16)),)),
    t.Ct(1, 5, 7, None, 0, (t.Nat(1, 4, 0x0a000001, 0x0a000002),)), t.DecTtl((1, 2, 3)),
    t.Controller(userdata=b"abc", pause=True), t.Bundle(0, 1, 1, (1, 2, 3)), t.Note(b"x"),
    t.WriteActions((t.Output(1),)), t.WriteMetadata(5, 15), t.GotoTable(3)])
def test_every_shape_is_whole(action):
    assert len(list(ops(compile_actions((action,))))) == 1
