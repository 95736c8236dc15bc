"""The command wait: until a server has, or no longer has, a database."""

import time

from ovsdb_server.engine.error import json_text
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.blocking import ConnectionClosed, ProtocolError, RpcError
from utilities.command_line import LOG, WARN, Fatal
from utilities.ovsdb_client.session import Session
from utilities.remote import failure_of, open_remote


def wait(session: Session, arguments: list[str]) -> None:
    """[SERVER] DATABASE STATE"""
    name, state = arguments
    if state not in ("added", "connected", "removed"):
        raise Fatal(f"{state}: unknown state")
    backoff = Backoff(session.server, log=_ToolLog())
    while True:
        backoff.connecting()
        try:
            session.connection = open_remote(session.server, session.tls)
        except OSError as error:
            time.sleep(backoff.failed(failure_of(error)))
            continue
        backoff.connected()
        start = time.monotonic()
        if _wait_connected(session, name, state):
            return
        time.sleep(backoff.lost("", time.monotonic() - start))


class _ToolLog:
    """Takes what a Backoff says."""

    def log(self, level: int, text: str) -> None:
        LOG.log("reconnect", level, text)

    def warn(self, text: str) -> None:
        LOG.log("reconnect", WARN, text)


def _wait_connected(session: Session, name: str, state: str) -> bool:
    """Wait over the open connection; return False when it breaks."""
    where: list = [["name", "==", name]]
    if state == "connected":
        where.append(["connected", "==", True])
    rows = [] if state == "removed" else [{"name": name}]
    try:
        session.set_change_aware(False)
        results = session.connection.call("transact", ["_Server", {
            "op": "wait", "table": "Database", "where": where, "columns": ["name"],
            "until": "==", "rows": rows}])
    except RpcError as error:
        raise Fatal(f"transaction returned error: {json_text(error.error)}") from None
    except (ConnectionClosed, ProtocolError, OSError, Fatal):
        return False
    return bool(results) and results[0] == {}
