"""Fixtures of the tests of OpenFlow."""

import pytest

from ovsdb_server import vlog


@pytest.fixture
def lines(monkeypatch):
    """What is logged, as MODULE|LEVEL|TEXT, and nothing of it withheld."""
    seen: list[str] = []
    monkeypatch.setattr(vlog.LOG, "write", lambda logger, level, text: seen.append(
        f"{logger.name}|{vlog.LEVELS[level]}|{text}"))
    for name in ("rconn", "vconn", "vconn_stream", "connmgr", "ofp_errors"):
        monkeypatch.setattr(vlog.module(name), "is_limited", False)
    return seen
