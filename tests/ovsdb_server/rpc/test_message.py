"""The splitter and the classifier: any cut of the stream gives the same messages."""

import json

import pytest
from hypothesis import given, settings, strategies as st

from ovsdb_server.rpc import message
from ovsdb_server.rpc.message import ProtocolError, Splitter, classify, decode
from ovsdb_server.rpc.progressive import Parts, ProgressiveSplitter

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='{}[]"\\ aé\n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(alphabet='{}"\\b', max_size=3), inner, max_size=3), max_leaves=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=3), max_size=4),
       st.lists(st.integers(1, 9), min_size=1, max_size=5), st.sampled_from(["", " ", "\n\t "]))
def test_any_cut_gives_the_same_messages(values, sizes, gap):
    stream = gap.join(json.dumps(value) for value in values).encode()
    splitter = Splitter()
    texts = []
    position = turn = 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        texts += splitter.feed(stream[position:position + size])
        position += size
        turn += 1
    assert [json.loads(text) for text in texts] == values
    assert splitter.feed(b"{}") == [b"{}"]      # nothing was left over


def test_a_whole_stream_in_one_piece_gives_all_messages():
    assert Splitter().feed(b'{"a":"}{"}{"b":[{},{}]} {}') == [
        b'{"a":"}{"}', b'{"b":[{},{}]}', b'{}']


@pytest.mark.parametrize("data", [b"hello", b"[1]", b'"x"', b"}", b"{]}{"])
def test_a_stream_that_cannot_be_objects_is_refused(data):
    with pytest.raises(ProtocolError):
        for text in Splitter().feed(data):
            decode(text)


def test_an_oversized_message_is_refused_before_it_is_complete():
    splitter = Splitter(size_max=100)
    splitter.feed(b'{"a":"' + b"x" * 90)
    with pytest.raises(ProtocolError, match="exceeds 100 bytes"):
        splitter.feed(b"x" * 10)


@pytest.mark.parametrize("value, reason", [
    ({"a": 1}, 'message has unexpected member "a"'),
    ({"id": 1, "method": "echo"}, 'request must have "params"'),
    ({"id": 1, "method": "echo", "params": {}}, '"params" must be JSON array'),
    ({"id": 1, "method": 5, "params": []}, "method is not a JSON string"),
    ({"id": 1}, 'request must have "method"'),
    ({"result": 1}, 'reply must have "id"'),
    ([1], "message is not a JSON object"),
])
def test_bad_messages_are_named(value, reason):
    with pytest.raises(ProtocolError) as caught:
        classify(value)
    assert caught.value.reason == reason
    assert not caught.value.is_syntax


def test_kinds_are_told_apart():
    kinds = [classify(value).kind for value in (
        {"id": 0, "method": "m", "params": []}, {"id": None, "method": "m", "params": []},
        {"id": 1, "result": {}, "error": None}, {"id": 1, "error": "no"})]
    assert kinds == [message.REQUEST, message.NOTIFICATION, message.REPLY, message.ERROR]


@pytest.mark.parametrize("codec", [message.STANDARD, message.fast_codec()])
@pytest.mark.parametrize("text", [b'{"a":NaN}', b'{"a":1,}', b'{"a":"\xff"}', b"{" * 2000,
                                  b"\xff", b'{"a":\xc3', b"{\xe9}"])
def test_what_is_not_json_is_refused_by_both_codecs(codec, text):
    with pytest.raises(ProtocolError):
        decode(text, codec)


def test_encoding_round_trips():
    for codec in (message.STANDARD, message.fast_codec()):
        assert decode(message.encode_reply({"é": [1]}, "x", codec)).result == {"é": [1]}
        assert decode(message.encode_error("no", 3, codec)).error == "no"
        assert decode(message.encode_request("m", [1], 3, codec)).id == 3
        assert decode(message.encode_notification("m", [1], codec)).kind == message.NOTIFICATION


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.sampled_from([(",", ":"), (", ", ": ")]), st.integers(1, 3000),
       st.booleans())
def test_large_messages_are_the_same_when_parsed_as_they_arrive(n, separators, size, is_reply):
    rows = [{"op": "x", "s": '},{"' * (i % 3), "rows": [{"a": i}, {"b": ["},{", {}]}]}
            for i in range(n)]
    wanted = [{"result": {"a": rows}, "id": rows, "error": None} if is_reply else
              {"method": "transact", "params": ["db", *rows], "id": [1, {"a": 2}, {}]}] * 2
    stream = b"".join(json.dumps(value, separators=separators).encode() for value in wanted)
    splitter = ProgressiveSplitter(1 << 20, json.loads, large=100)
    values = []
    for position in range(0, len(stream), size):
        for text in splitter.feed(stream[position:position + size]):
            values.append(text.value(json.loads) if isinstance(text, Parts)
                          else json.loads(text))
    assert values == wanted and not splitter.pending


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=5), st.sampled_from([(",", ":"), (", ", ": ")]),
       st.integers(1, 3000), st.sampled_from(["monitor", "since", "update", "update3", "last"]),
       st.sampled_from(["initial", "new", "modify", "delete"]))
