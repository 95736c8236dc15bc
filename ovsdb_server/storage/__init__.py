"""Where a database is kept: journal, memory.

`record` is the envelope of one journal record, `replay` turns deltas into the JSON of records
and back, `journal` is the file, `memory` keeps nothing.  A storage has `write(delta, comment,
wall_ms)`, `sync()`, `compact(database, comment, wall_ms)`, `replace(database, comment, wall_ms)`
and `close()`.
"""
