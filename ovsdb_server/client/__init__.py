"""A replica of a database and transactions on it, for programs that follow it."""