def test_large_tables_are_the_same_when_parsed_as_they_arrive(sizes, separators, size, kind, what):
    def row(i):
        if what == "delete" and i % 3:
            return {"delete": None}
        old = {"old": {"a": 1}} if what == "new" and i % 2 else {}
        return {**old, what: {"s": '},"}},"' * (i % 3), "m": ["map", [["a", i]]], "{": [{}, {}]}}
    tables = {f"T{n}": {f"u{n}-{i}": row(i) for i in range(n_rows)}
              for n, n_rows in enumerate(sizes)}
    wanted = [{
        "monitor": {"id": 1, "result": tables, "error": None},
        "since": {"id": "x", "result": [False, "u", tables], "error": None},
        "update": {"id": None, "method": "update", "params": [["m", {"x": {}}], tables]},
        "update3": {"method": "update3", "params": [None, "u", tables], "id": None},
        "last": {"result": tables, "error": None, "id": {"a": {"b": {}, "c": {"d": {}}}}},
    }[kind]] * 2
    stream = b"".join(json.dumps(value, separators=separators).encode() for value in wanted)
    splitter = ProgressiveSplitter(1 << 20, json.loads, large=100)
    values = []
    for position in range(0, len(stream), size):
        for text in splitter.feed(stream[position:position + size]):
            values.append(text.value(json.loads) if isinstance(text, Parts)
                          else json.loads(text))
    assert values == wanted and not splitter.pending


@pytest.mark.parametrize("begin, part, end", [
    (b'{"method":"transact","id":1,"params":["d",{}', b',{"op":"x"}', b']}'),
    (b'{"result":{"T":{"a":{}', b',"%d":{"new":{}}', b'}},"id":1,"error":null}')])
def test_parts_that_arrive_one_by_one_are_parsed_one_by_one(begin, part, end):
    sizes = []

    def loads(text):
        sizes.append(len(text))
        return json.loads(text)
    splitter = ProgressiveSplitter(1 << 20, loads, large=50)
    parts = [part % i if b"%" in part else part for i in range(1000)]
    for data in (begin, *parts):
        assert splitter.feed(data) == []
    assert len(sizes) > 900 and max(sizes) < 200
    [text] = splitter.feed(end)
    assert text.value(loads) == json.loads(begin + b"".join(parts) + end)


@pytest.mark.parametrize("data", [
    b'{"id":1,"result":{"T":{"a":{"new":{}},"b":{"new":{}},"c":{"new" {}},"d":{"new":{}}}}}',
    b'{"id":1,"result":{"T":{"a":{"new":{}},"b":{"new":{}},"c":{"new":{}}},"d":{"new":{}},"e":{}}',
    b'{"id":1,"result":{"T":{"a":{"new":{}},"b":{"new":{}},"c":[{"new":{}},"d":{"new":{}}]}}',
    b'{"params":["d",{"a":1},{"b" 2},{"c":3},{"d":4}]}', b'{"params":["d",{"a":1},{"b":2},{},}',
    b'{"params":{"a":{"b":1},{"c":2},{"d":3}}}'])
def test_large_messages_that_are_wrong_are_refused(data):
    splitter = ProgressiveSplitter(1 << 20, json.loads, large=1)
    with pytest.raises((ProtocolError, ValueError)):
        for position in range(len(data)):
            for text in splitter.feed(data[position:position + 1]):
                text.value(json.loads) if isinstance(text, Parts) else json.loads(text)
        raise ValueError("never complete")


@pytest.mark.parametrize("stream, reason, is_syntax", [
    (b"x}", "line 0, column 1, byte 1: invalid keyword 'x'", True),
    (b'"x"', "line 0, column 2, byte 2: syntax error at beginning of input", True),
    (b"[1]", "message is not a JSON object", False),
])
def test_what_begins_no_message_is_named_with_its_place(stream, reason, is_syntax):
    with pytest.raises(ProtocolError) as caught:
        Splitter().feed(stream)
    assert (caught.value.reason, caught.value.is_syntax) == (reason, is_syntax)


def test_what_is_wrong_inside_a_message_is_named_with_its_place():
    with pytest.raises(ProtocolError) as caught:
        decode(b'{"a":1]')
    assert caught.value.reason == "line 0, column 6, byte 6: syntax error expecting '}' or ','"
