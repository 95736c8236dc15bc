"""etcd as a value: keys with revisions, leases and watches, behind the same requests in JSON.

The stupid twin of the real thing for `storage/etcd_member.py`; one process, no faults of its own.
"""

import base64
from dataclasses import dataclass, field


@dataclass
class _Kv:
    key: bytes
    value: bytes
    create: int
    mod: int
    version: int
    lease: int

    def json(self) -> dict:
        json = {"key": _b64(self.key), "create_revision": str(self.create),
                "mod_revision": str(self.mod), "version": str(self.version),
                "value": _b64(self.value)}
        if self.lease:
            json["lease"] = str(self.lease)
        return json


@dataclass
class Watcher:
    start: bytes
    end: bytes
    sent: int                           # The index in `history` up to which events were taken.
    from_revision: int


@dataclass
class FakeEtcd:
    revision: int = 1
    keys: dict[bytes, _Kv] = field(default_factory=dict)
    leases: dict[int, tuple[float, float]] = field(default_factory=dict)  # id: (ttl, until)
    history: list[tuple[int, dict, bytes]] = field(default_factory=list)
    next_lease: int = 1000

    def handle(self, path: str, body: dict, now: float) -> dict:
        """Answer a request."""
        self.expire(now)
        match path.removeprefix("/v3/"):
            case "kv/txn":
                reply = self._txn(body)
            case "kv/range":
                reply = self._range(body)
            case "lease/grant":
                self.next_lease += 1
                ttl = float(body["TTL"])
                self.leases[self.next_lease] = ttl, now + ttl
                reply = {"ID": str(self.next_lease), "TTL": body["TTL"]}
            case "lease/keepalive":
                lease = int(body["ID"])
                reply = {"result": {"ID": body["ID"]}}
                if lease in self.leases:
                    ttl = self.leases[lease][0]
                    self.leases[lease] = ttl, now + ttl
                    reply["result"]["TTL"] = str(int(ttl))
            case "lease/revoke":
                self._end_lease(int(body["ID"]))
                reply = {}
        return {"header": {"revision": str(self.revision)}, **reply}

    def expire(self, now: float) -> None:
        for lease, (_ttl, until) in list(self.leases.items()):
            if now > until:
                self._end_lease(lease)

    def _end_lease(self, lease: int) -> None:
        if self.leases.pop(lease, None) is None:
            return
        gone = [kv.key for kv in self.keys.values() if kv.lease == lease]
        if gone:
            self.revision += 1
            for key in gone:
                self._delete(key)

    def _delete(self, key: bytes) -> None:
        del self.keys[key]
        self.history.append((self.revision, {
            "type": "DELETE", "kv": {"key": _b64(key), "mod_revision": str(self.revision)}}, key))

    def _holds(self, compare: dict) -> bool:
        kv = self.keys.get(base64.b64decode(compare["key"]))
        match compare["target"]:
            case "MOD":
                return int(compare["mod_revision"]) == (kv.mod if kv else 0)
            case "CREATE":
                return int(compare["create_revision"]) == (kv.create if kv else 0)
            case "VERSION":
                return int(compare["version"]) == (kv.version if kv else 0)

    def _txn(self, body: dict) -> dict:
        holds = all(map(self._holds, body["compare"]))
        operations = body["success" if holds else "failure"]
        is_write = any("request_range" not in operation for operation in operations)
        self.revision += is_write
        before = len(self.history)
        responses = []
        for operation in operations:
            (kind, request), = operation.items()
            if kind == "request_range":
                responses.append({"response_range": self._range(request)})
            elif kind == "request_put":
                self._put(request)
            else:
                for key in self._between(request):
                    self._delete(key)
        if is_write and len(self.history) == before:
            self.revision -= 1
        return {"responses": responses, **({"succeeded": True} if holds else {})}

    def _put(self, request: dict) -> None:
        key = base64.b64decode(request["key"])
        old = self.keys.get(key)
        self.keys[key] = kv = _Kv(
            key, base64.b64decode(request["value"]), old.create if old else self.revision,
            self.revision, old.version + 1 if old else 1, int(request.get("lease", 0)))
        self.history.append((self.revision, {"kv": kv.json()}, key))

    def _between(self, request: dict) -> list[bytes]:
        start = base64.b64decode(request["key"])
        if "range_end" not in request:
            return [start] if start in self.keys else []
        end = base64.b64decode(request["range_end"])
        return sorted(key for key in self.keys if start <= key < end)

    def _range(self, request: dict) -> dict:
        found = self._between(request)[:int(request.get("limit", 0)) or None]
        return {"kvs": [self.keys[key].json() for key in found]} if found else {}

    def watch(self, body: dict) -> Watcher:
        """Begin a watch; `events` takes what it has to tell."""
        request = body["create_request"]
        return Watcher(base64.b64decode(request["key"]), base64.b64decode(request["range_end"]),
                       0, int(request["start_revision"]))

    def events(self, watcher: Watcher) -> dict | None:
        """Return the next answer of a watch, None when there is none yet."""
        found = [event for revision, event, key in self.history[watcher.sent:]
                 if revision >= watcher.from_revision and watcher.start <= key < watcher.end]
        watcher.sent = len(self.history)
        return {"events": found} if found else None


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
