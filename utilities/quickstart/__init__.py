"""How the tools start fast: a C program around libpython, and their modules in one file.

`start.c` is the program, `importer.py` the first Python it runs, which takes modules from a
bundle; `build.py` makes both at `make build` (docs/decisions/0005-quickstart.md).
"""
