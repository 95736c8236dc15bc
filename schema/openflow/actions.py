"""THE ACTION TABLE: every OpenFlow action and instruction, declared once.

`RAWS` has one row per wire form: the value class in `vswitchd/openflow/action_types.py` it decodes
to, the code points per version, and the layout of the body. `NAMES` gives the words by which
ovs-ofctl's text calls the actions, `INSTRUCTIONS` the instructions of OpenFlow 1.1 and later.
`vswitchd/openflow/actions.py` derives decoder, encoder and length checks from these rows.

A code point is written as the specification's readers write it: "OF1.0(4) OF1.1(3) OF1.2+(3)", with
OF for standard actions and NX or ONF for vendor actions; a star marks a deprecated one.

A layout lists the members after the header as struct characters with names, "H:port H:max_len";
"3x" skips bytes, "6z" bytes that must be zero, "*" says that a variable part follows. Integers are
aligned to their size, counted from the start of the action (its header is 4 bytes, 10 for vendor
actions), and every action is padded to 8 bytes. A layout of None belongs to an action with its own
decoder and encoder.

Source: OpenFlow 1.0-1.5 sections on actions, Nicira extensions, ovs-actions(7). Any thread.
"""

from typing import NamedTuple

VENDORS = {"OF": 0, "NX": 0x00002320, "ONF": 0x4f4e4600}
VENDOR_ACTION = 0xffff                      # type of a vendor or experimenter action


class Raw(NamedTuple):
    """One wire form. `fixed` is True if the length may not exceed the layout's."""

    name: str
    action: str
    points: str
    layout: str | None
    fixed: bool = True


