"""Listeners, sessions, locks and remotes on trio."""
