"""The nursery tree of ovs-vswitchd: every long-running task is started here.

    serve
    +-- control socket          appctl commands (rpc/unixctl.py, commands.py)
    +-- replica                 follows the database (ovsdb_server/client)
    +-- configure               changes of the database -> derive, diff, apply -> status back
    +-- report                  status and statistics -> database, on change and every few seconds
    +-- pump                    timers, pumped ports, freeing what was deleted (datapath library)
    +-- listen (per queue)      upcalls: packet-ins, events, frames of dummy streams
    +-- links                   devices that come, go and change
    +-- streams                 wires of dummy ports
    +-- agent                   OpenFlow sockets: one task per bridge, controller and connection

All tasks share one thread; none holds it for more than about a millisecond. `settle` is how a task
finishes what packets and changes have started before it answers.
"""

import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import trio

from datapath import face, upcall as upcalls
from ovsdb_server import vlog
from ovsdb_server.client.replica import Replica
from ovsdb_server.client.transaction import Status, Transaction
from ovsdb_server.coverage import COVERAGE
from ovsdb_server.daemon import run_directory
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc.tls_files import TlsContexts, TlsFiles
from schema.flow.drops import DROPS
from vswitchd.config import status
from vswitchd.config.apply import apply
from vswitchd.config.derive import derive
from vswitchd.config.desired import Switch as Desired
from vswitchd.config.diff import diff
from vswitchd.openflow.action_decoder import allow_debug_actions
from vswitchd.openflow.agent import Agent
from vswitchd.packet_log import follow_levels, print_records
from vswitchd.switch.leftover import FILE_NAME, Leftovers
from vswitchd.switch.stream import Streams
from vswitchd.switch.switch import Switch

VERSION = "4.0.90"
_log = vlog.module("bridge")
_RATE = vlog.RateLimit(60, 20)

# What of the database is followed.
_TABLES = ("Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Flow_Table",
           "Manager", "SSL")
_FREED = 256                    # deleted objects that are freed at a time
_PATIENCE = 0.02                # seconds until then: who had them deleted wants to go on
_BUSY = 0.0003                  # seconds that others take when there is something to do...
_RESPITE = 0.005                # ...and for which they are then left alone
# Counters that are there though nothing drops for these reasons.
_NEVER_DROPPED = ("datapath_drop_tunnel_push_error", "datapath_drop_tunnel_pop_error",
                  "datapath_drop_invalid_bond", "datapath_drop_invalid_tnl_port")
_MAX_ROUNDS = 10_000            # of settling: a loop of packets must not hold the daemon


def load_schema() -> DatabaseSchema:
    """The schema that this program knows."""
    path = Path(__file__).parent.parent / "schema" / "vswitch.ovsschema"
    return DatabaseSchema.from_json(json.loads(path.read_text()))


