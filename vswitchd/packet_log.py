"""Debug lines about single packets and megaflows, which scripts read.

While vlog has dpif, dpif_netdev or netdev_dummy at DBG, the library is asked for LOG records and
they are printed here in the reference's form. Control task only.
"""

from datapath import face, text, upcall as upcalls
from ovsdb_server import vlog
from schema.flow.seam import SEAM
from vswitchd.dpctl import format_counts, format_flow_actions, format_ufid
from vswitchd.openflow import packed
from vswitchd.openflow.text import format_flow
from vswitchd.switch.switch import Switch
from vswitchd.trace import format_complaint
from vswitchd.trace_command import names_of

_dpif = vlog.module("dpif")
_netdev = vlog.module("dpif_netdev")
_xlate = vlog.module("ofproto_dpif_xlate")
_COMPLAINTS = vlog.RateLimit(10, 5)


def follow_levels(switch: Switch) -> None:
    """Has the library make records, or not, as the log levels now are."""
    flags = ((SEAM["DP_LOG_UPCALLS"] | SEAM["DP_LOG_FLOWS"])
             if _netdev.is_dbg or _dpif.is_dbg else 0)
    for datapath in switch.datapaths.values():
        if datapath.log_flags != flags:
            datapath.log_flags = flags
            datapath.set(datapath.settings)


def print_records(switch: Switch) -> int:
    """Prints what is in the LOG queue; returns how much that was."""
    count = 0
    for upcall in upcalls.take(upcalls.Queue.LOG):
        count += 1
        datapath = next((row for row in switch.datapaths.values() if row.handle == upcall.dp), None)
        if datapath is None:
            continue
        if upcall.reason == SEAM["LOG_MISS"]:
            key = text.unpack(upcall.flow)
            values = packed.flow_fields(upcall.flow)
            values.pop("in_port", None)
            _netdev.dbg(f"{datapath.name}: miss upcall:\n{text.format_flow(key, verbose=True)}\n"
                        f"{format_flow(values)}")
        elif upcall.reason in (SEAM["LOG_FLOW_ADD"], SEAM["LOG_FLOW_DELETE"]):
            _print_flow(datapath.title, face.unpack_flow(upcall.data),
                        upcall.reason == SEAM["LOG_FLOW_ADD"])
        elif upcall.reason == SEAM["LOG_TRANSLATE"]:
            _xlate.warn(format_complaint(upcall.data, upcall.flow, upcall.bridge,
                                         names_of(switch)), _COMPLAINTS)
    return count


def _print_flow(title: str, flow: face.Flow, is_new: bool) -> None:
    key, mask = text.unpack(flow.seen), text.unpack(flow.mask)
    ufid = format_ufid(flow.ufid)
    if is_new:
        _netdev.dbg(f"flow_add: ufid:{ufid} mega_ufid:{ufid} {text.format_flow(key, mask)}, "
                    f"actions:{format_flow_actions(flow)}")
        return
    _dpif.dbg(f"{title}: flow_del ufid:{ufid} {text.format_flow(key, verbose=True)}, "
              f"{format_counts(flow)}")
