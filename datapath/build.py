"""Describes the C extension `datapath._dp` to cffi; run it to build the extension in place.

API mode, out of line, abi3. `ffibuilder` is what setup.py hands to setuptools, which compiles only
what changed, in parallel, also with sanitizers (DP_SANITIZE); `python datapath/build.py` calls
setup.py for the same result. The declarations are those of `src/api.h`, less its # lines.
"""

import re
import subprocess
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from datapath import generate  # noqa: E402  (run as a script, the root is not yet on the path)

SOURCE = "datapath/src"
FLAGS = ["-std=gnu11", "-O3", "-g", "-Wall", "-Wextra", "-Wno-missing-field-initializers",
         "-fvisibility=hidden", "-pthread"]


def declarations(header: Path = ROOT / SOURCE / "api.h") -> str:
    """Return a header as cffi's cdef can read it: without its preprocessor lines."""
    return re.sub(r"^#.*$", "", header.read_text(), flags=re.MULTILINE)


def sources() -> list[str]:
    """Return all C files of the library, relative to the root, sorted."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / SOURCE).rglob("*.c"))


generate.write()
ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source("datapath._dp", '#include "api.h"', sources=sources(),
                      include_dirs=[SOURCE], extra_compile_args=FLAGS,
                      extra_link_args=["-pthread"], libraries=["m"])

if __name__ == "__main__":
    sys.exit(subprocess.call([sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
                             cwd=ROOT))
