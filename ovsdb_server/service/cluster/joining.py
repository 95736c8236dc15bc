"""How a server finds the cluster that it is to join, and lets others find this one.

A server that joins knows addresses of servers and nothing else.  At such an address there is either

    etcd, whose list of members (GET /members, at the peer URL) names the URLs for its clients; or
    the `Door` of a server whose database is not in etcd yet (it is the only one of its cluster), or
    whose address is unix:FILE: asked by POST /ovsdb/join it brings its etcd up and names its URL.

With that URL the joining server adds itself to etcd's members and starts an etcd of its own.
Trio thread only.
"""

import os
import socket
import ssl
from collections.abc import Awaitable, Callable

import orjson
import trio

from ovsdb_server import vlog
from ovsdb_server.rpc import address as addresses
from ovsdb_server.service.cluster.client import EtcdClient, EtcdError
from ovsdb_server.service.cluster.http import Client, Endpoint, Lost, NotSent, serve_connection
from ovsdb_server.service.cluster.supervisor import Admission
from ovsdb_server.storage.cluster_file import Header
from ovsdb_server.storage.etcd import (KV_RANGE, KV_TXN, LEASE_GRANT, LEASE_REVOKE, MEMBER_ADD,
                                       MEMBER_LIST, MEMBER_REMOVE, Keys, grant, keep_alive)

_log = vlog.module("raft")

JOIN_PATH = "/ovsdb/join"

_TIMEOUT = 10.0

# Who dies while it joins keeps others from it for so long, in seconds.
_CLAIM_TTL = 10


class JoinError(Exception):
    """Why the cluster cannot be joined now; another attempt may succeed."""


def endpoint_of(address: str) -> Endpoint:
    """Return where the server with an address unix:FILE, tcp: or ssl:HOST:PORT listens."""
    remote = addresses.parse_remote(address)
    return Endpoint(remote.host or "localhost", remote.port or 0,
                    os.path.abspath(remote.path) if remote.is_unix else "", remote.is_tls)


async def find_cluster(header: Header, remotes: list[str],
                       context: ssl.SSLContext | None) -> list[str]:
    """Ask the servers at `remotes` for URLs of etcd.  Raises: JoinError."""
    reasons = []
    for remote in remotes:
        try:
            with trio.fail_after(_TIMEOUT):
                return await _ask(header, remote, context)
        except trio.TooSlowError:
            reasons.append(f"{remote}: no answer")
        except (JoinError, NotSent, Lost) as error:
            reasons.append(f"{remote}: {error}")
    raise JoinError("; ".join(reasons))


async def _ask(header: Header, remote: str, context: ssl.SSLContext | None) -> list[str]:
    client = Client(endpoint_of(remote), context)
    try:
        question = {"name": header.name, "cid": header.cluster_id, "sid": header.server_id,
                    "address": header.local_address}
        status, body = await client.request("POST", JOIN_PATH, orjson.dumps(question))
        if status == 404:
            status, body = await client.request("GET", "/members")
            if status != 200:
                raise JoinError(f"neither etcd nor a server of a cluster (HTTP status {status})")
            urls = [url for member in orjson.loads(body) for url in member.get("clientURLs", ())]
        else:
            answer = orjson.loads(body)
            if status != 200:
                raise JoinError(answer["error"])
            urls = answer["urls"]
    except orjson.JSONDecodeError:
        raise JoinError("an answer that is not JSON") from None
    finally:
        await client.close()
    if not urls:
        raise JoinError("no member of etcd is ready")
    return urls


async def _check_majority(members: list[dict], context: ssl.SSLContext | None) -> None:
    """Raise JoinError if one more member, not started yet, would cost etcd its majority.

    etcd has a check of its own, which makes a third server wait for 5 s.
    """
    n_ready = 0

    async def check(url: str) -> None:
        nonlocal n_ready
        client = EtcdClient([url], context)
        try:
            with trio.move_on_after(1):
                await client.call(KV_RANGE, {"key": "AA=="})
                n_ready += 1
        except EtcdError:
            pass
        finally:
            await client.close()
    async with trio.open_nursery() as nursery:
        for member in members:
            for url in member.get("clientURLs", ())[:1]:
                nursery.start_soon(check, url)
    if len(members) > 1 and n_ready < (len(members) + 1) // 2 + 1:
        raise JoinError(f"only {n_ready} of {len(members)} members of etcd are ready")


