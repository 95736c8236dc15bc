"""Colours of matches, actions and flows, as `ovs-ofctl --color` marks them for a terminal.

    turn_on("dr=34:vl=32")                  from now on all that is formatted is coloured
    paint_match("tcp,in_port=1")            the text with escapes around keywords and names
    paint_actions("load:0x5->reg0,drop")    the same for actions and instructions
    paint_head("cookie=0x0, table=0, ")     the same for what stands in front of a flow's match

Text is written without colours and read here once more, as few want them.  A process colours all
that it shows or nothing.  ovs-ofctl(8), `--color`.  Single thread.
"""

import re
from collections.abc import Iterator

# What OVS_COLORS calls them.
_ACTIONS, _DROP, _LEARN, _NAME, _ROUND, _SPECIAL, _WORD = "ac", "dr", "le", "pm", "pr", "sp", "vl"

# SGR parameters, ECMA-48 8.3.117.
_colors = {
    _ACTIONS: "1;31",       # actions= of a flow
    _DROP: "34",
    _LEARN: "31",
    _NAME: "36",            # what has a value
    _ROUND: "35",           # what has arguments in brackets
    _SPECIAL: "33",         # what says where a packet or a value goes
    _WORD: "32",            # what stands alone
}

is_on = False


def turn_on(capabilities: str = "") -> None:
    """Colours all that is formatted from now on.

    capabilities: the value of OVS_COLORS; what is wrong in it is passed over.
    """
    global is_on                            # One process, one terminal.
    is_on = True
    for word in capabilities.split(":"):
        name, equals, sgr = word.partition("=")
        if equals and name in _colors and re.fullmatch("[0-9;]*", sgr):
            _colors[name] = sgr


def _paint(capability: str, text: str) -> str:
    return f"\33[{_colors[capability]}m\33[K{text}\33[m\33[K"


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas that are outside of brackets and quotes."""
    start, depth, is_quoted = 0, 0, False
    for at, char in enumerate(text):
        if char == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and not depth:
            yield text[start:at]
            start = at + 1
    if text:
        yield text[start:]


def _round(name: str, inner: str, end: str = ")") -> str:
    """A word with its round brackets, whose inside is painted already."""
    return _paint(_ROUND, f"{name}(") + inner + _paint(_ROUND, end)


# Matches.

_PLAIN_FIELDS = re.compile(r"tun_gbp_flags|tun_erspan_\w+|gtpu_\w+|tun_metadata\d+|packet_type")


def paint_match(text: str) -> str:
    return ",".join(map(_paint_field, _parts(text)))


def _paint_field(part: str) -> str:
    name, equals, value = part.partition("=")
    if not equals:
        return _paint(_WORD, part)
    if name == "priority":
        return _paint(_SPECIAL, "priority=") + value
    if name == "conj_id":
        return _paint(_NAME, name) + equals + value
    if _PLAIN_FIELDS.fullmatch(name):
        return part
    return _paint(_NAME, name + equals) + value


# Flows.


def paint_head(text: str) -> str:
    return re.sub(r"(\w+)=", lambda m: _paint(
        _SPECIAL if m[1] == "table" else _NAME, m[0]), text)


def paint_label(text: str) -> str:
    """Colours the `actions=` of a dump."""
    return _paint(_ACTIONS, text)


# Actions.

_SPECIAL_VERBS = {"output", "load", "move", "set_field", "resubmit", "group"}
_KEYWORD_ACTIONS = {"strip_vlan", "pop_vlan", "dec_mpls_ttl", "pop_queue", "ct_clear",
                    "clear_actions"}
_OPTIONS = {"commit", "force", "pause", "random", "hash", "persistent", "send_flow_rem",
            "delete_learned"}


def paint_actions(text: str) -> str:
    return ",".join(map(_paint_action, _parts(text)))


def _paint_action(part: str) -> str:
    name, mark, rest = re.match(r"(\w*)(.?)(.*)", part, re.DOTALL).groups()
    if mark == "(":
        return _paint_round(name, rest.removesuffix(")"))
    if mark == ":" and name != "CONTROLLER":
        color = _SPECIAL if name in _SPECIAL_VERBS else _NAME
        return _paint(color, name + mark) + rest.replace("->", _paint(_SPECIAL, "->"))
    if mark:
        return part
    if name == "drop":
        return _paint(_DROP, name)
    if name in ("exit", "dec_nsh_ttl"):
        return _paint(_SPECIAL, name)
    if name in ("dec_ttl", "nat"):
        return _paint(_ROUND, name)
    if name in _KEYWORD_ACTIONS:
        return _paint(_WORD, name)
    return part


def _paint_round(name: str, inner: str) -> str:
    match name:
        case "output":
            return f"{_paint(_SPECIAL, name)}({inner})"
        case "check_pkt_larger":
            return f"{_paint(_NAME, name + '(')}{inner}"
        case "dec_ttl":
            return _paint(_ROUND, name) + _round("", inner)
        case "clone" | "write_actions":
            return _round(name, paint_actions(inner))
        case "ct":
            return _round(name, _paint_ct(inner))
        case "learn":
            return _paint_learn(inner)
        case "decap":
            return _round(name, inner)
        case "encap":
            return _round(name, re.sub(
                r"^(\w+)\((.*)\)$", lambda m: m[1] + _round("", m[2]), inner))
    return _round(name, ",".join(map(_paint_argument, _parts(inner))))


def _paint_argument(part: str) -> str:
    if part in _OPTIONS:
        return _paint(_WORD, part)
    if part in ("ingress", "egress"):
        return _paint(_NAME, part)
    name, equals, value = part.partition("=")
    if equals:
        return _paint(_SPECIAL if name == "table" else _NAME, name + equals) + value
    return re.sub("^members:", lambda m: _paint(_NAME, m[0]), part)


def _paint_ct(inner: str) -> str:
    out = ""
    for part in _parts(inner):
        if out and not out.endswith(_paint(_ROUND, "),")):
            out += ","
        if part.startswith("exec("):
            # The comma behind it belongs to it, even if nothing else comes.
            out += _round("exec", paint_actions(part[5:-1]), "),")
        elif part.startswith("nat("):
            out += _paint(_ROUND, "nat") + _round("", _paint_nat(part[4:-1]))
        elif part == "nat":
            out += _paint(_ROUND, part)
        else:
            out += _paint_argument(part)
    return out


def _paint_nat(inner: str) -> str:
    where, *options = _parts(inner)
    name, equals, addresses = where.partition("=")
    shown = _paint(_NAME, name) + (_paint(_NAME, equals) + addresses if equals else "")
    return ",".join([shown, *(_paint(_WORD, option) for option in options)])


_COMMA_TOO = {"priority": _SPECIAL, "fin_hard_timeout": _NAME}      # painted with the comma


def _paint_learn(inner: str) -> str:
    out = []
    for part in _parts(inner):
        name, equals, value = part.partition("=")
        comma = "," if out else ""
        if equals and name in _COMMA_TOO:
            out.append(_paint(_COMMA_TOO[name], comma + name + equals) + value)
        elif equals and "[" in name:
            out.append(comma + _paint(_NAME, name) + _paint(_NAME, equals) + value)
        elif equals or part in _OPTIONS:
            out.append(comma + _paint_argument(part))
        elif "[" in part and ":" not in part:
            out.append(comma + _paint(_NAME, part))
        else:
            out.append(comma + _paint_action(part))
    return _paint(_LEARN, "learn(") + "".join(out) + _paint(_LEARN, ")")
