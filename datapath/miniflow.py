"""How many words of a megaflow's mask are not zero, as dpctl/dump-flows -m tells it.

The reference keeps a mask as the 64-bit words of a struct of its own, in units of 64 words, and
prints how many of each unit are in use: "miniflow_bits(4,3)". `LAYOUT` is that struct in our names,
so that the numbers are the same. Pure; any thread.
"""

from collections.abc import Iterator

from schema.flow.fields import MEMBER, OFFSET

_WORD, _UNIT = 8, 64
# Name of a member and its bytes there; "-" is room that nothing of ours is in.
LAYOUT = """
    tun_dst:4 tun_ipv6_dst:16 tun_src:4 tun_ipv6_src:16 tun_id:8 tun_flags:2 tun_tos:1 tun_ttl:1
    tun_tp_src:2 tun_tp_dst:2 tun_gbp_id:2 tun_gbp_flags:1 tun_erspan_ver:1 tun_erspan_idx:4
    tun_erspan_dir:1 tun_erspan_hwid:1 tun_gtpu_flags:1 tun_gtpu_msgtype:1 -:4
    tun_metadata_present:8 -:8 tun_metadata:256
    metadata:8 regs:128 skb_priority:4 pkt_mark:4 dp_hash:4 in_port:4 recirc_id:4 ct_state:1
    ct_nw_proto:1 ct_zone:2 ct_mark:4 packet_type:4 ct_label:16 conj_id:4 actset_output:4
    eth_dst:6 eth_src:6 eth_type:2 -:2 vlan0_tpid:2 vlan0_tci:2 vlan1_tpid:2 vlan1_tci:2 mpls_lse:16
    nw_src:4 nw_dst:4 ct_nw_src:4 ct_nw_dst:4 ipv6_src:16 ipv6_dst:16 ct_ipv6_src:16 ct_ipv6_dst:16
    ipv6_label:4 nw_frag:1 nw_tos:1 nw_ttl:1 nw_proto:1
    nd_target:16 arp_sha:6 arp_tha:6 tcp_flags:2 nd_options_type:2
    nsh_flags:1 nsh_ttl:1 nsh_mdtype:1 nsh_np:1 nsh_path:4 nsh_c:16
    tp_src:2 tp_dst:2 ct_tp_src:2 ct_tp_dst:2 igmp_group:4 nd_reserved:4"""


def _slices() -> list[list[tuple[int, int]]]:
    """For each word of theirs the parts of our struct that are in it, as (start, end)."""
    words: list[list[tuple[int, int]]] = []
    at = 0
    for entry in LAYOUT.split():
        name, size = entry.split(":")
        for start, end in _cut(at, int(size)):
            while len(words) <= start // _WORD:
                words.append([])
            if name != "-":
                member = MEMBER[name]
                ours = member.size * member.count
                first = OFFSET[name] + start - at
                # What is smaller there is one member here too: all of it.
                words[start // _WORD].append(
                    (OFFSET[name], OFFSET[name] + ours) if ours != int(size)
                    else (first, first + end - start))
        at += int(size)
    return words


def _cut(at: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of `size` bytes from `at` on by the words that they are in."""
    end = at + size
    while at < end:
        stop = min(end, (at // _WORD + 1) * _WORD)
        yield at, stop
        at = stop


_SLICES = _slices()


def count_words(mask: bytes) -> tuple[int, ...]:
    """The words in use of each unit, of a mask that is our struct flow."""
    used = [any(any(mask[start:end]) for start, end in parts) for parts in _SLICES]
    return tuple(sum(used[first:first + _UNIT]) for first in range(0, len(used), _UNIT))
