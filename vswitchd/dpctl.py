"""dpctl/*: the commands about datapaths, shared by ovs-appctl and ovs-dpctl.

A datapath is named "TYPE@NAME", of type system "NAME"; where only one exists it need not be named.
Texts are the reference's. Control task only. Source: ovs-dpctl(8).
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from datapath import face, text
from datapath.action_text import format_actions, format_slow_path, parse_actions
from datapath.miniflow import count_words
from datapath.normalize import normalize
from ovsdb_server.rpc.unixctl import Command, CommandError
from schema.flow.seam import SEAM
from vswitchd.config.desired import Interface
from vswitchd.switch.datapath import Datapath
from vswitchd.switch.kinds import make
from vswitchd.switch.netdev import DeviceError, Netdev
from vswitchd.switch.switch import Switch

_UFID = re.compile(r"ufid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_FLOW = ("deleting flow (No such file or directory)\n"
            "Perhaps you need to specify a UFID?")
_NO_FAMILY = "Address family not supported by protocol"

_FILTER = re.compile(r"(filter|type|pmd)=(.*)", re.DOTALL)
_TYPES = ("all", "ovs", "tc", "dpdk", "offloaded", "non-offloaded", "partially-offloaded")


class Record(NamedTuple):
    """A megaflow with the flow that it was made for, and its mask, as {member: value}."""

    flow: face.Flow
    key: text.Values
    mask: text.Values


def records(datapath: Datapath) -> Iterator[Record]:
    """All megaflows of a datapath."""
    for flow in face.flows(datapath.handle):
        yield Record(flow, text.unpack(flow.seen), text.unpack(flow.mask))


def format_ufid(ufid: bytes) -> str:
    """A flow's 128-bit id as a UUID."""
    digits = ufid.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _masked(key: bytes, mask: bytes) -> bytes:
    return (int.from_bytes(key, "big") & int.from_bytes(mask, "big")).to_bytes(len(key), "big")


def is_named(record: Record, written: str, ports: dict[str, int]) -> bool:
    """Whether `written` is a megaflow's ufid, or the megaflow as a dump shows it."""
    if written.startswith("ufid:") and "(" not in written:
        return written == f"ufid:{format_ufid(record.flow.ufid)}"
    try:
        key, mask = text.parse_flow(written, ports)
    except text.TextError as error:
        raise CommandError(str(error)) from None
    return all(not (record.key.get(name, 0) ^ key.get(name, 0)) & bits & record.mask.get(name, 0)
               for name, bits in mask.items())


def format_counts(flow: face.Flow) -> str:
    """"packets:1, bytes:60, used:0.1s" of a megaflow."""
    return text.format_statistics(flow.n_packets, flow.n_bytes, flow.used_ms, face.now(),
                                  flow.tcp_flags)


def format_flow_actions(flow: face.Flow, ports: dict[int, str] | None = None) -> str:
    """What a megaflow does, or why its packets take the slow path."""
    return (format_slow_path(flow.slow_reasons) if flow.slow_reasons else
            format_actions(flow.actions, ports))


def format_record(record: Record, ports: dict[int, str] | None, verbose: bool,
                  tells_datapath: bool = True) -> str:
    """One line of a dump; dpif/dump-flows does not tell what the datapath says of a flow."""
    flow = record.flow
    line = text.format_flow(record.key, record.mask, ports, verbose)
    statistics = format_counts(flow)
    actions = format_flow_actions(flow, ports)
    if verbose and not tells_datapath:
        return f"ufid:{format_ufid(flow.ufid)} {line}, {statistics}, actions:{actions}"
    if verbose:
        return (f"ufid:{format_ufid(flow.ufid)}, {line}, {statistics}, dp:ovs, actions:{actions}, "
                f"dp-extra-info:miniflow_bits({','.join(map(str, count_words(flow.mask)))})")
    return f"{line}, {statistics}, actions:{actions}"


