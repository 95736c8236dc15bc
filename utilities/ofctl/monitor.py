"""ovs-ofctl monitor and snoop: print what a switch sends, until told to stop.

Each command takes (settings, arguments).  While it runs, ovs-appctl can make it send messages,
wait for a barrier, change the output file, and end.
"""

import os
import sys
import time

from utilities.background import Background, Request
from utilities.command_line import LOG, Fatal
from utilities.ofctl.connection import (
    Connection, next_xid, open_switch, print_message, readable,
)
from utilities.ofctl.hex_text import read_hex
from utilities.ofctl.ports import shown_names
from utilities.ofctl.switch import fetch_config, send_silent
from vswitchd.openflow.framing import HEADER, OpenFlowError, identify
from vswitchd.openflow.messages import decode, encode
from vswitchd.openflow.messages.session import (
    BarrierRequest, EchoReply, SetConfig, SetPacketInFormat,
)

_MANY = 1 << 30
_COMMANDS = {
    "exit": ("", 0, 0, None),
    "ofctl/barrier": ("", 0, 0, None),
    "ofctl/block": ("", 0, 0, None),
    "ofctl/packet-out": ('"in_port=<port> packet=<hex data> actions=..."', 1, 1, None),
    "ofctl/send": ("OFMSG...", 1, _MANY, None),
    "ofctl/set-output-file": ("FILE", 1, 1, None),
    "ofctl/unblock": ("", 0, 0, None),
}


def _set_config(settings, connection: Connection, **changes) -> None:
    """Reads the switch's configuration, changes it and sends it back."""
    config = fetch_config(connection)
    values = {"fragments": config.fragments, "miss_send_len": config.miss_send_len,
              "invalid_ttl": config.invalid_ttl} | changes
    send_silent(settings, connection, SetConfig(**values))


def _set_packet_in_format(settings, connection: Connection, name: str, must: bool) -> bool:
    data = encode(SetPacketInFormat(name), connection.version, next_xid())
    error = connection.transact_silent([data])
    if error is None:
        LOG.log("ofctl", 5, f"{connection.remote}: using user-specified packet in format {name}"
                if must else f"{connection.remote}: using {name} packet in format")
        return True
    if must:
        from vswitchd.openflow.print import format_message
        text = format_message(error, settings.verbosity + 2).rstrip("\n")
        raise Fatal(f"{connection.remote}: failed to set packet in format to {name}: {text}")
    return False


def monitor(settings, arguments) -> None:
    switch = arguments[0]
    if "invalid_ttl" in arguments[1:]:
        settings.versions = settings.versions & {1, 2, 3}
        if not settings.versions:
            raise Fatal("invalid_ttl requires one of the OpenFlow versions OpenFlow10, OpenFlow11, "
                        "OpenFlow12 but none is enabled (use -O)")
    connection = open_switch(settings, switch)
    resume = False
    for word in arguments[1:]:
        if word[:1].isdigit():
            digits = word[:len(word) - len(word.lstrip("0123456789"))] or "0"
            _set_config(settings, connection, miss_send_len=int(digits) & 0xFFFF)
        elif word == "invalid_ttl":
            _set_config(settings, connection, invalid_ttl=True)
            if not fetch_config(connection).invalid_ttl:
                raise Fatal("setting invalid_ttl_to_controller failed (this switch probably "
                            "doesn't support this flag)")
        elif word.startswith("watch:"):
            _watch(settings, connection, word[6:])
        elif word == "resume":
            resume = True
            _set_config(settings, connection, miss_send_len=0xFFFF)
        else:
            raise Fatal(f'{word}: unsupported "monitor" argument')
    if settings.packet_in_format is not None:
        _set_packet_in_format(settings, connection, settings.packet_in_format, True)
    elif not _set_packet_in_format(settings, connection, "nxt_packet_in2", False):
        if connection.version == 1:
            _set_packet_in_format(settings, connection, "nxt_packet_in", False)
    _Monitor(settings, connection, True, resume).serve()


def _watch(settings, connection: Connection, text: str) -> None:
    from utilities.ofctl.flows import parse_watch
    request = parse_watch(settings, connection.name, text)
    data = encode(request, connection.version, next_xid())
    if settings.verbosity:
        print_message(data, settings, 0)
    connection.send_bytes(data)
    for reply in connection.receive_parts(int.from_bytes(data[4:8], "big")):
        print_message(reply, settings, 1, *shown_names(settings, connection))
    sys.stdout.flush()


def snoop(settings, arguments) -> None:
    connection = open_switch(settings, arguments[0], snoop=True)
    _Monitor(settings, connection, False, False).serve()


