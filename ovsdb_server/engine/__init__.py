"""The database as values and functions, without I/O."""
