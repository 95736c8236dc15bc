"""Describes the C extensions `_quick`, to cffi as datapath/build.py does, `_lines` and `_shapes`.

`ffibuilder` and `FOR_TOOLS` are what setup.py hands to setuptools. The latter two are for tools,
which have no time to import cffi.
"""

from cffi import FFI
from setuptools import Extension

from datapath.build import FLAGS, ROOT, SOURCE, declarations
from vswitchd.openflow.quick import generate

HERE = "vswitchd/openflow/quick"
# What makes up the codec; the other C files are for tools.
CODEC = ("quick", "terms", "plain", "flow_mod", "packet_out", "talk", "plan", "flow_stats",
         "packet_in")

ffibuilder = FFI()
ffibuilder.cdef(declarations(ROOT / HERE / "quick.h"))
ffibuilder.set_source("vswitchd.openflow.quick._quick", '#include "quick.h"',
                      sources=[f"{HERE}/{name}.c" for name in CODEC], include_dirs=[HERE, SOURCE],
                      extra_compile_args=FLAGS)

generate.write()
FOR_TOOLS = [Extension(f"vswitchd.openflow.quick._{name}", [f"{HERE}/{name}.c"],
                       include_dirs=[HERE, SOURCE], extra_compile_args=FLAGS)
             for name in ("lines", "shapes")]
