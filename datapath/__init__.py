"""The switching library in C with a thin Python face. Knows no OpenFlow wire format and no database.

PYVSWITCH_DATAPATH names a directory with another build of the compiled library `_dp`, which is
then taken instead of the one here: `make check-asan` and `make check-tsan` use it.
"""

import os

if "PYVSWITCH_DATAPATH" in os.environ:
    __path__.insert(0, os.environ["PYVSWITCH_DATAPATH"])
