"""The only road from database to switch: derive, diff, apply, status."""
