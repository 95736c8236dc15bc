"""The switching library in C with a thin Python face; knows no OpenFlow wire format, no database.

`ffi.py` alone loads the compiled library; importing the package loads nothing.
"""
