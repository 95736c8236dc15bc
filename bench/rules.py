"""Rule sets as ClassBench describes them, and headers that they match, for benchmarks.

Taylor and Turner's seeds differ in how pairs of prefix lengths, classes of port ranges and
protocols are distributed; `PROFILES` has such distributions for access lists, firewalls and IP
chains. Ranges become masks, so a rule may be several flows. Same seed, same rules.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple


class Profile(NamedTuple):
    """Weights of: source and destination prefix lengths, classes of ports, protocols; and how many
    pairs of lengths there are."""

    source: dict[int, int]
    destination: dict[int, int]
    source_port: dict[str, int]
    destination_port: dict[str, int]
    protocol: dict[str, int]
    n_pairs: int


PROFILES = {
    "acl": Profile({0: 4, 8: 3, 16: 10, 20: 9, 22: 12, 23: 9, 24: 20, 28: 8, 30: 6, 32: 29},
                   {0: 2, 16: 7, 20: 8, 22: 8, 23: 8, 24: 21, 27: 8, 28: 7, 30: 7, 32: 38},
                   {"any": 97, "high": 2, "exact": 1},
                   {"any": 21, "high": 4, "range": 11, "exact": 64},
                   {"tcp": 74, "udp": 19, "icmp": 3, "ip": 4}, 44),
    "fw": Profile({0: 36, 8: 3, 16: 6, 24: 15, 28: 6, 30: 3, 32: 39},
                  {0: 34, 16: 5, 20: 3, 24: 13, 28: 6, 30: 3, 32: 39},
                  {"any": 64, "high": 9, "range": 5, "exact": 22},
                  {"any": 34, "high": 5, "low": 2, "range": 12, "exact": 47},
                  {"tcp": 46, "udp": 34, "icmp": 5, "ip": 15}, 34),
    "ipc": Profile({0: 11, 8: 4, 16: 12, 20: 8, 22: 6, 24: 22, 27: 5, 28: 6, 32: 39},
                   {0: 9, 8: 4, 16: 11, 20: 8, 22: 6, 24: 22, 26: 5, 28: 7, 32: 43},
                   {"any": 74, "high": 4, "range": 4, "exact": 18},
                   {"any": 44, "high": 4, "range": 7, "exact": 45},
                   {"tcp": 56, "udp": 29, "icmp": 5, "ip": 10}, 54),
}
_WELL_KNOWN = (20, 21, 22, 23, 25, 53, 80, 110, 123, 137, 143, 161, 389, 443, 445, 514, 993, 1433,
               1521, 3306, 3389, 5060, 8080)
_RANGES = ((1024, 5000), (6000, 6063), (8000, 8099), (5000, 5007), (33434, 33523), (67, 68),
           (137, 139), (5190, 5193), (1024, 1279))
_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "ip": 0}
_ALL_PORTS = (0, 0xffff)


class Rule(NamedTuple):
    """Addresses with prefix lengths, ranges of ports, protocol."""

    source: tuple[int, int]
    destination: tuple[int, int]
    source_port: tuple[int, int]
    destination_port: tuple[int, int]
    protocol: str


def make_rules(profile: str, count: int, seed: int = 1) -> Iterator[Rule]:
    """Different rules of a profile, the first `count` of them."""
    rng, shape = random.Random(f"{profile}{seed}"), PROFILES[profile]

    def choose(weights: dict):
        return rng.choices(list(weights), weights.values())[0]

    def choose_port(weights: dict, protocol: str) -> tuple[int, int]:
        kind = choose(weights)
        if protocol not in ("tcp", "udp") or kind == "any":
            return _ALL_PORTS
        if kind == "exact":
            port = rng.choice(_WELL_KNOWN) if rng.random() < 0.8 else rng.randrange(1, 0x10000)
            return port, port
        return {"high": (1024, 0xffff), "low": (0, 1023)}.get(kind) or rng.choice(_RANGES)

    pairs = [(choose(shape.source), choose(shape.destination)) for _ in range(shape.n_pairs)]
    n_prefixes = max(8, int(2 * count ** 0.6))
    networks = [rng.getrandbits(32) for _ in range(max(2, n_prefixes // 64))]
    pools: dict[tuple[bool, int], list[int]] = {}
    for is_source in (True, False):
        lengths = [pair[not is_source] for pair in pairs]
        for length in set(lengths):
            mask = 0xffffffff << 32 - length & 0xffffffff
            # Prefixes nest: they share their first bits with others.
            pools[is_source, length] = [
                (rng.choice(networks) & 0xffffffff << 32 - kept | rng.getrandbits(32 - kept)) & mask
                for kept in rng.choices((8, 12, 16, 20), k=max(
                    2, n_prefixes * lengths.count(length) // len(lengths)))]
    seen: set[Rule] = set()
    while len(seen) < count:
        protocol = choose(shape.protocol)
        source, destination = rng.choice(pairs)
        rule = Rule((rng.choice(pools[True, source]), source),
                    (rng.choice(pools[False, destination]), destination),
                    choose_port(shape.source_port, protocol),
                    choose_port(shape.destination_port, protocol), protocol)
        if rule not in seen:
            seen.add(rule)
            yield rule


def _masks(first: int, last: int) -> Iterator[tuple[int, int]]:
    """(value, mask) pairs that cover a range of ports."""
    while first <= last:
        size = first & -first or 0x10000
        while size > last - first + 1:
            size >>= 1
        yield first, 0x10000 - size
        first += size


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def make_flows(profile: str, count: int, seed: int = 1) -> tuple[list[str], list[Rule]]:
    """`count` flows as ovs-ofctl reads them, priorities falling, and the rules they stand for."""
    flows, rules = [], []
    for rule in make_rules(profile, count, seed):
        rules.append(rule)
        words = [rule.protocol]
        for name, (address, length) in (("nw_src", rule.source), ("nw_dst", rule.destination)):
            if length:
                words.append(f"{name}={_dotted(address)}/{length}")
        action = f"output:{len(rules) % 4 + 1}" if len(rules) % 10 < 7 else "drop"
        priority = max(1, 60000 - len(flows) * 59990 // count)
        for source, source_mask in _masks(*rule.source_port):
            for destination, mask in _masks(*rule.destination_port):
                ports = ([f"tp_src={source:#x}/{source_mask:#x}"] if source_mask else []) + (
                    [f"tp_dst={destination:#x}/{mask:#x}"] if mask else [])
                flows.append(f"priority={priority},{','.join(words + ports)},actions={action}")
        if len(flows) >= count:
            break
    return flows[:count], rules


def make_frames(rules: list[Rule], count: int, seed: int = 1) -> list[bytes]:
    """60-byte frames, each with headers that one of the rules matches."""
    rng, frames = random.Random(seed), []
    for _ in range(count):
        rule = rng.choice(rules)
        addresses = [address | rng.getrandbits(32 - length) if length < 32 else address
                     for address, length in (rule.source, rule.destination)]
        protocol = _NUMBERS[rule.protocol] or rng.choice((6, 17))
        ports = [rng.randint(*rule.source_port), rng.randint(*rule.destination_port)]
        header = b"".join(number.to_bytes(size, "big") for number, size in (
            (0x45000000 | 46, 4), (0, 4), (64 << 24 | protocol << 16, 4),
            (addresses[0], 4), (addresses[1], 4), (ports[0], 2), (ports[1], 2)))
        frames.append(bytes.fromhex("0200000000020200000000010800") + header.ljust(46, b"\0"))
    return frames
