"""The first Python of a tool that `start.c` starts: imports from a bundle, and begins.

Lies in the bundle itself, as the module `_quickstart`.  A module is taken from the bundle only
while its source is the very file that it was made of (same time, same size); else, and for
modules that are not in it, Python's own importers follow.  So an edited file counts at once.

The modules that a tool loads in any case are a pack, which is loaded as a whole, in the order in
which they need each other: that is quicker than one by one, and strings that they share are there
once.  A module that is loaded later may have a pack, too: of the modules that it needs.

Dataclasses and named tuples write functions as text and compile it.  The texts of ours are in the
bundle with what the compiler made of them, which is half of the start of ovs-ofctl.
"""

import gc
import marshal
import posix
import sys

import _frozen_importlib
import _frozen_importlib_external

# New objects before the collector of cycles looks at them: more than a short tool makes.
_COLLECT_AFTER = 50_000

_Module = type(sys)
# Modules that are hardly ever used by those who import them.
_LAZY = frozenset(("inspect",))

_ModuleSpec = _frozen_importlib.ModuleSpec
_ExtensionFileLoader = _frozen_importlib_external.ExtensionFileLoader
_INIT = "/__init__.py"


class _LazyModule(_Module):
    """A module whose code runs when it is first asked for something."""

    def __getattr__(self, name: str) -> object:
        self.__class__ = _Module
        self.__loader__.run_code(self)
        return getattr(self, name)


class Importer:
    """Finds and loads the modules of a bundle; a member of sys.meta_path.

    `packs` says where in the bundle the packs are, {name: (offset, size)}, and as "" the table of
    all modules, as "=MODULE" the compiled texts of one; `roots` are the directories of the sources
    (see build.py); `extensions` are the files of the standard library's modules in C, which need no
    looking for.
    """

    def __init__(self, bundle: memoryview, packs: dict[str, tuple], roots: tuple[str, str],
                 extensions: dict[str, str]) -> None:
        self._bundle = bundle
        self._packs = packs
        self._roots = roots
        self._extensions = extensions
        self._modules: dict[str, tuple] | None = None
        self._codes: dict[str, dict[str, object]] = {}

    def find_spec(self, name: str, path: object = None, target: object = None):
        """Return the spec of module `name`, None if it is not here or its source has changed."""
        file = self._extensions.get(name)
        if file is not None:
            loader = _ExtensionFileLoader(name, file)
            return _ModuleSpec(name, loader, origin=file)
        if self._modules is None:
            self._modules = self._load(self._packs[""])
        row = self._modules.get(name)
        if row is None or not self._is_current(row):
            return None
        if name in self._packs:
            self.load_pack(name)
        return self._spec(name, row)

    def create_module(self, spec):
        """Return the module if one of its pack has needed it, else let Python make it."""
        return sys.modules.get(spec.name)

    def exec_module(self, module) -> None:
        """Run the code of a module that `find_spec` has found, unless that was done for one of its
        pack."""
        spec = module.__spec__
        if "__file__" in module.__dict__:
            return
        module.__file__ = spec.origin
        if spec.name in _LAZY:
            module.__class__ = _LazyModule
        else:
            self.run_code(module)

    def run_code(self, module) -> None:
        """Run the code of a module that is alone."""
        self._run_code(module, self._load(module.__spec__.loader_state[5:7]))

    def _run_code(self, module, code) -> None:
        exec(code, module.__dict__)
        name = module.__name__
        if name == "dataclasses":
            module.exec = self._execute
        elif name == "collections":
            module.eval = self._evaluate

    def _execute(self, text: str, names: dict, locals: dict) -> None:
        """Do as exec, with the code that is there for `text`."""
        exec(self._compiled(text, names), names, locals)

    def _evaluate(self, text: str, names: dict) -> object:
        """Do as eval, with the code that is there for `text`."""
        return eval(self._compiled(text, names), names)

    def _compiled(self, text: str, names: dict) -> object:
        module = names.get("__name__", "")
        codes = self._codes.get(module)
        if codes is None:
            place = self._packs.get(f"={module}")
            codes = self._codes[module] = self._load(place) if place is not None else {}
        return codes.get(text, text)

    def load_pack(self, name: str) -> None:
        """Import the modules of the pack called `name`; none if a source has changed."""
        rows, place = self._load(self._packs[name])
        loaded = sys.modules
        if not all(map(self._is_current, rows)):
            return
        todo = {row[7]: (row, code) for row, code in zip(rows, self._load(place))
                if row[7] not in loaded}
        # All are there before the first one runs: a package may need its own modules.
        for name, (row, code) in todo.items():
            module = loaded[name] = _Module(name)
            spec = module.__spec__ = self._spec(name, row)
            module.__file__ = spec.origin
            module.__loader__ = self
            module.__package__ = spec.parent
            if row[2]:
                module.__path__ = spec.submodule_search_locations
        done = set()
        try:
            for name, (row, code) in todo.items():
                self._run_code(loaded[name], code)
                done.add(name)
                outer, _, last = name.rpartition(".")
                if outer:
                    setattr(loaded[outer], last, loaded[name])
        except BaseException:
            for name in todo.keys() - done:
                loaded.pop(name, None)
            raise

    def _load(self, place: tuple[int, int]) -> object:
        offset, size = place
        return marshal.loads(self._bundle[offset:offset + size])

    def _is_current(self, row: tuple) -> bool:
        try:
            status = posix.stat(self._roots[row[0]] + row[1])
        except OSError:
            return False
        return status.st_mtime_ns == row[3] and status.st_size == row[4]

    def _spec(self, name: str, row: tuple):
        origin = self._roots[row[0]] + row[1]
        spec = _ModuleSpec(name, self, origin=origin, loader_state=row, is_package=row[2])
        if row[2]:
            spec.submodule_search_locations.append(origin[:-len(_INIT)])
        return spec


# What a short way in C has left to go on with: see utilities/begun.py.
talk: tuple | None = None


def run(name: str, bundle: memoryview, offset: int, size: int, root: str, stdlib: str,
        begun: tuple) -> None:
    """Run the tool `name`; ends the process.

    `bundle` has the importer's table at `offset`; `root` and `stdlib` are where the sources are;
    `begun` is the `talk`.
    """
    global talk
    talk = begun
    packs, extensions = marshal.loads(bundle[offset:offset + size])
    importer = Importer(bundle, packs, (root, stdlib), extensions)
    sys.meta_path.insert(1, importer)   # After what is built in.
    # It was there before there was any importer, and does not know where its codecs are.
    sys.modules["encodings"].__path__ = [f"{stdlib}/encodings"]
    if name in packs:
        importer.load_pack(name)
    gc.set_threshold(_COLLECT_AFTER, 10, 10)
    gc.enable()
    from utilities.programs import PROGRAMS, start_tool
    if name not in PROGRAMS:
        # A file of another name, or one that was replaced meanwhile: the caller's word, then.
        name = sys.argv[0].rpartition("/")[2]
        if name not in PROGRAMS:
            sys.exit(f"{sys.argv[0]}: a tool of the suite needs the name of one")
    start_tool(name)
