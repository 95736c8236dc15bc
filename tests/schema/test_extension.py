"""Tests of schema/extension.py."""

import shutil
import sys
from pathlib import Path

import pytest

from schema import extension

ROOT = Path(__file__).resolve().parents[2]
NAME = "vswitchd.openflow.quick._lines"


@pytest.fixture
def no_module(monkeypatch):
    """Let what the test loads take no other test's place."""
    monkeypatch.setitem(sys.modules, NAME, sys)


def test_an_extension_lies_beside_its_python(monkeypatch, no_module):
    monkeypatch.delenv("PYVSWITCH_DATAPATH", raising=False)
    module = extension.load(NAME, extension.VERSIONED)
    assert Path(module.__file__).parent == ROOT / "vswitchd/openflow/quick"
    assert sys.modules[NAME] is module


def test_another_build_lies_below_another_directory(monkeypatch, tmp_path, no_module):
    path = f"{NAME.replace('.', '/')}{extension.VERSIONED}"
    copy = tmp_path / path
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / path, copy)
    monkeypatch.setenv("PYVSWITCH_DATAPATH", str(tmp_path / "datapath"))
    assert extension.load(NAME, extension.VERSIONED).__file__ == str(copy)


def test_an_extension_that_is_not_built_is_told_with_its_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PYVSWITCH_DATAPATH", str(tmp_path / "datapath"))
    with pytest.raises(extension.NotBuilt, match=f"{tmp_path}/datapath/_dp.abi3.so is missing"):
        extension.load("datapath._dp")
    assert extension.find("datapath._dp") is None
