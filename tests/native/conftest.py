"""Compiles the C tests of this directory with the rooms of the library that they need."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def compile_native(tmp_path_factory):
    """Return a function that builds tests/native/NAME.c with some rooms of the library."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    from datapath import generate
    generate.write()

    def build(name: str, rooms: tuple[str, ...], sanitize: str = "") -> Path:
        out = tmp_path_factory.mktemp("native") / name
        source = ROOT / "datapath/src"
        sources = sorted(str(path) for room in rooms for path in (source / room).glob("*.c"))
        flags = [f"-fsanitize={sanitize}"] if sanitize else []
        subprocess.run(
            [compiler, "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra",
             "-Wno-missing-field-initializers", "-pthread", *flags,
             f"-I{ROOT}/datapath/src", f"{ROOT}/tests/native/{name}.c", *sources, "-lm",
             "-o", str(out)], check=True)
        return out
    return build
