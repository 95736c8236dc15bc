"""Names of a switch's ports and tables, asked of the switch once per run.

`find_port` resolves what the user typed; `port_numbers`, `port_names`, `table_numbers` and
`table_names` are the maps that parsers and printers take.  Only ovs-ofctl uses it.
"""

from functools import cache

from schema.openflow.messages import OF13
from utilities.command_line import Fatal
from utilities.ofctl.connection import Connection, open_switch, read_reply
from vswitchd.openflow.messages.port import Port, PortDescReply, PortDescRequest
from vswitchd.openflow.messages.session import FeaturesReply, FeaturesRequest
from vswitchd.openflow.value_text import parse_port

def fetch_ports(connection: Connection) -> list[Port]:
    """All ports of the switch."""
    if connection.version >= OF13:
        ports: list[Port] = []
        for data in connection.transact_parts(PortDescRequest()):
            ports.extend(read_reply(data, PortDescReply).ports)
        return ports
    return list(read_reply(connection.transact(FeaturesRequest()), FeaturesReply,
                           f"{connection.name}: received bad features reply").ports)


_known: dict[str, list[Port]] = {}


def ports_of(settings, name: str) -> list[Port]:
    """All ports of the switch `name`, over a connection of its own."""
    if name not in _known:
        connection = open_switch(settings, name)
        _known[name] = fetch_ports(connection)
        connection.close()
    return _known[name]


def find_port(settings, switch: str, text: str) -> Port | None:
    """The port with this name or number, None if there is none; LOCAL is no name here."""
    number = int(text) if text.isascii() and text.isdigit() else None
    for port in ports_of(settings, switch):
        if port.number == number if number is not None else port.name == text:
            return port
    return None


def port_number(settings, switch: str, text: str) -> int:
    """The number of the port that `text` means.  Raises Fatal."""
    number = parse_port(text)
    if number is not None:
        return number
    port = None if settings.names is False else find_port(settings, switch, text)
    if port is None:
        raise Fatal(f"{switch}: unknown port `{text}'")
    return port.number


def port_names(settings, switch: str) -> dict[int, str] | None:
    """{number: name} if names are to be shown, else None."""
    if not settings.show_names():
        return None
    return {port.number: port.name for port in ports_of(settings, switch)}


def port_numbers(settings, switch: str) -> dict[str, int]:
    """{name: number} for what the user types; empty when names are not accepted."""
    if settings.names is False:
        return {}
    return {port.name: port.number for port in ports_of(settings, switch)}


@cache
def _tables(settings, switch: str) -> dict[int, str]:
    from utilities.ofctl.tables import fetch_table_names
    names = fetch_table_names(settings, switch)
    found = list(names.values())        # a name that several tables have is nobody's
    return {number: name for number, name in names.items() if found.count(name) == 1}


def table_names(settings, switch: str) -> dict[int, str] | None:
    """{number: name} if names are to be shown, else None."""
    return _tables(settings, switch) if settings.show_names() else None


def shown_names(settings, connection: Connection):
    """The names of ports and of tables, if they are to be shown, of a switch that has said
    something; it is asked on connections of their own."""
    tables = table_names(settings, connection.remote)
    return port_names(settings, connection.remote), tables


def table_numbers(settings, switch: str) -> dict[str, int]:
    """{name: number} for what the user types."""
    if settings.names is False:
        return {}
    return {name: number for number, name in _tables(settings, switch).items()}


def known_numbers(settings, switch: str, ports_first: bool = False,
                  ) -> tuple[dict[str, int], dict[str, int]]:
    """The numbers of ports and of tables by name, for reading what the user typed."""
    if ports_first:
        port_numbers(settings, switch)
    tables = table_numbers(settings, switch)
    return port_numbers(settings, switch), tables