def dump_flows(datapath: Datapath, verbose: bool, with_names: bool,
               keep: Callable[[Record], bool] = lambda record: True,
               with_header: bool = False, tells_datapath: bool = True) -> str:
    """All megaflows, a line each."""
    ports = datapath.port_names() if with_names else None
    lines, worker = [], -1
    for record in sorted(records(datapath), key=lambda record: record.flow.worker):
        if not keep(record):
            continue
        if with_header and record.flow.worker != worker:
            worker = record.flow.worker
            lines.append("flow-dump from the main thread:" if not worker else
                         f"flow-dump from pmd on cpu core: {worker - 1}")
        lines.append(format_record(record, ports, verbose, tells_datapath))
    return "\n".join(lines)


class Feature(NamedTuple):
    """A row of dpif/show-dp-features: its name for dpif/set-dp-features (or ""), how it is shown,
    and its bit, or the value that it always has."""

    name: str
    shown: str
    bit: str = ""
    value: str = "Yes"
    can_be_set: bool = True


FEATURES: tuple[Feature, ...] = (
    Feature("masked_set_action", "Masked set action", "DPF_MASKED_SET"),
    Feature("tnl_push_pop", "Tunnel push pop", "DPF_TNL_PUSH_POP"),
    Feature("ufid", "Ufid", "DPF_UFID"),
    Feature("trunc", "Truncate action", "DPF_TRUNC"),
    Feature("clone", "Clone action", "DPF_CLONE"),
    Feature("sample_nesting", "Sample nesting", "DPF_DEEP_SAMPLE", "10"),
    Feature("ct_eventmask", "Conntrack eventmask", "DPF_CT_EVENTMASK"),
    Feature("ct_clear", "Conntrack clear", "DPF_CT_CLEAR"),
    Feature("max_hash_alg", "Max dp_hash algorithm", "", "1"),
    Feature("check_pkt_len", "Check pkt length action", "DPF_CHECK_PKT_LEN"),
    Feature("ct_timeout", "Conntrack timeout policy", "DPF_CT_TIMEOUT"),
    Feature("explicit_drop_action", "Explicit Drop action", "DPF_EXPLICIT_DROP"),
    Feature("lb_output_action", "Optimized Balance TCP mode", "DPF_LB_OUTPUT"),
    Feature("ct_zero_snat", "Conntrack all-zero IP SNAT", "DPF_CT_ZERO_SNAT"),
    Feature("add_mpls", "MPLS Label add", "DPF_ADD_MPLS"),
    Feature("psample", "psample action", "DPF_PSAMPLE"),
    Feature("max_vlan_headers", "Max VLAN headers", "", "vlan", False),
    Feature("max_mpls_depth", "Max MPLS depth", "", "3", False),
    Feature("recirc", "Recirc", "DPF_RECIRC", can_be_set=False),
    Feature("ct_state", "CT state", "DPF_CT_STATE", can_be_set=False),
    Feature("ct_zone", "CT zone", "DPF_CT_ZONE", can_be_set=False),
    Feature("ct_mark", "CT mark", "DPF_CT_MARK", can_be_set=False),
    Feature("ct_label", "CT label", "DPF_CT_LABEL", can_be_set=False),
    Feature("ct_state_nat", "CT state NAT", "DPF_CT_STATE_NAT", can_be_set=False),
    Feature("ct_orig_tuple", "CT orig tuple", "DPF_CT_ORIG_TUPLE", can_be_set=False),
    Feature("ct_orig_tuple6", "CT orig tuple for IPv6", "DPF_CT_ORIG_TUPLE6", can_be_set=False),
    Feature("nd_ext", "IPv6 ND Extension", "DPF_ND_EXT", can_be_set=False),
)


_SHALLOW = 3                    # so many nested samples are not enough for a clone


def show_features(datapath: Datapath) -> str:
    """dpif/show-dp-features: what there was at the start."""
    return "\n".join(
        f"{row.shown}: {datapath.vlan_limit if row.value == 'vlan' else row.value}"
        for row in FEATURES)


