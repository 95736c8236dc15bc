"""The connection machine: hello, probes, reconnecting, roles."""

import pytest

from vswitchd.openflow.connection import (
    Close, Connect, Connection, Deliver, Established, Log, Roles, Send, Settings, State,
)
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages import decode, encode
from vswitchd.openflow.messages.session import (
    BarrierRequest, EchoReply, EchoRequest, Hello, RoleRequest,
)


def passive(**settings) -> Connection:
    connection = Connection(Settings(**settings), "br0<->unix#1")
    connection.connected(0.0)
    return connection


def of_type(connection: Connection, kind: type) -> list:
    return [effect for effect in connection.take_effects() if isinstance(effect, kind)]


@pytest.mark.parametrize("ours, hello_version, theirs, agreed", [
    (range(1, 7), 1, {1}, 1),
    (range(1, 7), 4, {1, 4}, 4),
    ({1, 4}, 6, range(1, 7), 4),
    ({4}, 6, range(1, 7), 4),
    (range(1, 7), 5, {1, 2, 3, 4, 5}, 5),
])
def test_the_highest_common_version_is_agreed(ours, hello_version, theirs, agreed):
    connection = passive(versions=frozenset(ours))
    connection.take_effects()
    connection.receive(encode(Hello(frozenset(theirs)), hello_version, 1), 1.0)
    effects = connection.take_effects()
    assert Established(agreed) in effects
    assert connection.version == agreed and connection.state is State.ACTIVE


def test_versions_that_we_do_not_speak_are_not_offered():
    connection = passive(versions=frozenset({1, 9}))
    assert decode(of_type(connection, Send)[0].data).value.versions == {1}


def test_without_a_common_version_the_peer_is_told_and_left():
    connection = passive(versions=frozenset({1}))
    connection.take_effects()
    connection.receive(encode(Hello(frozenset({4})), 4, 7), 1.0)
    effects = connection.take_effects()
    error = next(decode(effect.data) for effect in effects if isinstance(effect, Send))
    assert error.value.name == "OFPHFC_INCOMPATIBLE"
    assert error.value.data == (b"We support version 0x01, you support version 0x04, "
                                b"no common versions.")
    assert any(isinstance(effect, Close) for effect in effects)
    assert connection.state is State.VOID


def session(**settings) -> Connection:
    connection = passive(**settings)
    connection.receive(encode(Hello(frozenset({1})), 1, 1), 0.0)
    connection.take_effects()
    return connection


def test_echo_is_answered_and_other_messages_are_delivered():
    connection = session()
    barrier = encode(BarrierRequest(), 1, 3)
    connection.receive(encode(EchoRequest(b"x"), 1, 2) + barrier, 1.0)
    assert connection.take_effects() == [Send(encode(EchoReply(b"x"), 1, 2)), Deliver(barrier)]


def test_a_message_of_another_version_is_refused():
    connection = session()
    connection.receive(encode(BarrierRequest(), 4, 3), 1.0)
    error = decode(of_type(connection, Send)[0].data)
    assert (error.version, error.value.name) == (1, "OFPBRC_BAD_VERSION")


def test_silence_is_probed_and_then_ends_the_session():
    connection = session(probe_interval=5.0)
    assert connection.next_deadline() == 5.0
    connection.elapse(4.9)
    assert connection.take_effects() == []
    connection.elapse(5.0)
    assert of_type(connection, Send) == [Send(encode(EchoRequest(), 1, 0))]
    assert connection.state is State.IDLE
    connection.receive(encode(EchoReply(), 1, 0), 6.0)
    assert connection.state is State.ACTIVE and connection.next_deadline() == 11.0
    connection.elapse(11.0)
    connection.elapse(16.0)
    effects = connection.take_effects()
    assert Log("rconn", "ERR", "br0<->unix#1: no response to inactivity probe after 5 seconds, "
               "disconnecting") in effects
    assert any(isinstance(effect, Close) for effect in effects)


def test_an_active_connection_comes_back_with_a_growing_backoff():
    connection = Connection(Settings(max_backoff=4.0), "br0<->tcp:c")
    connection.start(0.0)
    now, waits = 0.0, []
    for _ in range(4):
        assert of_type(connection, Connect) == [Connect()]
        connection.failed(now, "Connection refused")
        waits.append(connection.next_deadline() - now)
        now = connection.next_deadline()
        connection.elapse(now)
    assert waits == [1.0, 2.0, 4.0, 4.0]


def test_success_resets_the_backoff():
    connection = Connection(Settings(max_backoff=8.0), "c")
    connection.start(0.0)
    connection.failed(0.0, "refused")
    connection.elapse(1.0)
    connection.connected(1.0)
    connection.receive(encode(Hello(frozenset({1})), 1, 1), 1.0)
    connection.closed(2.0)
    assert connection.next_deadline() == 3.0


def test_garbage_ends_the_session_without_an_exception():
    connection = session()
    connection.receive(bytes.fromhex("0100000100000000"), 1.0)
    assert of_type(connection, Close) == [Close("Protocol error")]


def test_only_one_controller_is_primary():
    roles = Roles()
    assert roles.request("a", RoleRequest("primary", 5))[1] == []
    reply, demoted = roles.request("b", RoleRequest("primary", 6))
    assert demoted == ["a"] and reply.role == "primary" and roles.role_of("a") == "secondary"
    with pytest.raises(OpenFlowError, match="OFPRRFC_STALE"):
        roles.request("a", RoleRequest("primary", 5))
    assert roles.request("a", RoleRequest("nochange"))[0].role == "secondary"
    assert roles.role_of("c") == "equal"


def test_generations_wrap_around():
    roles = Roles()
    roles.request("a", RoleRequest("primary", (1 << 64) - 1))
    assert roles.request("a", RoleRequest("primary", 0))[0].generation_id == 0