RAWS: tuple[Raw, ...] = (
    Raw("OFPAT_RAW10_OUTPUT", "Output", "OF1.0(0)", "H:port H:max_len"),
    Raw("OFPAT_RAW11_OUTPUT", "Output", "OF1.1+(0)", "I:port H:max_len 6x"),
    Raw("OFPAT_RAW10_SET_VLAN_VID", "SetVlanVid", "OF1.0(1)", "H:vid"),
    Raw("OFPAT_RAW10_SET_VLAN_PCP", "SetVlanPcp", "OF1.0(2)", "B:pcp"),
    Raw("OFPAT_RAW11_SET_VLAN_VID", "SetVlanVid", "OF1.1(1) OF1.2+(1)*", "H:vid"),
    Raw("OFPAT_RAW11_SET_VLAN_PCP", "SetVlanPcp", "OF1.1(2) OF1.2+(2)*", "B:pcp"),
    Raw("OFPAT_RAW11_PUSH_VLAN", "PushVlan", "OF1.1+(17)", "H:eth_type"),
    Raw("OFPAT_RAW10_STRIP_VLAN", "StripVlan", "OF1.0(3)", ""),
    Raw("OFPAT_RAW11_POP_VLAN", "StripVlan", "OF1.1+(18)", ""),
    Raw("OFPAT_RAW_SET_DL_SRC", "SetEthSrc", "OF1.0(4) OF1.1(3) OF1.2+(3)*", "6s:mac 6x"),
    Raw("OFPAT_RAW_SET_DL_DST", "SetEthDst", "OF1.0(5) OF1.1(4) OF1.2+(4)*", "6s:mac 6x"),
    Raw("OFPAT_RAW_SET_NW_SRC", "SetIpv4Src", "OF1.0(6) OF1.1(5) OF1.2+(5)*", "I:ip"),
    Raw("OFPAT_RAW_SET_NW_DST", "SetIpv4Dst", "OF1.0(7) OF1.1(6) OF1.2+(6)*", "I:ip"),
    Raw("OFPAT_RAW_SET_NW_TOS", "SetIpDscp", "OF1.0(8) OF1.1(7) OF1.2+(7)*", "B:tos"),
    Raw("OFPAT_RAW11_SET_NW_ECN", "SetIpEcn", "OF1.1(8) OF1.2+(8)*", "B:ecn"),
    Raw("OFPAT_RAW_SET_TP_SRC", "SetL4SrcPort", "OF1.0(9) OF1.1(9) OF1.2+(9)*", "H:port"),
    Raw("OFPAT_RAW_SET_TP_DST", "SetL4DstPort", "OF1.0(10) OF1.1(10) OF1.2+(10)*", "H:port"),
    Raw("OFPAT_RAW10_ENQUEUE", "Enqueue", "OF1.0(11)", "H:port 6x I:queue"),
    Raw("OFPAT_RAW_SET_MPLS_LABEL", "SetMplsLabel", "NX1.0(30) OF1.1(13) OF1.2+(13)*", "I:label"),
    Raw("OFPAT_RAW_SET_MPLS_TC", "SetMplsTc", "NX1.0(31) OF1.1(14) OF1.2+(14)*", "B:tc"),
    Raw("OFPAT_RAW_SET_MPLS_TTL", "SetMplsTtl", "NX1.0(25) OF1.1(15) OF1.2+(15)*", "B:ttl"),
    Raw("OFPAT_RAW_DEC_MPLS_TTL", "DecMplsTtl", "NX1.0(26) OF1.1+(16)", ""),
    Raw("OFPAT_RAW_PUSH_MPLS", "PushMpls", "NX1.0(23) OF1.1+(19)", "H:eth_type"),
    Raw("OFPAT_RAW_POP_MPLS", "PopMpls", "NX1.0(24) OF1.1+(20)", "H:eth_type"),
    Raw("OFPAT_RAW_SET_QUEUE", "SetQueue", "NX1.0(4) OF1.1+(21)", "I:queue"),
    Raw("OFPAT_RAW_GROUP", "Group", "NX1.0(40) OF1.1+(22)", "I:group"),
    Raw("OFPAT_RAW11_SET_NW_TTL", "SetIpTtl", "OF1.1+(23)", "B:ttl"),
    Raw("OFPAT_RAW_DEC_NW_TTL", "DecTtl", "NX1.0(18) OF1.1+(24)", ""),
    Raw("NXAST_RAW_DEC_TTL_CNT_IDS", "DecTtl", "NX1.0+(21)", None, False),
    Raw("OFPAT_RAW12_SET_FIELD", "SetField", "OF1.2-1.4(25)", None, False),
    Raw("OFPAT_RAW15_SET_FIELD", "SetField", "OF1.5+(25)", None, False),
    Raw("NXAST_RAW_REG_LOAD", "SetField", "NX1.0-1.4(7)", None),
    Raw("NXAST_RAW_REG_LOAD2", "SetField", "NX1.0-1.4(33)", None, False),
    Raw("OFPAT_RAW15_COPY_FIELD", "RegMove", "OF1.5+(28)", None, False),
    Raw("ONFACT_RAW13_COPY_FIELD", "RegMove", "ONF1.3-1.4(3200)", None, False),
    Raw("NXAST_RAW_REG_MOVE", "RegMove", "NX1.0-1.4(6)", None, False),
    Raw("OFPAT_RAW15_METER", "Meter", "OF1.5+(29)", "I:meter"),
    Raw("NXAST_RAW_RESUBMIT", "Resubmit", "NX1.0+(1)", "H:in_port"),
    Raw("NXAST_RAW_RESUBMIT_TABLE", "Resubmit", "NX1.0+(14)", "H:in_port B:table 3z"),
    Raw("NXAST_RAW_RESUBMIT_TABLE_CT", "Resubmit", "NX1.0+(44)", "H:in_port B:table 3z"),
    Raw("NXAST_RAW_SET_TUNNEL", "SetTunnel", "NX1.0+(2)", "I:tun_id"),
    Raw("NXAST_RAW_SET_TUNNEL64", "SetTunnel", "NX1.0+(9)", "Q:tun_id"),
    Raw("NXAST_RAW_POP_QUEUE", "PopQueue", "NX1.0+(5)", ""),
    Raw("NXAST_RAW_NOTE", "Note", "NX1.0+(8)", None, False),
    Raw("NXAST_RAW_MULTIPATH", "Multipath", "NX1.0+(10)", None),
    Raw("NXAST_RAW_BUNDLE", "Bundle", "NX1.0+(12)", None, False),
    Raw("NXAST_RAW_BUNDLE_LOAD", "Bundle", "NX1.0+(13)", None, False),
    Raw("NXAST_RAW_OUTPUT_REG", "OutputReg", "NX1.0+(15)", None),
    Raw("NXAST_RAW_OUTPUT_REG2", "OutputReg", "NX1.0+(32)", None),
    Raw("NXAST_RAW_LEARN", "Learn", "NX1.0+(16)", None, False),
    Raw("NXAST_RAW_LEARN2", "Learn", "NX1.0+(45)", None, False),
    Raw("NXAST_RAW_EXIT", "Exit", "NX1.0+(17)", ""),
    Raw("NXAST_RAW_FIN_TIMEOUT", "FinTimeout", "NX1.0+(19)", "H:idle H:hard 2x"),
    Raw("NXAST_RAW_CONTROLLER", "Controller", "NX1.0+(20)", None),
    Raw("NXAST_RAW_CONTROLLER2", "Controller", "NX1.0+(37)", None, False),
    Raw("NXAST_RAW_WRITE_METADATA", "WriteMetadata", "NX1.0+(22)", "6z Q:metadata Q:mask"),
    Raw("NXAST_RAW_STACK_PUSH", "StackPush", "NX1.0+(27)", None),
    Raw("NXAST_RAW_STACK_POP", "StackPop", "NX1.0+(28)", None),
    Raw("NXAST_RAW_SAMPLE", "Sample", "NX1.0+(29)",
        "H:probability I:collector_set I:domain I:point"),
    Raw("NXAST_RAW_SAMPLE2", "Sample", "NX1.0+(38)", None),
    Raw("NXAST_RAW_SAMPLE3", "Sample", "NX1.0+(41)", None),
    Raw("NXAST_RAW_SAMPLE4", "Sample", "NX1.0+(51)", None),
    Raw("NXAST_RAW_CONJUNCTION", "Conjunction", "NX1.0+(34)", "B:clause B:n_clauses I:id"),
    Raw("NXAST_RAW_CT", "Ct", "NX1.0+(35)", None, False),
    Raw("NXAST_RAW_NAT", "Nat", "NX1.0+(36)", None, False),
    Raw("NXAST_RAW_OUTPUT_TRUNC", "OutputTrunc", "NX1.0+(39)", "H:port I:max_len"),
    Raw("NXAST_RAW_CLONE", "Clone", "NX1.0+(42)", None, False),
    Raw("NXAST_RAW_CT_CLEAR", "CtClear", "NX1.0+(43)", ""),
    Raw("NXAST_RAW_ENCAP", "Encap", "NX1.3+(46)", None, False),
    Raw("NXAST_RAW_DECAP", "Decap", "NX1.3+(47)", "2x I:packet_type", False),
    Raw("NXAST_RAW_DEC_NSH_TTL", "DecNshTtl", "NX1.3+(48)", ""),
    Raw("NXAST_RAW_CHECK_PKT_LARGER", "CheckPktLarger", "NX1.0+(49)", None, False),
    Raw("NXAST_RAW_DELETE_FIELD", "DeleteField", "NX1.0+(50)", None),
    Raw("NXAST_RAW_DEBUG_SLOW", "DebugSlow", "NX1.0+(254)", ""),
    Raw("NXAST_RAW_DEBUG_RECIRC", "DebugRecirc", "NX1.0+(255)", ""),
)


