"""The common transactions and the sending of many messages in C; see `road` and `sockets`."""
