"""Protocol machines without I/O and their one runner."""