class Name(NamedTuple):
    """An action by its words: the first is the one that ovs-ofctl's own messages use."""

    action: str
    texts: tuple[str, ...]


NAMES: tuple[Name, ...] = tuple(Name(action, tuple(texts.split())) for action, texts in (
    ("Output", "output"), ("Group", "group"), ("Controller", "controller"),
    ("Enqueue", "enqueue"), ("OutputReg", "output_reg"), ("OutputTrunc", "output_trunc"),
    ("Bundle", "bundle bundle_load"), ("SetField", "set_field load"),
    ("SetVlanVid", "set_vlan_vid mod_vlan_vid"), ("SetVlanPcp", "set_vlan_pcp mod_vlan_pcp"),
    ("StripVlan", "strip_vlan pop_vlan"), ("PushVlan", "push_vlan"),
    ("SetEthSrc", "mod_dl_src"), ("SetEthDst", "mod_dl_dst"),
    ("SetIpv4Src", "mod_nw_src"), ("SetIpv4Dst", "mod_nw_dst"),
    ("SetIpDscp", "mod_nw_tos"), ("SetIpEcn", "mod_nw_ecn"),
    ("SetIpTtl", "mod_nw_ttl set_nw_ttl"),
    ("SetL4SrcPort", "mod_tp_src"), ("SetL4DstPort", "mod_tp_dst"), ("RegMove", "move"),
    ("StackPush", "push"), ("StackPop", "pop"), ("DecTtl", "dec_ttl"),
    ("SetMplsLabel", "set_mpls_label"), ("SetMplsTc", "set_mpls_tc"),
    ("SetMplsTtl", "set_mpls_ttl"), ("DecMplsTtl", "dec_mpls_ttl"),
    ("PushMpls", "push_mpls"), ("PopMpls", "pop_mpls"), ("DecNshTtl", "dec_nsh_ttl"),
    ("DeleteField", "delete_field"), ("SetTunnel", "set_tunnel set_tunnel64"),
    ("SetQueue", "set_queue"), ("PopQueue", "pop_queue"), ("FinTimeout", "fin_timeout"),
    ("Resubmit", "resubmit"), ("Learn", "learn"), ("Conjunction", "conjunction"),
    ("Multipath", "multipath"), ("Note", "note"), ("Exit", "exit"), ("Sample", "sample"),
    ("UnrollXlate", "unroll_xlate"), ("Ct", "ct"), ("CtClear", "ct_clear"), ("Nat", "nat"),
    ("Clone", "clone"), ("CheckPktLarger", "check_pkt_larger"), ("Encap", "encap"),
    ("Decap", "decap"), ("DebugRecirc", "debug_recirc"), ("DebugSlow", "debug_slow"),
    ("Meter", "meter"), ("ClearActions", "clear_actions"), ("WriteActions", "write_actions"),
    ("WriteMetadata", "write_metadata"), ("GotoTable", "goto_table"),
))


