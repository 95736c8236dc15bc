"""Names of a switch's tables.

OpenFlow 1.0 to 1.2 tell them with the table statistics, later versions with the table features.
Only ovs-ofctl uses it.
"""

from schema.openflow.messages import OF13
from utilities.ofctl.connection import open_reply, open_switch, warn
from vswitchd.openflow.messages.base import strip_name
from vswitchd.openflow.messages.table import (
    TableFeaturesRequest, TableStatsRequest, iterate_table_names,
)


def fetch_table_names(settings, switch: str) -> dict[int, str]:
    """{number: name} of the tables that have names."""
    connection = open_switch(settings, switch)
    request = TableFeaturesRequest() if connection.version >= OF13 else TableStatsRequest()
    names: dict[int, str] = {}
    for data in connection.transact_parts(request):
        frame = open_reply(data)
        if not frame.raw.is_stats:
            break
        for number, name in iterate_table_names(frame, warn):
            text = strip_name(name)
            if text:
                names[number] = text
    connection.close()
    return names