def set_features(datapath: Datapath, args: list[str]) -> str | None:
    """dpif/set-dp-features BRIDGE [NAME [VALUE]]; complaints are answers like others."""
    if not args:
        return "\n".join(_describe(datapath, row) for row in FEATURES)
    row = next((row for row in FEATURES if row.name == args[0] and row.can_be_set), None)
    if row is None:
        return "Unexpected support field"
    if len(args) == 1:
        return _describe(datapath, row)
    return (_set_number if row.value != "Yes" else _set_boolean)(datapath, row, args[1])


def _set_boolean(datapath: Datapath, row: Feature, word: str) -> str | None:
    if word.lower() not in ("true", "false"):
        return "Boolean value expected"
    datapath.set_feature(SEAM[row.bit], word.lower() == "true")
    return None


def _set_number(datapath: Datapath, row: Feature, word: str) -> str | None:
    digits = word.removeprefix("-")
    if not digits.isdigit():
        return "Integer number expected"
    if digits != word:
        return "Negative number not expected"
    if int(word) > int(row.value):
        return "Can not set value beyond the datapath capability"
    datapath.numbers[row.name] = int(word)
    if row.bit:
        datapath.set_feature(SEAM[row.bit], int(word) > _SHALLOW)
    return None


def _describe(datapath: Datapath, row: Feature) -> str:
    boot = (row.value if row.value.isdigit() else
            str(datapath.vlan_limit) if row.value == "vlan" else "true")
    now = (str(datapath.numbers.get(row.name, boot)) if boot != "true" else
           str(bool(datapath.features & SEAM[row.bit])).lower())
    return f"{row.name} ({row.shown}) : [run time]:{now}, [boot time]:{boot}"


class _Answered(CommandError):
    """Lines as the reference prints them, of which the errors name the program themselves."""

    def __init__(self, lines: list[str], wrong: str = "") -> None:
        super().__init__("\n".join((*lines, f"ovs-vswitchd: {wrong}") if wrong else lines))


class Options(NamedTuple):
    """What stands before a command's arguments; `names` None: as the command likes it."""

    more: bool = False
    statistics: bool = False
    names: bool | None = None
    clear: bool = False
    may_create: bool = False
    read_only: bool = False


_OPTIONS: dict[str, tuple[str, bool]] = {
    "-m": ("more", True), "--more": ("more", True),
    "-s": ("statistics", True), "--statistics": ("statistics", True),
    "--names": ("names", True), "--no-names": ("names", False),
    "--clear": ("clear", True), "--may-create": ("may_create", True),
    "--read-only": ("read_only", True),
}


def take_options(args: list[str]) -> tuple[Options, list[str]]:
    """(options, what follows them). Raises CommandError."""
    options = Options()
    for at, arg in enumerate(args):
        if arg == "--":
            return options, args[at + 1:]
        if not arg.startswith("-") or arg == "-":
            return options, args[at:]
        if arg not in _OPTIONS:
            raise CommandError(f"Unrecognized option {arg if arg.startswith('--') else arg[:2]}")
        name, value = _OPTIONS[arg]
        options = options._replace(**{name: value})
    return options, []


