"""A client of etcd: its requests in JSON over one of several endpoints (trio).

    etcd = EtcdClient(["http://127.0.0.1:2379"])
    await etcd.call("/v3/kv/txn", {...}) -> {...}
    async for answer in etcd.watch({...}): ...

Source: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway.  Trio thread only.
"""

import ssl
from collections.abc import AsyncIterator

import orjson
import trio

from ovsdb_server.service.cluster.http import Client, Endpoint, Lost, NotSent
from ovsdb_server.storage.etcd import WATCH

# Codes of gRPC after which it is certain that etcd did nothing: INVALID_ARGUMENT, NOT_FOUND,
# RESOURCE_EXHAUSTED, FAILED_PRECONDITION, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED.
_REFUSED = frozenset((3, 5, 8, 9, 11, 12, 16))


class EtcdError(Exception):
    """etcd answers with an error, or not at all.

    `is_refused`: the request has had and will have no effect; otherwise that is unknown.
    `is_answer`: it is etcd that says so.
    """

    def __init__(self, text: str, is_refused: bool, is_answer: bool = False) -> None:
        super().__init__(text)
        self.is_refused = is_refused
        self.is_answer = is_answer


class EtcdClient:
    """Asks one endpoint until it fails, then the next."""

    def __init__(self, urls: list[str], context: ssl.SSLContext | None = None) -> None:
        self._clients = [Client(Endpoint.parse(url), context) for url in urls]

    async def call(self, path: str, body: dict) -> dict:
        """Return the answer to a request.  Raises: EtcdError."""
        data = orjson.dumps(body)
        failure: NotSent | None = None
        for client in list(self._clients):
            try:
                status, answer = await client.request("POST", path, data)
            except NotSent as error:
                self._put_last(client)
                failure = error
                continue
            except Lost as error:
                self._put_last(client)
                raise EtcdError(str(error), False) from None
            except trio.Cancelled:
                self._put_last(client)
                raise
            return _read_answer(status, answer)
        raise EtcdError(str(failure), True)

    async def watch(self, body: dict) -> AsyncIterator[dict]:
        """Yield what a watch tells.  Raises: EtcdError when it ends."""
        client = self._clients[0]
        try:
            async for line in client.stream(WATCH, orjson.dumps(body)):
                if line.strip():
                    answer = orjson.loads(line)
                    if "result" not in answer:
                        raise EtcdError(str(answer.get("error")), True)
                    yield answer["result"]
        except (NotSent, Lost, orjson.JSONDecodeError) as error:
            self._put_last(client)
            raise EtcdError(str(error), True) from None

    def _put_last(self, client: Client) -> None:
        self._clients.remove(client)
        self._clients.append(client)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()


def _read_answer(status: int, answer: bytes) -> dict:
    try:
        json = orjson.loads(answer)
    except orjson.JSONDecodeError:
        json = {"error": answer.decode("utf-8", "replace").strip()}
    if status == 200 and "error" not in json:
        return json
    text = json.get("error") or json.get("message") or f"HTTP status {status}"
    raise EtcdError(str(text), json.get("code", 14) in _REFUSED, True)
