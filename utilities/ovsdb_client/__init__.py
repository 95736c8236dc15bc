"""ovsdb-client: asks a database server questions, one request per run, or watches it.

Read in this order: `program` (options and the table of commands), `session` (connecting, finding
the database, errors), then the commands: `schema`, `data`, `backup`, `monitor`, `lock`, `wait`.
Start-up matters: a command's module is loaded when it runs.
"""

from utilities.ovsdb_client.program import main

__all__ = ["main"]