class Dpctl:
    """Handlers over the living switch; `settle` finishes what has been started."""

    def __init__(self, switch: Switch, settle: Callable[[], object]):
        self.switch = switch
        self.settle = settle

    # -- finding a datapath

    def find(self, name: str) -> Datapath | None:
        """The datapath "TYPE@NAME"; "NAME" is of type system."""
        kind, at, rest = name.partition("@")
        for datapath in self.switch.datapaths.values():
            if (datapath.kind, datapath.name) == ((kind, rest) if at else ("system", name)):
                return datapath
        return None

    def open(self, name: str) -> Datapath:
        """The datapath of this name. Raises CommandError."""
        datapath = self.find(name)
        if datapath is None:
            raise CommandError(f"opening datapath ({_NO_FAMILY})")
        return datapath

    def only(self) -> Datapath:
        """The datapath where there is but one. Raises CommandError."""
        if len(self.switch.datapaths) == 1:
            return next(iter(self.switch.datapaths.values()))
        raise CommandError("no datapaths exist (Invalid argument)" if not self.switch.datapaths else
                           "multiple datapaths, specify one (Invalid argument)")

    def choose(self, args: list[str], n_others: int) -> tuple[Datapath, list[str]]:
        """(datapath, other arguments) of "[dp] others"."""
        if len(args) > n_others:
            datapath = self.find(args[0])
            if datapath is None:
                raise CommandError("datapath not found (Invalid argument)")
            return datapath, args[1:]
        return self.only(), args

    # -- commands

    def show(self, options: Options, args: list[str]) -> str:
        self.settle()
        found: list[tuple[str, Datapath | None]] = [(name, self.find(name)) for name in args]
        if not args:
            found = sorted(self.switch.datapaths.items())
        lines = [f"ovs-vswitchd: opening datapath {name} failed ({_NO_FAMILY})"
                 if datapath is None else self._show(datapath, options.statistics)
                 for name, datapath in found]
        if any(datapath is None for _, datapath in found):
            raise _Answered(lines)
        return "\n".join(lines)

    def _show(self, datapath: Datapath, with_statistics: bool) -> str:
        stats = face.datapath_stats(datapath.handle)
        lines = [f"{datapath.title}:",
                 f"  lookups: hit:{stats.n_hit} missed:{stats.n_missed} lost:{stats.n_lost}",
                 f"  flows: {stats.n_flows}"]
        for number, netdev in sorted(datapath.ports.items()):
            suffix = f" ({describe_netdev(netdev, datapath)})" if netdev.kind != "system" else ""
            lines.append(f"  port {number}: {netdev.name}{suffix}")
            if with_statistics:
                counts = face.port_stats(datapath.handle, number)
                lost: tuple[object, ...] = ("?",) * 4
                if netdev.counts_losses:
                    lost = (counts.rx_errors, counts.rx_dropped + netdev.n_overruns(),
                            counts.tx_errors, counts.tx_dropped)
                lines += [
                    f"    RX packets:{counts.rx_packets} errors:{lost[0]} "
                    f"dropped:{lost[1]} overruns:? frame:?",
                    f"    TX packets:{counts.tx_packets} errors:{lost[2]} "
                    f"dropped:{lost[3]} aborted:? carrier:?",
                    "    collisions:?",
                    f"    RX bytes:{_readable(counts.rx_bytes)}  "
                    f"TX bytes:{_readable(counts.tx_bytes)}"]
        return "\n".join(lines)

    def dump_dps(self, options: Options, args: list[str]) -> str:
        return "\n".join(datapath.title for _, datapath in sorted(self.switch.datapaths.items()))

    def dump_flows(self, options: Options, args: list[str]) -> str:
        names = options.more if options.names is None else options.names
        others = list(args)
        wanted: dict[str, str] = {}
        while others and (found := _FILTER.match(others[-1])) and found[1] not in wanted:
            wanted[found[1]] = found[2]
            others.pop()
        if "pmd" in wanted and not re.match(r"\s*[-+]?\d", wanted["pmd"]):
            raise CommandError("")
        types = wanted.get("type", "ovs").split(",")
        if any(word not in _TYPES for word in types if word):
            raise CommandError(f"Failed to parse type ({wanted['type']}) (Invalid argument)")
        datapath, _ = self.choose(others if len(others) == 1 else [], 0)
        self.settle()
        if not {"all", "ovs", "non-offloaded"} & set(types) or (
                "pmd" in wanted and int(re.match(r"\s*[-+]?\d+", wanted["pmd"])[0]) != -1):
            return ""               # No flow is elsewhere.
        keep = (self._filter(wanted["filter"], datapath) if "filter" in wanted
                else (lambda record: True))
        return dump_flows(datapath, options.more, names, keep, with_header="pmd" not in wanted)

    @staticmethod
    def _filter(written: str, datapath: Datapath) -> Callable[[Record], bool]:
        """filter=: flows that a packet of this (OpenFlow) description could meet."""
        from vswitchd.openflow import packed        # the OpenFlow text codec, only for filters
        from vswitchd.openflow.match import Match
        from vswitchd.openflow.text import FlowTextError, parse_exact_fields
        try:
            fields = parse_exact_fields(written, datapath.port_numbers())
        except FlowTextError as error:
            raise CommandError(f"Failed to parse filter ({error})") from None
        key, mask = map(text.unpack, packed.pack(Match(fields)))

        def keep(record: Record) -> bool:
            return all(not (record.key.get(name, 0) ^ key.get(name, 0))
                       & care & record.mask.get(name, 0) for name, care in mask.items())

        return keep

    def _parse(self, datapath: Datapath, written: str, problem: str, misfit: str
               ) -> tuple[bytes, bytes]:
        """(key, mask); `problem` is what is said of a text with an error, `misfit` of one whose
        attributes do not go together."""
        try:
            key, mask = text.parse_whole_flow(written, datapath.port_numbers(),
                                              datapath.vlan_limit)
        except text.TextError as error:
            raise CommandError(problem.format(error)) from None
        except text.UnfitError:
            raise CommandError(misfit) from None
        mask.setdefault("recirc_id", 0xffffffff)
        return text.pack(key), text.pack(mask)

    def _actions(self, datapath: Datapath, written: str) -> bytes:
        try:
            return parse_actions(written, datapath.port_numbers())
        except text.TextError:
            raise CommandError("parsing actions (Invalid argument)") from None

    def _put(self, options: Options, args: list[str], may_exist: bool, must_exist: bool) -> None:
        if options.clear:
            raise CommandError("updating flow table (Operation not supported)")
        datapath, (flow, actions) = self.choose(args, 2)
        key, mask = self._parse(datapath, flow, "parsing flow key ({}) (Invalid argument)",
                                "updating flow table (Invalid argument)")
        try:
            face.flow_put(datapath.handle, key, mask, self._actions(datapath, actions),
                          may_exist, must_exist and not options.may_create)
        except face.DatapathError as error:
            raise CommandError(f"updating flow table ({error.reason})") from None

    def add_flow(self, options: Options, args: list[str]) -> None:
        self._put(options, args, False, False)

    def mod_flow(self, options: Options, args: list[str]) -> None:
        self._put(options, args, True, True)

    def _from_file(self, options: Options, args: list[str], command: str) -> str | None:
        """Do what each line says. What is wrong with a line, or that there is no such file, is an
        answer like others, and the other lines are carried out."""
        try:
            with open(args[-1], encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError as error:
            return f'ovs-vswitchd: Opening file "{args[-1]}" failed ({error.strerror})'
        datapath, _ = self.choose(args, 1)
        handlers = {"add": (self.add_flow, 2), "modify": (self.mod_flow, 2),
                    "delete": (self.del_flow, 1)}
        problems = []
        for number, line in enumerate(lines, 1):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            word, _, rest = line.partition(" ")
            handler, n_words = handlers[word if word in handlers else command]
            words = (rest if word in handlers else line).split(None, n_words - 1)
            try:
                if len(words) < n_words:
                    raise CommandError(f"Failed parsing line number {number}, skipped!")
                handler(options, [datapath.title, *words])
            except CommandError as error:
                problems.append(f"ovs-vswitchd: {error}")
        return "\n".join(problems) or None

    def add_flows(self, options: Options, args: list[str]) -> str | None:
        return self._from_file(options, args, "add")

    def mod_flows(self, options: Options, args: list[str]) -> str | None:
        return self._from_file(options, args, "modify")

    def _find_flow(self, datapath: Datapath, written: str) -> Record | None:
        """The megaflow with a ufid, None without one."""
        return next((record for record in records(datapath) if is_named(record, written, {})),
                    None)

    def get_flow(self, options: Options, args: list[str]) -> str:
        datapath, (written,) = self.choose(args, 1)
        if not _UFID.fullmatch(written):
            return "ovs-vswitchd: parsing flow ufid"
        self.settle()
        names = datapath.port_names() if options.names or options.more else None
        record = self._find_flow(datapath, written)
        if record is None:
            raise CommandError("getting flow (No such file or directory)")
        return format_record(record, names, options.more)

    def del_flow(self, options: Options, args: list[str]) -> str | None:
        datapath, (written,) = self.choose(args, 1)
        if _UFID.fullmatch(written):
            record = self._find_flow(datapath, written)
        else:
            key, mask = self._parse(datapath, written, "{} (Invalid argument)", _NO_FLOW)
            record = next((record for record in records(datapath) if record.flow.mask == mask
                           and record.flow.key == _masked(key, mask)), None)
        if record is None:
            raise CommandError(_NO_FLOW)
        face.flow_del(datapath.handle, record.flow.key, record.flow.mask)
        return format_counts(record.flow) if options.statistics else None

    def del_flows(self, options: Options, args: list[str]) -> str | None:
        if len(args) == 2 or args and self.find(args[0]) is None:
            return self._from_file(options, args, "delete")
        datapath, _ = self.choose(args, 0)
        self.settle()
        face.flows_flush(datapath.handle)
        return None

    def add_dp(self, options: Options, args: list[str]) -> None:
        kind, _, name = args[0].rpartition("@")
        kind = kind or "system"
        if kind not in self.switch.datapath_types():
            raise CommandError(f"add_dp ({_NO_FAMILY})")
        if self.find(args[0]):
            raise CommandError("add_dp (File exists)")
        self.switch.add_datapath(kind, name)
        if args[1:]:
            self.add_if(options, args)

    def del_dp(self, options: Options, args: list[str]) -> None:
        datapath = self.open(args[0])
        if any(bridge.datapath is datapath for bridge in self.switch.bridges.values()):
            raise CommandError("del_dp (Device or resource busy)")
        self.switch.delete_datapath(datapath)

    def add_if(self, options: Options, args: list[str]) -> None:
        datapath = self.open(args[0])
        self._each(args[1:], lambda spec: self._add_port(datapath, spec))

    def _add_port(self, datapath: Datapath, spec: str) -> None:
        name, *words = spec.split(",")
        options = dict(word.partition("=")[::2] for word in words)
        kind = options.pop("type", "dummy" if datapath.kind == "dummy" else "system")
        wanted = options.pop("port_no", None)
        if datapath.kind == "dummy" and kind == "internal":
            kind = "dummy-internal"
        try:
            netdev = make(Interface(name, "", kind, options=tuple(sorted(options.items()))),
                          self.switch.dummy is not None)
            netdev.open()
        except DeviceError as error:
            reason = str(error).rpartition("(")[2].rstrip(")")
            raise CommandError(f"{name}: failed to open network device ({reason})") from None
        try:
            datapath.release(datapath.attach(netdev, int(wanted) if wanted else None))
        except face.DatapathError as error:
            raise CommandError(
                f"adding {name} to {datapath.title} failed ({error.reason})") from None

    @staticmethod
    def _each(specs: list[str], handle: Callable[[str], None]) -> None:
        """Handles all ports that are named, and then complains of those that are wrong."""
        problems = []
        for spec in specs:
            try:
                handle(spec)
            except CommandError as error:
                problems.append(str(error))
        if problems:
            raise CommandError("\novs-vswitchd: ".join(problems))

    def del_if(self, options: Options, args: list[str]) -> None:
        datapath = self.open(args[0])

        def delete(name: str) -> None:
            numbers = datapath.port_numbers()
            if name not in numbers and not name.isdigit():
                raise CommandError(f"no port named {name}")
            number = int(name) if name.isdigit() else numbers[name]
            if number not in datapath.ports:
                raise CommandError(f"deleting port {name} from {args[0]} failed (No such device)")
            datapath.detach(number).close(True)

        self._each(args[1:], delete)

    def set_if(self, options: Options, args: list[str]) -> None:
        datapath = self.open(args[0])

        def change(spec: str) -> None:
            name = spec.split(",")[0]
            if name not in datapath.port_numbers():
                raise CommandError(f"{name}: failed to query port in {args[0]} (No such device)")

        self._each(args[1:], change)

    def parse(self, options: Options, args: list[str]) -> str:
        lines = []
        for written in args:
            try:
                lines.append(format_actions(parse_actions(written)))
            except text.TextError:
                raise _Answered(lines, "odp_actions_from_string (Invalid argument)") from None
        return "\n".join(lines)

    def normalize(self, options: Options, args: list[str]) -> str:
        lines, wrong = normalize(*args[:2], args[2:])
        if wrong:
            raise _Answered(lines, wrong)
        return "\n".join(lines)

    def list_commands(self, options: Options, args: list[str]) -> str:
        width = max(len(row.name) for row in self.rows())
        return "The available commands are:\n" + "\n".join(
            f"  {row.name.removeprefix('dpctl/'):<{width - 4}}{row.usage}".rstrip()
            for row in self.rows())

    def rows(self) -> tuple[Command, ...]:
        """The table; errors name the program, as a tool's do."""
        def named(row: Command) -> Callable:
            def run(args: list[str]):
                options, rest = take_options(args)
                if len(rest) < row.min_args:
                    raise CommandError(f'"{row.name}" command requires at least {row.min_args} '
                                       "arguments")
                try:
                    return row.handler(options, rest)
                except _Answered:
                    raise
                except CommandError as error:
                    raise CommandError(f"ovs-vswitchd: {error}" if str(error) else "") from None
            return run

        return tuple(row._replace(handler=named(row)) for row in self._rows())

    def _rows(self) -> tuple[Command, ...]:
        return (
            Command("dpctl/add-dp", "dp [iface...]", 1, None, self.add_dp),
            Command("dpctl/add-flow", "[dp] flow actions", 2, 3, self.add_flow),
            Command("dpctl/add-flows", "[dp] file", 1, 2, self.add_flows),
            Command("dpctl/add-if", "dp iface...", 2, None, self.add_if),
            Command("dpctl/del-dp", "dp", 1, 1, self.del_dp),
            Command("dpctl/del-flow", "[dp] flow", 1, 2, self.del_flow),
            Command("dpctl/del-flows", "[dp] [file]", 0, 2, self.del_flows),
            Command("dpctl/del-if", "dp iface...", 2, None, self.del_if),
            Command("dpctl/dump-dps", "", 0, 0, self.dump_dps),
            Command("dpctl/dump-flows",
                    "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]", 0, 6, self.dump_flows),
            Command("dpctl/get-flow", "[dp] ufid", 1, 2, self.get_flow),
            Command("dpctl/list-commands", "", 0, None, self.list_commands),
            Command("dpctl/mod-flow", "[dp] flow actions", 2, 3, self.mod_flow),
            Command("dpctl/mod-flows", "[dp] file", 1, 2, self.mod_flows),
            Command("dpctl/normalize-actions", "flow actions", 2, None, self.normalize),
            Command("dpctl/parse-actions", "actions", 1, None, self.parse),
            Command("dpctl/set-if", "dp iface...", 2, None, self.set_if),
            Command("dpctl/show", "[-s] [dp...]", 0, None, self.show),
        )


# Options that are shown behind a device's kind.
_SHOWN_OPTIONS = {"patch": ("peer",), "dummy": ("pstream", "stream"),
                  "dummy-pmd": ("pstream", "stream")}


def describe_netdev(netdev: Netdev, datapath: Datapath) -> str:
    """"patch: peer=x", "dummy": kind and configuration as dpif/show and dpctl/show print them.

    In the netdev datapath internal ports are taps, and are called so.
    """
    kind = "tap" if netdev.kind == "internal" and datapath.kind == "netdev" else netdev.kind
    options = dict(netdev.interface.options)
    shown = ", ".join(f"{key}={options[key]}" for key in _SHOWN_OPTIONS.get(netdev.kind, ())
                      if key in options)
    return f"{kind}: {shown}" if shown else kind


def _readable(n_bytes: int) -> str:
    """Bytes as dpctl/show -s prints them, with a unit in parentheses where there are many."""
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n_bytes >= size:
            return f"{n_bytes} ({n_bytes / size:.1f} {unit})"
    return str(n_bytes)
