"""How a server gets to the etcd where its cluster meets, and stays there.

    stub file --(join)--> an etcd of this server's own, member of the others'
    sole server --(`wait_alone`: another server asks to join)--> an etcd of its own, the first
    file with FILE.etcd --> the etcd that it had
    etcd: address --> somebody else's

Owner: `member.ClusterMember`.  Trio thread only.
"""

import os
import shutil
import ssl
from collections.abc import Awaitable, Callable
from random import Random

import trio

from ovsdb_server import vlog
from ovsdb_server.service.cluster import snapshots
from ovsdb_server.service.cluster.client import EtcdClient, EtcdError
from ovsdb_server.service.cluster.joining import Door, JoinError, admit, find_cluster
from ovsdb_server.service.cluster.supervisor import (Admission, Etcd, NoEtcd, candidate,
                                                     choose_urls, directory_of, find_program)
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.etcd import (KV_RANGE, KV_TXN, LEASE_REVOKE, Keys, Snapshot, State,
                                       keep_alive)
from ovsdb_server.storage.etcd_member import REPLY_TIMEOUT

_log = vlog.module("raft")
_LIMIT = vlog.RateLimit(5, 5)

_JOIN_INTERVAL = 0.5
_JOIN_TIMEOUT = 10.0

# The first etcd of a cluster must run within this time, or the database goes on without.
_GROW_TIMEOUT = 30.0


