"""Describes the C extension `vswitchd.openflow.quick._quick` to cffi, as datapath/build.py does.

`ffibuilder` is what setup.py hands to setuptools.
"""

from cffi import FFI

from datapath.build import FLAGS, ROOT, SOURCE, declarations

HERE = "vswitchd/openflow/quick"

ffibuilder = FFI()
ffibuilder.cdef(declarations(ROOT / HERE / "quick.h"))
ffibuilder.set_source("vswitchd.openflow.quick._quick", '#include "quick.h"',
                      sources=[f"{HERE}/quick.c", f"{HERE}/plain.c"], include_dirs=[HERE, SOURCE],
                      extra_compile_args=FLAGS)
