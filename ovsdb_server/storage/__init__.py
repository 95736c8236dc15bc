"""Where a database is kept: journal, memory."""
