"""The first Python of a tool that `start.c` starts: imports from a bundle, and begins.

Lies in the bundle itself, as the module `_quickstart`.  A module is taken from the bundle only
while its source is the very file that it was made of (same time, same size); else, and for
modules that are not in it, Python's own importers follow.  So an edited file counts at once.
"""

import gc
import marshal
import posix
import sys

import _frozen_importlib

# New objects before the collector of cycles looks at them: more than a short tool makes.
_COLLECT_AFTER = 50_000

_ModuleSpec = _frozen_importlib.ModuleSpec


class Importer:
    """Finds and loads the modules of a bundle; a member of sys.meta_path."""

    def __init__(self, bundle: memoryview, index: dict[str, tuple], roots: tuple[str, str]
                 ) -> None:
        self._bundle = bundle
        self._index = index
        self._roots = roots

    def find_spec(self, name: str, path: object = None, target: object = None):
        """Return the spec of module `name`, None if it is not here or its source has changed."""
        row = self._index.get(name)
        if row is None:
            return None
        origin = self._roots[row[0]] + row[1]
        try:
            status = posix.stat(origin)
        except OSError:
            return None
        if status.st_mtime_ns != row[3] or status.st_size != row[4]:
            return None
        spec = _ModuleSpec(name, self, origin=origin, loader_state=row, is_package=row[2])
        if row[2]:
            spec.submodule_search_locations.append(origin[:-len("/__init__.py")])
        return spec

    def create_module(self, spec) -> None:
        """Let Python make the module."""

    def exec_module(self, module) -> None:
        """Run the code of a module that `find_spec` has found."""
        spec = module.__spec__
        row = spec.loader_state
        module.__file__ = spec.origin
        exec(marshal.loads(self._bundle[row[5]:row[5] + row[6]]), module.__dict__)


def run(name: str, bundle: memoryview, offset: int, size: int, root: str, stdlib: str) -> None:
    """Run the tool `name`; ends the process.

    `bundle` has its index at `offset`; `root` and `stdlib` are where the modules' sources are.
    """
    index = marshal.loads(bundle[offset:offset + size])
    sys.meta_path.insert(0, Importer(bundle, index, (root, stdlib)))
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
    gc.enable()
    from utilities.programs import start_tool
    start_tool(name)
