"""The database as values and functions, without I/O.

Read in this order: `error` and `parser` (how bad input is named), `atom` and `datum` (values),
`schema`, `condition` and `mutation`, `table` (rows and their hash indexes), `operations`,
`transaction` (the ordered checks of a commit), `database` (what a server holds), `monitor`.

Nothing in this package does I/O, reads a clock or knows trio; time is always an argument.
`atom`, `datum` and `schema` are pure values that start-up-sensitive tools import too.
"""
