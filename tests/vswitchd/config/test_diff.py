"""From one desired state to the next by small actions, in an order that can be carried out."""

from dataclasses import replace

from hypothesis import given, settings, strategies as st

from vswitchd.config.actions import (AddBridge, AddInterface, DeleteBridge, DeleteInterface,
                                     SetControllers, SetInterface, SetPorts)
from vswitchd.config.desired import Bridge, Interface, Port, Switch
from vswitchd.config.diff import diff, interfaces


def bridge(name: str, *ports: Interface, kind: str = "dummy", **fields) -> Bridge:
    """A bridge with a port per interface."""
    return Bridge(name, "u-" + name, kind,
                  tuple(Port(port.name, "p-" + port.name, (port,)) for port in ports), **fields)


def test_nothing_to_do_between_equal_states():
    state = Switch((bridge("br0", Interface("p1", "i", "dummy")),))
    assert diff(state, state) == []


def test_a_new_bridge_is_added_before_its_ports_and_local_comes_last():
    new = Switch((bridge("br0", Interface("br0", "a", "dummy-internal"),
                         Interface("p1", "b", "dummy"), Interface("p2", "c", "dummy", 2)),))
    actions = diff(Switch(), new)
    assert isinstance(actions[0], AddBridge)
    assert [action.interface.name for action in actions if isinstance(action, AddInterface)] == [
        "p2", "p1", "br0"]
    assert isinstance(actions[-2], SetPorts) and isinstance(actions[-1], SetControllers)


def test_deleting_comes_first_so_that_names_are_free():
    old = Switch((bridge("br0", Interface("p1", "a", "dummy")),))
    new = Switch((bridge("br1", Interface("p1", "a", "dummy")),))
    kinds = [type(action) for action in diff(old, new)]
    assert kinds.index(DeleteBridge) < kinds.index(AddBridge) < kinds.index(AddInterface)


def test_another_kind_or_number_means_another_device_and_options_do_not():
    old = Interface("p1", "a", "dummy", 1)
    for changed, expected in ((replace(old, kind="patch"), [DeleteInterface, AddInterface]),
                              (replace(old, ofport_request=5), [SetInterface]),
                              (replace(old, options=(("pcap", "x"),)), [SetInterface]),
                              (replace(old, last_ofport=7), [])):
        actions = diff(Switch((bridge("br0", old),)), Switch((bridge("br0", changed),)))
        assert [type(action) for action in actions if not isinstance(action, SetPorts)] == expected


NAMES = st.sampled_from([f"p{number}" for number in range(6)])
INTERFACES = st.builds(Interface, NAMES, st.just("u"), st.sampled_from(["dummy", "patch"]),
                       st.none() | st.integers(1, 4))


@st.composite
def switches(draw) -> Switch:
    """Up to three bridges over a few interface names, each in one bridge only."""
    free, found = set(), []
    for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True)):
        ports = [row for row in draw(st.lists(INTERFACES, unique_by=lambda row: row.name))
                 if row.name not in free]
        free.update(row.name for row in ports)
        found.append(bridge(name, *ports, kind=draw(st.sampled_from(["dummy", "netdev"]))))
    return Switch(tuple(found))


@settings(max_examples=300, deadline=None)
@given(switches(), switches())
def test_carrying_out_the_actions_leads_to_the_new_state(old, new):
    live = {row.name: dict(interfaces(row)) for row in old.bridges}
    for action in diff(old, new):
        match action:
            case DeleteBridge(name):
                del live[name]
            case AddBridge(row):
                assert row.name not in live
                live[row.name] = {}
            case DeleteInterface(name, port):
                del live[name][port]
            case AddInterface(name, port):
                assert not any(port.name in ports for ports in live.values())
                live[name][port.name] = port
            case SetInterface(name, port):
                assert live[name][port.name].kind == port.kind
                live[name][port.name] = port
    wanted = {row.name: interfaces(row) for row in new.bridges}
    assert {name: {key: (row.kind, row.options) for key, row in ports.items()}
            for name, ports in live.items()} == {
        name: {key: (row.kind, row.options) for key, row in ports.items()}
        for name, ports in wanted.items()}
