"""A database: its schema, its rows, and what a server does with it.

The road of a transaction, in three steps that the caller (service, ovsdb-tool) joins:

    execution = database.transact(operations, context, now)      # decides; changes nothing
    database.commit(execution, write)                            # write(delta, comment), apply
    execution.results, execution.is_durable                      # the reply

`Triggers.submit` does all of it and keeps the transactions that wait:

    database = Database(schema)                  rows: database.tables["Port"].rows {uuid: Row}
    triggers = Triggers(database, write)         write(delta, comment): storage, may raise
                                                 OvsdbError: error to the client, nothing applied
    execution = triggers.submit(operations, context, now, token)
    execution.is_waiting                         True: `token` stays queued
    execution.results                            the list that answers "transact"
    execution.delta                              {table: {uuid: (old Row|None, new Row|None)}}
    execution.is_durable                         sync the storage before replying
    triggers.next_deadline()                     earliest time-out of a waiting one, or None
    triggers.run(now) -> [(token, execution)]    finished ones; call after commits and deadlines
    triggers.cancel(token) -> bool               forget a waiting one

    Context(is_read_only, owns_lock, role, client_id, is_internal)

Monitors (module `monitor`); all updates are encoded JSON (bytes), once for equal monitors:

    monitor = database.monitors.add(kind, requests)   kind: MONITOR | COND | COND_SINCE
                                                      requests: the JSON object; OvsdbError
    monitor.initial() -> bytes                        the table-updates of the reply
    monitor.flush() -> bytes | None                   net change since the last flush
    monitor.has_changes                               might flush() give something?
    monitor.change(requests)                          monitor_cond_change; then flush()
    monitor.close()

`convert(database, schema) -> Database` gives the same data under another schema.

A Row is a tuple of datums in the order of `Table.order`: row[column.index]; row[0] is `_uuid`.
"""