class Meeting:
    """The way of one database's server to etcd.

    `client` asks it, once it is reached; `etcd` is the process, if it is this server's own;
    `reason` says what is being waited for.  `note_removed()` is called when the other members have
    taken this server's etcd out.
    """

    def __init__(self, server, hosted: HostedDatabase, log: ClusterLog, nursery: trio.Nursery,
                 note_removed: Callable[[], None]) -> None:
        self.client: EtcdClient | None = None
        self.etcd: Etcd | None = None
        self.reason = ""
        self._server = server
        self._hosted = hosted
        self._log = log
        self._header = log.header
        self._keys = Keys(log.header.name)
        self._directory = directory_of(hosted.path)
        self._nursery = nursery
        self._note_removed = note_removed
        self._door: Door | None = None
        self._grow: Callable[[], Awaitable[None]] | None = None
        self._growing = trio.Lock()
        self._grown = trio.Event()
        self._rng = Random()

    @property
    def _address(self) -> str:
        return self._header.local_address

    # Reaching it.

    async def reach(self) -> None:
        """Reach etcd, and be one of its members.  Raises: NoEtcd."""
        if self._address.startswith("etcd:"):
            parts = self._address.removeprefix("etcd:").split(",")
            self.client = EtcdClient([f"http://{part}" for part in parts])
            if not self._header.is_joining:
                await self._until_ready()
                await self.found()
            return
        find_program()
        if self.etcd is None:
            admission = Admission.load(self._directory)
            if admission is not None:
                await self._start(admission)
            else:
                await self._join()
        if self._address.startswith("unix:") and self._door is None:
            self._open_door()

    async def _start(self, admission: Admission) -> None:
        self._launch(admission)
        await self._until_ready()

    def _launch(self, admission: Admission) -> None:
        self.etcd = Etcd(self._directory, admission, self._server.tls_files,
                         self._note_removed)
        self._nursery.start_soon(self.etcd.serve)
        self.client = EtcdClient([admission.client_url], self._context(False))

    def _context(self, is_server: bool) -> ssl.SSLContext | None:
        """Return the TLS context of an ssl: address.  Raises: OSError."""
        return self._server.tls_context(is_server) if self._address.startswith("ssl:") else None

    async def _until_ready(self) -> None:
        """Wait until etcd answers with a quorum behind it."""
        while True:
            try:
                with trio.move_on_after(REPLY_TIMEOUT):
                    await self.client.call(KV_RANGE, {"key": "AA=="})
                    return
            except EtcdError as error:
                self.reason = str(error)
            await trio.sleep(0.1)

    async def _join(self) -> None:
        """Start an etcd that is a member of that of the servers whose addresses are known."""
        remotes = list(self._header.remotes) or [
            address for sid, address in self._log.servers.items()
            if sid != self._header.server_id]
        while True:
            try:
                with trio.fail_after(_JOIN_TIMEOUT):
                    context = self._context(False)
                    urls = await find_cluster(self._header, remotes, context)
                    admission, lease = await self._be_admitted(urls, context)
                break
            except (JoinError, EtcdError, OSError) as error:
                self.reason = str(error)
            except trio.TooSlowError:
                self.reason = "no answer from the members of etcd"
            _log.info(f"{self._header.name}: cannot join yet: {self.reason}", _LIMIT)
            await trio.sleep(_JOIN_INTERVAL * self._rng.uniform(0.5, 1.5))
        await self._start(admission)
        try:
            await self.client.call(LEASE_REVOKE, keep_alive(lease))
        except EtcdError:
            pass                        # It ends by itself.

    async def _be_admitted(self, urls: list[str], context: ssl.SSLContext | None
                           ) -> tuple[Admission, int]:
        """Return how to start etcd, and a lease that ends this server's turn to join."""
        header = self._header
        client = EtcdClient(urls, context)
        try:
            state = await self._read(client)
            if state.head is None:
                raise JoinError(f"no database {header.name} there")
            if header.cluster_id and state.cid != header.cluster_id:
                raise JoinError(f"the cluster there is {state.cid}")
            admission, lease = await admit(
                client, candidate(self._directory, header.server_id, self._address), self._keys,
                context)
            admission.save(self._directory)
            return admission, lease
        finally:
            await client.close()

    async def _read(self, client: EtcdClient) -> State:
        index = self._log.index
        return self._keys.parse_state(await client.call(KV_TXN, self._keys.read(index)), index)

    async def found(self) -> None:
        """See to it that the database is in etcd; of the only server's database, put it there."""
        log, keys = self._log, self._keys
        while True:
            try:
                if (await self._read(self.client)).head is not None:
                    return
                n, _ = await snapshots.put_pieces(self.client, keys, log.index,
                                                  self._hosted.database, log.servers,
                                                  log.election_timer, None)
                stored = Snapshot(log.index, log.term, log.eid, n)
                await self.client.call(
                    KV_TXN, keys.found(self._header.cluster_id, self._header.name, stored))
            except (EtcdError, snapshots.NotLeader) as error:
                self.reason = str(error)
                await trio.sleep(0.3)

    # Letting others in.

    async def wait_alone(self, grow: Callable[[], Awaitable[None]]) -> None:
        """Wait until another server has asked to join and etcd runs.

        `grow()` begins by holding the database's transactions, then calls `start_first`.
        """
        self._grow = grow
        self._open_door()
        await self._grown.wait()

    def _open_door(self) -> None:
        try:
            context = self._context(True)
        except OSError as error:
            _log.info(f"{self._address}: listen failed ({error}): no server can join here")
            return
        self._door = Door(self._address, context, self._answer)
        self._nursery.start_soon(self._door.serve)

    async def _answer(self, question: dict) -> list[str]:
        """Let another server join: return where etcd is.  Raises: JoinError."""
        header = self._header
        if question["name"] != header.name:
            raise JoinError(f"the database here is {header.name}, not {question['name']}")
        if question.get("cid") not in (None, header.cluster_id):
            raise JoinError(f"the cluster here is {header.cluster_id}")
        try:
            find_program()
        except NoEtcd as error:
            _log.warn(f"{header.name}: a server wants to join, but {error}", _LIMIT)
            raise JoinError(str(error)) from None
        async with self._growing:
            if self.etcd is None:
                _log.info(f"{header.name}: a server wants to join; moving the log to etcd")
                await self._grow()
        if self.etcd is None:
            raise JoinError("etcd does not start here")
        return [self.etcd.admission.client_url]

    async def start_first(self) -> bool:
        """Move the log of this only server into an etcd of its own; did it work?

        The move counts from the moment member.json is there; until then the file is all there is
        and what etcd got is forgotten.
        """
        if not self._address.startswith("unix:"):
            await self._door.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        os.makedirs(self._directory, 0o750)
        admission = choose_urls(self._header.server_id, self._address)
        await self._hosted.sync()
        self._launch(admission)
        with trio.move_on_after(_GROW_TIMEOUT) as scope:
            self._nursery.start_soon(self._give_up, self.etcd, scope)
            await self._until_ready()
            await self.found()
            admission.save(self._directory)
            self._grown.set()
            return True
        _log.warn(f"{self._header.name}: etcd does not start ({self.reason}); see "
                  f"{self._directory}/etcd.log")
        self.etcd.release()
        await self.etcd.stop()
        self.etcd = None
        if not self._address.startswith("unix:"):
            self._open_door()
        return False

    @staticmethod
    async def _give_up(etcd: Etcd, scope: trio.CancelScope) -> None:
        await etcd.faltered.wait()
        scope.cancel()

    # The end.

    async def leave(self) -> None:
        """Forget etcd after this server has left the cluster."""
        if self.etcd is not None:
            await self.etcd.stop()
            shutil.rmtree(self._directory, ignore_errors=True)

    async def close(self) -> None:
        if self.client is not None:
            await self.client.close()
        if self._door is not None:
            await self._door.close()
        if self.etcd is not None:
            await self.etcd.stop()