class _Monitor:
    """The running command."""

    def __init__(self, settings, connection: Connection, answers_echo: bool,
                 resume: bool) -> None:
        self._settings = settings
        self._connection = connection
        self._answers_echo = answers_echo
        self._resume = resume
        self._barrier: Request | None = None
        self._is_blocked = False
        self._exiting: Request | None = None

    def serve(self) -> None:
        """Prints messages and obeys commands until 'exit' or until the switch goes."""
        background = Background("ovs-ofctl", self._settings.daemon_options, 2)
        control = background.open_control(_COMMANDS)
        background.ready()
        try:
            self._drain()
            while self._exiting is None:
                waiting = [] if self._is_blocked else [self._connection]
                ready = readable(*waiting, *(control.fds() if control else ()))
                if control:
                    for request in control.take(ready):
                        self._obey(request)
                if self._connection in ready and not self._is_blocked:
                    self._receive()
        finally:
            background.close()

    def _drain(self) -> None:
        for data in self._connection.take_waiting():
            self._show(data)

    def _receive(self) -> None:
        try:
            messages = self._connection.poll()
        except EOFError as error:
            raise Fatal(f"vconn_recv ({error})") from None
        for data in messages:
            self._show(data)

    def _print(self, data: bytes, extra: int) -> None:
        # Names are asked for when there is something to show.
        print_message(data, self._settings, extra, *shown_names(self._settings, self._connection),
                      sys.stderr)

    def _show(self, data: bytes) -> None:
        if self._settings.timestamp:
            now = time.time()
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
            sys.stderr.write(f"{stamp}.{int(now * 1000) % 1000:03d}: ")
            sys.stderr.flush()
        self._print(data, 2)
        try:
            kind = identify(data)[0].kind
        except OpenFlowError:
            return
        match kind:
            case "OFPT_BARRIER_REPLY" if self._barrier is not None:
                self._barrier.reply()
                self._barrier = None
            case "OFPT_ECHO_REQUEST" if self._answers_echo:
                version, _, _, xid = HEADER.unpack_from(data)
                self._connection.send_bytes(encode(EchoReply(data[8:]), version, xid))
            case "OFPT_PACKET_IN" | "NXT_PACKET_IN" | "NXT_PACKET_IN2" if self._resume:
                self._send_resume(data)

    def _send_resume(self, data: bytes) -> None:
        try:
            value = decode(data).value
        except OpenFlowError as error:
            sys.stderr.write(f"decoding packet-in failed: {error.name}")
            return
        if value.private is None:
            return
        answer = encode(value.replace(resume=True, userdata=b""), self._connection.version, 0)
        self._say(answer, 2)
        self._connection.send_bytes(answer)

    def _say(self, data: bytes, extra: int) -> None:
        sys.stderr.write("send: ")
        sys.stderr.flush()
        self._print(data, extra)

    def _obey(self, request: Request) -> None:
        match request.name:
            case "exit":
                self._exiting = request
                request.reply()
            case "ofctl/send":
                self._send(request)
            case "ofctl/packet-out":
                self._packet_out(request)
            case "ofctl/barrier":
                if self._barrier is not None:
                    request.fail("already waiting for barrier reply")
                    return
                self._barrier = request
                self._connection.send(BarrierRequest())
            case "ofctl/set-output-file":
                self._set_output(request)
            case "ofctl/block":
                request.reply("already blocking" if self._is_blocked else "")
                self._is_blocked = True
            case "ofctl/unblock":
                request.reply("" if self._is_blocked else "already unblocked")
                self._is_blocked = False

    def _send(self, request: Request) -> None:
        answers, good = [], True
        for word in request.arguments:
            try:
                data = _read_message(word)
            except Fatal as fatal:
                answers.append(fatal.text)
                good = False
                continue
            self._say(data, 0)
            try:
                self._connection.send_bytes(data)
                answers.append("sent")
            except Fatal as fatal:
                answers.append(fatal.text)
                good = False
        (request.reply if good else request.fail)("\n".join(answers) + "\n")

    def _packet_out(self, request: Request) -> None:
        from utilities.ofctl.flows import parse_packet_out
        from utilities.ofctl.ports import port_numbers, table_numbers
        switch = self._connection.remote
        try:
            tables = table_numbers(self._settings, switch)
            ports = port_numbers(self._settings, switch)
            value, _ = parse_packet_out(request.arguments[0], ports, tables)
            data = encode(value, self._connection.version, next_xid())
            self._print(data, 0)
            self._connection.send_bytes(data)
        except Fatal as fatal:
            request.fail(fatal.text)
            return
        request.reply()

    def _set_output(self, request: Request) -> None:
        try:
            number = os.open(request.arguments[0], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o666)
        except OSError as error:
            request.fail(os.strerror(error.errno))
            return
        sys.stderr.flush()
        os.dup2(number, 2)
        os.close(number)
        request.reply()


def _read_message(text: str) -> bytes:
    """One OpenFlow message in hexadecimal; a number 0 gets the next one.  Raises Fatal."""
    try:
        data = read_hex(text)
    except Fatal:
        raise Fatal("Trailing garbage in hex data") from None
    if len(data) < 8:
        raise Fatal("Message too short for OpenFlow")
    if int.from_bytes(data[2:4], "big") != len(data):
        raise Fatal("Message size does not match length in OpenFlow header")
    return data
