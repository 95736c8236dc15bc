"""The hidden rules that let a switch reach its controllers through its own ports.

With in-band control the way to a controller or manager leads over the bridge itself, so rules
above all others let DHCP, ARP and TCP to and from it pass as a plain switch would. Pure; any
thread. Source: ovs-vswitchd.conf.db(5), Controller connection_mode; the design notes on in-band
control, rules (a) to (i); (d) and (e), about the next hop's MAC, are left to (f) and (g).
"""

from collections.abc import Iterable, Iterator

FIRST_PRIORITY = 180000         # above every priority that a controller can use


def flows(remotes: Iterable[tuple[str, int]], mac: str) -> Iterator[tuple[int, str]]:
    """(priority, match) of each rule for `remotes`, (IPv4 address, TCP port), behind a LOCAL port
    with the address `mac`; none without remotes."""
    remotes = sorted(set(remotes))
    if not remotes:
        return
    yield FIRST_PRIORITY, f"udp,in_port=LOCAL,dl_src={mac},tp_src=68,tp_dst=67"
    yield FIRST_PRIORITY + 1, f"arp,dl_dst={mac},arp_op=2"
    yield FIRST_PRIORITY + 2, f"arp,dl_src={mac},arp_op=1"
    for host in sorted({host for host, _ in remotes}):
        yield FIRST_PRIORITY + 5, f"arp,arp_tpa={host},arp_op=2"
        yield FIRST_PRIORITY + 6, f"arp,arp_spa={host},arp_op=1"
    for host, port in remotes:
        yield FIRST_PRIORITY + 7, f"tcp,nw_dst={host},tp_dst={port}"
        yield FIRST_PRIORITY + 8, f"tcp,nw_src={host},tp_src={port}"
