"""ovs-vsctl: queries and changes the configuration database of a switch.

Read in this order: `program` (options, attempts, waiting), `command` (the table of commands),
`language` (how commands, tables, columns and rows are named), `generic` (get, set, find, ...),
`bridge` (add-br, add-port, ...), `service` (controllers, zones, ...), `show`.
Built on `utilities.database` (replica and transactions).
"""

from utilities.vsctl.program import main

__all__ = ["main"]
