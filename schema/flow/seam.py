"""THE NUMBERS OF THE SEAM: flags and codes that cross between Python and C, declared once.

`ENUMS` maps the name of a C enum to its enumerators; `generated/seam.h` is made from it, Python
uses `SEAM["NAME"]`. Flags are powers of two, codes are counted. Any thread; nothing changes after
import.
"""

ENUMS: dict[str, dict[str, int]] = {
    # datapath_config.flags
    "datapath_flags": {"DP_MEGAFLOWS": 1, "DP_LOG_UPCALLS": 2, "DP_LOG_FLOWS": 4,
                       "DP_NO_UPCALLS": 8},
    # datapath_config.features: what the translator may emit (dpif/set-dp-features)
    "datapath_features": {
        "DPF_TNL_PUSH_POP": 1 << 0, "DPF_UFID": 1 << 1, "DPF_TRUNC": 1 << 2, "DPF_CLONE": 1 << 3,
        "DPF_CT_EVENTMASK": 1 << 4, "DPF_CT_CLEAR": 1 << 5, "DPF_DP_HASH_SYM": 1 << 6,
        "DPF_CHECK_PKT_LEN": 1 << 7, "DPF_CT_TIMEOUT": 1 << 8, "DPF_EXPLICIT_DROP": 1 << 9,
        "DPF_LB_OUTPUT": 1 << 10, "DPF_CT_ZERO_SNAT": 1 << 11, "DPF_ADD_MPLS": 1 << 12,
        "DPF_RECIRC": 1 << 13, "DPF_CT_STATE": 1 << 14, "DPF_CT_ZONE": 1 << 15,
        "DPF_CT_MARK": 1 << 16, "DPF_CT_LABEL": 1 << 17, "DPF_CT_STATE_NAT": 1 << 18,
        "DPF_CT_ORIG_TUPLE": 1 << 19, "DPF_CT_ORIG_TUPLE6": 1 << 20, "DPF_ND_EXT": 1 << 21,
        "DPF_MASKED_SET": 1 << 22, "DPF_PSAMPLE": 1 << 23, "DPF_DEEP_SAMPLE": 1 << 24},
    # port_config.flags
    "port_flags": {"PORT_UP": 1, "PORT_OFFLOADS": 2, "PORT_TX_TO_QUEUE": 4},
    # bridge_config.flags
    "bridge_flags": {"BRIDGE_FORWARD_BPDU": 1, "BRIDGE_DROP_FRAGS": 2,
                     "BRIDGE_NX_MATCH_FRAGS": 4},
    # bridge_port.config: OFPPC_* of OpenFlow 1.0
    "bridge_port_config": {"PC_PORT_DOWN": 1, "PC_NO_STP": 2, "PC_NO_RECV": 4, "PC_NO_RECV_STP": 8,
                           "PC_NO_FLOOD": 16, "PC_NO_FWD": 32, "PC_NO_PACKET_IN": 64},
    # bridge_port.state
    "bridge_port_state": {"BP_LIVE": 1, "BP_LINK_DOWN": 2},
    # bundle.vlan_mode
    "vlan_mode": {"VLAN_ACCESS": 0, "VLAN_TRUNK": 1, "VLAN_NATIVE_TAGGED": 2,
                  "VLAN_NATIVE_UNTAGGED": 3, "VLAN_DOT1Q_TUNNEL": 4},
    # bundle.flags
    "bundle_flags": {"BUNDLE_PROTECTED": 1, "BUNDLE_PRIORITY_TAGS_NONZERO": 2,
                     "BUNDLE_PRIORITY_TAGS_ALWAYS": 4},
    # bundle.bond_mode
    "bond_mode": {"BOND_NONE": 0, "BOND_ACTIVE_BACKUP": 1, "BOND_BALANCE_SLB": 2,
                  "BOND_BALANCE_TCP": 3},
    # rule_change.command, as OFPFC_*
    "rule_command": {"RULE_ADD": 0, "RULE_MODIFY": 1, "RULE_MODIFY_STRICT": 2, "RULE_DELETE": 3,
                     "RULE_DELETE_STRICT": 4},
    # rule_change.flags, as OFPFF_* of OpenFlow 1.3
    "rule_flags": {"RF_SEND_FLOW_REM": 1, "RF_CHECK_OVERLAP": 2, "RF_RESET_COUNTS": 4,
                   "RF_NO_PKT_COUNTS": 8, "RF_NO_BYT_COUNTS": 16,
                   "RF_HIDDEN_FIELDS": 1 << 16, "RF_NO_READONLY": 1 << 17,
                   "RF_MODIFY_ADDS": 1 << 18, "RF_KEEP_COOKIE": 1 << 19},
    # rule_change.reason and removals, as OFPRR_*
    "rule_reason": {"RR_IDLE_TIMEOUT": 0, "RR_HARD_TIMEOUT": 1, "RR_DELETE": 2,
                    "RR_GROUP_DELETE": 3, "RR_METER_DELETE": 4, "RR_EVICTION": 5},
    # rule_change.error
    "rule_error": {"RULE_E_OVERLAP": 1, "RULE_E_TABLE_FULL": 2, "RULE_E_UNSUPPORTED": 3,
                   "RULE_E_BAD_TABLE": 4, "RULE_E_BAD_GROUP": 5, "RULE_E_EPERM": 6,
                   "RULE_E_BAD_PROGRAM": 7, "RULE_E_BAD_METER": 8},
    # table_config.miss and .flags
    "table_miss": {"TABLE_MISS_DEFAULT": 0, "TABLE_MISS_CONTROLLER": 1, "TABLE_MISS_CONTINUE": 2,
                   "TABLE_MISS_DROP": 3, "TABLE_MISS_SENT": 4},
    "table_flags": {"TABLE_EVICT": 1},
    # group_change
    "group_command": {"GROUP_ADD": 0, "GROUP_MODIFY": 1, "GROUP_DELETE": 2},
    "group_type": {"GROUP_ALL": 0, "GROUP_SELECT": 1, "GROUP_INDIRECT": 2,
                   "GROUP_FAST_FAILOVER": 3},
    "group_method": {"GROUP_METHOD_DEFAULT": 0, "GROUP_METHOD_DP_HASH": 1, "GROUP_METHOD_HASH": 2},
    "group_error": {"GROUP_E_EXISTS": 1, "GROUP_E_UNKNOWN": 2, "GROUP_E_INVALID": 3,
                    "GROUP_E_OUT_OF_GROUPS": 4, "GROUP_E_LOOP": 5, "GROUP_E_OUT_OF_BUCKETS": 6},
    # meter.flags, as OFPMF_*, and meter_band.type, as OFPMBT_*
    "meter_flags": {"METER_KBPS": 1, "METER_PKTPS": 2, "METER_BURST": 4, "METER_STATS": 8},
    "meter_band_type": {"METER_DROP": 1, "METER_DSCP_REMARK": 2},
    # Meters that packets to controllers, and those of the slow path, meet by themselves (OFPM_*)
    "meter_virtual": {"METER_OF_SLOWPATH": 0xfffffffd, "METER_OF_CONTROLLER": 0xfffffffe},
    # flow_record.origin
    "flow_origin": {"FLOW_TRANSLATED": 0, "FLOW_STATIC": 1},
    # Why a megaflow must be translated packet by packet (text in userspace(slow_path(...)))
    "slow_reason": {"SLOW_CFM": 1, "SLOW_BFD": 2, "SLOW_LACP": 4, "SLOW_STP": 8, "SLOW_LLDP": 16,
                    "SLOW_ACTION": 32, "SLOW_MATCH": 64},
    # injection.flags
    "injection_flags": {"INJECT_TABLES": 1, "INJECT_RESUME": 2},
    # Upcall queues
    "upcall_queue": {"QUEUE_CONTROL": 0, "QUEUE_OPENFLOW": 1, "QUEUE_SAMPLE": 2, "QUEUE_EVENT": 3,
                     "QUEUE_LOG": 4, "QUEUE_FRAMES": 5},
    # upcall_record.kind
    "upcall_kind": {
        "UPCALL_PACKET_IN": 1,      # OPENFLOW: reason OFPR_*, data userdata
        "UPCALL_RULE_REMOVED": 2,   # EVENT: reason OFPRR_*, data struct rule_record as dumped
        "UPCALL_RULE_ADDED": 3,     # EVENT if watched: data as above, frame the rule replaced
        "UPCALL_RULE_CHANGED": 4,   # EVENT if watched: other actions or cookie; as above
        "UPCALL_MAC_MOVED": 5,      # EVENT
        "UPCALL_RESYNC": 6,         # EVENT: records were lost, read all again
        "UPCALL_CARRIER": 7,        # EVENT: a port's device failed or came back
        "UPCALL_SLOW_PATH": 8,      # CONTROL: a protocol's frame; reason SLOW_*
        "UPCALL_SAMPLE": 9,         # SAMPLE: data struct action_userspace
        "UPCALL_LOG": 10,           # LOG: reason LOG_*; flow of a MISS, data struct flow_record
        "UPCALL_FRAME": 11,
        # OPENFLOW: a packet-in whose frame waits to go on; data struct frozen_record
        "UPCALL_PAUSED": 12},        # FRAMES: a frame sent by port odp
    "log_kind": {"LOG_FLOW_ADD": 1, "LOG_MISS": 2, "LOG_TRANSLATE": 3, "LOG_FLOW_DELETE": 4},
}

SEAM: dict[str, int] = {name: number for enum in ENUMS.values() for name, number in enum.items()}
