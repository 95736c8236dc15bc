"""A client with the `ovs` library's IDL, as a process that prints what it sees at each change."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import indent

import pytest

from tests.ovsdb_server.conftest import ServerProcess

_PROGRAM = """
import sys
import ovs.db.idl, ovs.poller
remote, schema, table = sys.argv[1:]
helper = ovs.db.idl.SchemaHelper(schema)
helper.register_table(table)
idl = ovs.db.idl.Idl(remote, helper)
table = idl.tables[table].rows
seqno = idl.change_seqno
while True:
    idl.run()
    if seqno != idl.change_seqno:
        seqno = idl.change_seqno
{on_change}
    poller = ovs.poller.Poller()
    idl.wait(poller)
    poller.block()
"""


@contextmanager
def watching(server: ServerProcess, schema: dict, table: str, on_change: str
             ) -> Iterator[subprocess.Popen]:
    """Run the client on `server`; its output can be read.

    `on_change` is Python that runs at each change, with `idl` and the rows `table` {uuid: row}.
    """
    pytest.importorskip("ovs.db.idl")
    path = server.directory / "idl.ovsschema"
    path.write_text(json.dumps(schema))
    program = _PROGRAM.format(on_change=indent(on_change.strip("\n"), " " * 8))
    process = subprocess.Popen([sys.executable, "-c", program, server.remote, str(path), table],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
