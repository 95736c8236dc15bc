"""The switching library in C with a thin Python face. Knows no OpenFlow wire format and no database.

`ffi.py` alone loads the compiled library; importing the package loads nothing.
"""
