"""The commands lock, steal and unlock: one request, and what the server says about locks."""

from ovsdb_server.rpc.message import NOTIFICATION, REPLY
from utilities.command_line import write_text
from utilities.ovsdb_client.monitor import Watcher
from utilities.ovsdb_client.session import Session


def lock(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "lock", arguments[0])


def steal(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "steal", arguments[0])


def unlock(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "unlock", arguments[0])


def _do_lock(session: Session, method: str, name: str) -> None:
    """Send the request, print the answer and what follows."""
    session.start_background()
    locker = _Locker(session)
    locker.requests[session.connection.send_request(method, [name])] = method
    locker.run(None)


class _Locker(Watcher):
    """Prints replies to lock requests, and notifications about locks."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, 1, {})
        self.requests: dict[object, str] = {}

    def request(self, method: str, name: str) -> None:
        """Send a further request, for the control socket."""
        self.requests[self.connection.send_request(method, [name])] = method

    def commands(self) -> dict:
        """Return what the control socket understands, see `Background.open_control`."""
        def sender(method: str):
            def send(arguments: list[str]) -> tuple[str | None, str | None]:
                self.request(method, arguments[0])
                return "", None
            return send
        return {"exit": ("", 0, 0, self._exit),
                **{method: ("LOCK", 1, 1, sender(method))
                   for method in ("lock", "steal", "unlock")}}

    def _handle(self, message, request_id: object) -> None:
        if message.kind == REPLY and message.id in self.requests:
            del self.requests[message.id]
            self.session.print_json(message.result)
            if not self._has_initial:
                self._has_initial = True
                self.session.go_background()
        elif message.kind == NOTIFICATION and message.method in ("locked", "stolen"):
            write_text(f"{message.method}\n")
            self.session.print_json(message.params)