class Supervisor:
    """State of the running daemon. `dummy` and `has_system` as for Switch; `remote` is the
    database."""

    def __init__(self, daemon, clock, remote: str, dummy: str | None, has_system: bool,
                 tls: TlsFiles = TlsFiles()):
        self.daemon = daemon
        self.tls = tls
        self.contexts = TlsContexts()
        self.clock = clock
        self.dummy = dummy
        self.switch = Switch(dummy, has_system)
        schema = load_schema()
        columns = {name: [column.name for column in schema.tables[name].named_columns]
                   for name in _TABLES}
        self.replica = Replica(remote, schema, columns, lock="ovs_vswitchd",
                               tls_context=lambda: self.tls_context(False))
        self.desired = Desired()
        self.agent: Agent | None = None
        self.streams: Streams | None = None
        self.stopping = trio.Event()
        self.must_clean_up = False
        self.report_wanted = trio.Event()
        self.is_configured = False
        # Held while the switch is taken from one configuration to the next, which may be in turns.
        self.changing = trio.Lock()
        self.complained: set = set()
        self.may_wait = True            # for flows that are being restored
        self.cur_cfg: int | None = None
        self.leftovers = Leftovers(Path(run_directory()) / FILE_NAME)

    # -- time

    def follow_clock(self) -> None:
        """Under --enable-dummy the library lives on the daemon's steerable clock."""
        if self.dummy is not None:
            face.clock(True, int(self.clock.now() * 1000))

    def settle(self) -> bool:
        """Finishes what packets and changes have started; whether there was anything."""
        self.follow_clock()
        follow_levels(self.switch)
        worked = False
        for _ in range(_MAX_ROUNDS):
            count = face.pump()
            for queue in (upcalls.Queue.EVENT, upcalls.Queue.OPENFLOW):
                count += self.agent.dispatch(queue)
            count += self.drain_frames() + print_records(self.switch)
            if not count:
                break
            worked = True
        return worked

    def drain_frames(self) -> int:
        """Hands frames that dummy ports sent to their streams."""
        count = 0
        for upcall in upcalls.take(upcalls.Queue.FRAMES):
            count += 1
            for datapath in self.switch.datapaths.values():
                if datapath.handle == upcall.dp and upcall.odp in datapath.ports:
                    datapath.ports[upcall.odp].transmit(upcall.frame)
        return count

    def tls_context(self, is_server: bool) -> ssl.SSLContext:
        """The context for connections in one direction, by the SSL row of the database, else by
        the command line. Raises OSError."""
        files = self.tls
        for row in self.replica.rows.get("SSL", {}).values():
            key, certificate, authority = (
                (row[name] or ("",))[0] for name in ("private_key", "certificate", "ca_cert"))
            files = files._replace(private_key=key, certificate=certificate,
                                   ca_certificate=authority,
                                   bootstraps=(row["bootstrap_ca_cert"] or (False,))[0])
        return self.contexts.get(files, is_server)

    # -- tasks

    async def pump(self) -> None:
        """Lets the library do what its timers ask for, and free what was deleted."""
        fd = face.reclaim_fd()
        while True:
            self.settle()
            self.agent.tick()
            COVERAGE.tick(self.clock.now())
            while face.reclaim(_FREED):
                began = perf_counter()
                await trio.lowlevel.checkpoint()
                if perf_counter() - began > _BUSY:
                    await trio.sleep(_RESPITE)
            wait = (face.deadline() - self.clock.now() * 1000) / 1000
            # A second is the grain of rule timeouts and of fail-open.
            with trio.move_on_after(min(max(wait, 0.01), 1.0)):
                await trio.lowlevel.wait_readable(fd)
                await trio.sleep(_PATIENCE)

    async def listen(self, queue: upcalls.Queue) -> None:
        """Settles whenever an upcall queue is not empty."""
        fd = upcalls.fd(queue)
        while True:
            await trio.lowlevel.wait_readable(fd)
            self.settle()
            await trio.lowlevel.checkpoint()

    async def follow_links(self) -> None:
        """Attaches devices that appear and detaches those that vanish."""
        from vswitchd.switch.link import Monitor    # netlink is not needed without system ports
        monitor = Monitor()
        try:
            while True:
                await trio.lowlevel.wait_readable(monitor.fileno())
                if monitor.drain():
                    async with self.changing:
                        self.take_links()
                # Changes come in crowds; one look at the end of a crowd is enough.
                await trio.sleep(0.05)
        finally:
            monitor.close()

    def take_links(self) -> None:
        """Makes the switch follow the devices that are there now."""
        if self.switch.follow_links():
            self.publish()
            self.record_devices()
            self.agent.ports_changed()
            self.want_report()

    def publish(self) -> None:
        """Hands changed bridges to the datapath."""
        self.switch.publish()

    def record_devices(self) -> None:
        """Keeps the list of devices that a crash would leave behind."""
        try:
            self.leftovers.follow(self.switch.outliving())
        except OSError as error:
            _log.info(f"cannot write {FILE_NAME}: {error.strerror}", _RATE)

    def count_drops(self) -> None:
        """Has coverage/show tell what the datapaths dropped."""
        drops = self.switch.drops()
        for row in DROPS:
            if row.counter:
                COVERAGE.counter(row.counter).total = drops[row.name]
        for name in _NEVER_DROPPED:
            COVERAGE.counter(name)

    def want_report(self) -> None:
        """Has status written soon."""
        self.report_wanted.set()

    async def configure(self) -> None:
        """Makes the switch what the database asks for, again and again."""
        feed = self.replica.subscribe()
        while True:
            await feed.next()
            if not self.replica.has_lock:
                if self.replica.is_lock_contended:
                    vlog.module("vswitchd").err("another ovs-vswitchd process is running, "
                                                "disabling this process until it goes away", _RATE)
                continue
            top = self.top()
            desired, complaints = derive(self.replica.rows, self.dummy, self.switch.has_system,
                                         run_directory())
            desired = self.without_late_wait(desired)
            for complaint in complaints:
                if complaint not in self.complained:
                    getattr(_log, complaint.level)(complaint.text)
            self.complained = set(complaints)
            actions = diff(self.desired, desired)
            async with self.changing:
                await apply(actions, self.switch, self.agent)
                self.desired = desired
                if self.streams is not None:
                    self.streams.follow()
                if self.switch.retry_failed():
                    self.publish()
                self.agent.ports_changed()
                self.settle()
                if not self.is_configured:
                    self.leftovers.clear(self.switch.outliving())
                self.record_devices()
                transaction = self.gather_status(top)
            await self.write_status(transaction)
            if not self.is_configured:
                self.is_configured = True
                self.daemon.ready()
                vlog.module("vswitchd").info(f"ovs-vswitchd (Open vSwitch) {VERSION}")

    def without_late_wait(self, desired: Desired) -> Desired:
        """Flows are waited for from the start or not at all."""
        self.may_wait &= desired.settings.flow_restore_wait or self.top() is None
        if self.may_wait:
            return desired
        return replace(desired, settings=replace(desired.settings, flow_restore_wait=False))

    async def report(self) -> None:
        """Writes status and statistics when something changed and at each interval."""
        while True:
            with trio.move_on_after(self.switch.settings.stats_interval):
                await self.report_wanted.wait()
            self.report_wanted = trio.Event()
            if self.is_configured and self.replica.is_connected:
                async with self.changing:
                    transaction = self.gather_status()
                await self.write_status(transaction)

    # -- to the database

    def gather_status(self, top=None) -> Transaction:
        """What is true of the switch, where the database says something else.

        `top` is the (uuid, row) of the Open_vSwitch record that has just been carried out.
        """
        self.settle()
        transaction = self.replica.transaction()
        self.add_status(transaction)
        if top is not None:
            uuid, row = top
            self.update(transaction, "Open_vSwitch", uuid,
                        {"cur_cfg": row["next_cfg"], **status.switch_status(self.switch)})
        return transaction

    async def write_status(self, transaction: Transaction) -> None:
        """Writes what `gather_status` found."""
        outcome = await self.replica.commit(transaction)
        if outcome is Status.ERROR:
            _log.warn(f"cannot write status: {transaction.error}", _RATE)

    def top(self):
        """(uuid, row) of the Open_vSwitch record, None in an empty database."""
        return next(iter(self.replica.rows.get("Open_vSwitch", {}).items()), None)

    def add_status(self, transaction: Transaction) -> None:
        """Adds what brings all status columns up to date."""
        for bridge in self.switch.bridges.values():
            complaints = bridge.complaints(self.switch.bridges)
            self.update(transaction, "Bridge", bridge.desired.uuid, status.bridge_status(bridge))
            for name, interface in bridge.wanted.items():
                if not interface.uuid:
                    continue
                wanted = status.interface_status(bridge, name, complaints.get(name))
                if name in bridge.ports:
                    wanted |= status.interface_statistics(bridge, bridge.ports[name])
                self.update(transaction, "Interface", interface.uuid, wanted)
        for uuid, columns in self.agent.controller_status().items():
            self.update(transaction, "Controller", uuid, columns)

    def update(self, transaction: Transaction, table: str, uuid: str,
               wanted: status.Columns) -> None:
        """Adds an update of what differs of `wanted`, if anything does."""
        row = self.replica.rows.get(table, {}).get(uuid)
        if row is not None:
            columns = status.changes(row, wanted)
            if columns:
                transaction.update(table, uuid, columns)

    # -- life

    def stop(self, cleanup: bool) -> None:
        """Ends the daemon; with `cleanup` everything that outlives it goes too."""
        self.must_clean_up = cleanup
        self.stopping.set()

    async def serve(self, control, make_commands: Callable) -> None:
        """Runs until `stop`. `control` is the control socket or None; `make_commands(self)`
        returns the rows it gets once the switch lives."""
        self.follow_clock()
        COVERAGE.add_source(self.count_drops)
        if self.dummy is not None:
            allow_debug_actions()
        async with trio.open_nursery() as nursery:
            self.agent = Agent(nursery, self.daemon, self.clock, self.settle, self.publish,
                               self.want_report, self.tls_context)
            if self.dummy is not None:
                self.streams = Streams(nursery, self.switch, self.settle)
            if control is not None:
                control.add(make_commands(self))
                control.n_turns_before = 3      # what OpenFlow peers have said before counts
                await nursery.start(control.serve)
            self.clock.pump_hooks.append(self.settle)
            nursery.start_soon(self.replica.serve)
            nursery.start_soon(self.configure)
            nursery.start_soon(self.report)
            nursery.start_soon(self.pump)
            for queue in (upcalls.Queue.OPENFLOW, upcalls.Queue.EVENT, upcalls.Queue.FRAMES):
                nursery.start_soon(self.listen, queue)
            if self.switch.has_system or self.dummy is None:
                nursery.start_soon(self.follow_links)
            await self.stopping.wait()
            # The answer to `exit` leaves before the socket closes.
            await self.clock.settle()
            nursery.cancel_scope.cancel()
        self.switch.close(self.must_clean_up)
        if self.must_clean_up:
            self.record_devices()
        face.workers_set(0)