class Instruction(NamedTuple):
    """An instruction; rows are in the order in which a flow carries and executes them.

    size: its length, or the least one where `variable`. versions: low and high version byte.
    """

    name: str
    action: str
    type: int
    size: int
    variable: bool
    versions: tuple[int, int]


INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction("meter", "Meter", 6, 8, False, (2, 5)),
    Instruction("apply_actions", "", 4, 8, True, (2, 6)),
    Instruction("clear_actions", "ClearActions", 5, 8, False, (2, 6)),
    Instruction("write_actions", "WriteActions", 3, 8, True, (2, 6)),
    Instruction("write_metadata", "WriteMetadata", 2, 24, False, (2, 6)),
    Instruction("goto_table", "GotoTable", 1, 8, False, (2, 6)),
)
INSTRUCTION_EXPERIMENTER = 0xffff

HASH_FIELDS = ("eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src",
               "nw_dst", "symmetric_l3")                                # number is the index
BUNDLE_ALGORITHMS = ("active_backup", "hrw")
MULTIPATH_ALGORITHMS = ("modulo_n", "hash_threshold", "hrw", "iter_hash")
PACKET_IN_REASONS = ("no_match", "action", "invalid_ttl", "action_set", "group", "packet_out")

LEARN_SEND_FLOW_REM, LEARN_DELETE_LEARNED, LEARN_WRITE_RESULT = 1, 2, 4
CT_COMMIT, CT_FORCE, CT_NO_TABLE = 1, 2, 0xff
CT_ALGS = {0: "none", 21: "ftp", 69: "tftp"}
NAT_SRC, NAT_DST, NAT_PERSISTENT, NAT_HASH, NAT_RANDOM = 1, 2, 4, 8, 16
NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV4_MAX, NAT_RANGE_IPV6_MIN = 1, 2, 4
NAT_RANGE_IPV6_MAX, NAT_RANGE_PORT_MIN, NAT_RANGE_PORT_MAX = 8, 16, 32
PACKET_TYPE_ETH, PACKET_TYPE_NEXT = 0, 0xfffe
PACKET_TYPE_NSH, PACKET_TYPE_MPLS, PACKET_TYPE_MPLS_MC = 0x1894f, 0x18847, 0x18848
ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV = 0x0004, 1, 2