async def admit(etcd: EtcdClient, admission: Admission, keys: Keys,
                context: ssl.SSLContext | None) -> tuple[Admission, int]:
    """Add a member to etcd's, one at a time.

    Returns how it is to start, and the lease by which it keeps others from joining until then.
    Raises: JoinError, EtcdError.
    """
    lease = int((await etcd.call(LEASE_GRANT, grant(_CLAIM_TTL)))["ID"])
    try:
        if not (await etcd.call(KV_TXN, keys.claim(admission.name, lease))).get("succeeded"):
            raise JoinError("another server is joining")
        return await _add_member(etcd, admission, context), lease
    except JoinError:
        await etcd.call(LEASE_REVOKE, keep_alive(lease))
        raise


async def _add_member(etcd: EtcdClient, admission: Admission,
                      context: ssl.SSLContext | None) -> Admission:
    answer = await etcd.call(MEMBER_LIST, {})
    mine = [member for member in answer["members"]
            if admission.peer_url in member.get("peerURLs", ())
            or member.get("name") == admission.name]
    if mine and not mine[0].get("name"):
        # Added by an attempt that did not end.
        members = answer["members"]
    else:
        for member in mine:
            # An earlier life whose data are lost; etcd must not take it for the same.
            await etcd.call(MEMBER_REMOVE, {"ID": member["ID"]})
        await _check_majority([m for m in answer["members"] if m not in mine], context)
        members = (await etcd.call(MEMBER_ADD, {"peerURLs": [admission.peer_url]}))["members"]
    admission.members = {
        url: admission.name if url == admission.peer_url else member.get("name") or member["ID"]
        for member in members for url in member["peerURLs"]}
    admission.is_new = False
    return admission


async def remove_member(etcd: EtcdClient, name: str) -> None:
    """Take the member `name` out of etcd's, if it is there.  Raises: EtcdError."""
    for member in (await etcd.call(MEMBER_LIST, {}))["members"]:
        if member.get("name") == name:
            await etcd.call(MEMBER_REMOVE, {"ID": member["ID"]})


class Door:
    """Listens at a server's own address for servers that join.

    `answer(question)` returns the URLs of etcd, or raises JoinError; the listener of a tcp: or
    ssl: address must have been closed by then, because etcd needs the address.
    """

    def __init__(self, address: str, context: ssl.SSLContext | None,
                 answer: Callable[[dict], Awaitable[list[str]]]) -> None:
        self._remote = addresses.parse_remote(address)
        self._context = context
        self._answer = answer
        self._listener: trio.SocketListener | None = None

    async def serve(self) -> None:
        """Answer until cancelled or closed; an address that cannot be listened on is logged."""
        remote = self._remote
        try:
            if remote.is_unix:
                sock = addresses.listen_unix(remote.path)
            else:
                host = remote.host.strip("[]")
                found = await trio.socket.getaddrinfo(host, remote.port,
                                                      type=socket.SOCK_STREAM)
                sock = addresses.listen_tcp(found[0][4][0], remote.port)
        except OSError as error:
            _log.info(f"{remote.text}: listen failed ({error.strerror}): no server can join here")
            return
        sock.setblocking(False)
        self._listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        try:
            # Who is being answered outlives the listener.
            async with trio.open_nursery() as nursery:
                try:
                    await trio.serve_listeners(self._handle, [self._listener],
                                               handler_nursery=nursery)
                except* trio.ClosedResourceError:
                    pass
        finally:
            await self.close()

    async def close(self) -> None:
        """Listen no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with trio.CancelScope(shield=True):
                await listener.aclose()
            if self._remote.is_unix:
                try:
                    os.unlink(self._remote.path)
                except FileNotFoundError:
                    pass

    async def _handle(self, stream: trio.abc.Stream) -> None:
        if self._remote.is_tls:
            stream = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
        with trio.move_on_after(60):
            await serve_connection(stream, self._reply)

    async def _reply(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if (method, path) != ("POST", JOIN_PATH):
            return 404, b'{"error":"not found"}'
        try:
            return 200, orjson.dumps({"urls": await self._answer(orjson.loads(body))})
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return 400, b'{"error":"bad request"}'
        except (JoinError, EtcdError) as error:
            return 503, orjson.dumps({"error": str(error)})
