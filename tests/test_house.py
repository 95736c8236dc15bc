"""The rules of structure: who may import whom, in Python and in C, and what no file may contain.

`LAYERS` is the rule; the first row whose name is the module or a package of it applies.  The other
tests keep what a reader relies on: calls that go one way, a docstring in each file, no OpenFlow
numbers in the datapath.
"""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("schema", "datapath", "ovsdb_server", "vswitchd", "utilities", "tests")
CODEC = tuple(f"vswitchd.openflow.{name}" for name in (
    "fields", "oxm", "match", "actions", "action_types", "action_text", "value_text",
    "action_reader",
    "action_decoder", "action_encoder", "action_layout", "action_order", "oxm_text",
    "consistency", "error", "value", "learned", "messages", "framing", "text", "print", "packed", "source",
    "session", "compile", "decompile", "options", "packet_text", "compose_packet", "oxm_text",
    "features", "color", "quick.lines", "quick.shapes"))
CODEC_USES = ("schema", "datapath.match", "datapath.program", "datapath.text",
              "datapath.action_text", *CODEC)
# Machines of OpenFlow connections: bytes and time come as arguments. Only the edge waits.
MACHINES = tuple(f"vswitchd.openflow.{name}" for name in (
    "connection", "outbox", "remote", "fail_open", "pace"))
OPENFLOW_EDGE = tuple(f"vswitchd.openflow.{name}" for name in (
    "channels", "sockets", "line", "reception"))
DECIDING = tuple(f"vswitchd.config.{name}" for name in ("desired", "derive", "diff", "actions"))


class Layer(NamedTuple):
    """Modules below `name` may import those below `uses`; trio only if `has_trio`."""

    name: str
    uses: tuple[str, ...]
    has_trio: bool = False


LAYERS = (
    Layer("schema", ("schema",)),
    Layer("datapath", ("datapath", "schema")),
    Layer("ovsdb_server.engine", ("ovsdb_server.engine", "schema")),
    Layer("ovsdb_server.storage", ("ovsdb_server.engine", "ovsdb_server.storage", "schema")),
    Layer("ovsdb_server", ("ovsdb_server", "schema"), has_trio=True),
    Layer("vswitchd.protocols.runner", ("vswitchd.protocols", "schema"), has_trio=True),
    Layer("vswitchd.protocols", ("vswitchd.protocols", "schema")),
    Layer("vswitchd.export", ("vswitchd.export", "schema")),
    *(Layer(name, CODEC_USES) for name in CODEC),
    *(Layer(name, ("ovsdb_server.vlog", "vswitchd.config.desired", *MACHINES, *CODEC_USES))
      for name in MACHINES),
    *(Layer(name, ("vswitchd", "ovsdb_server", "datapath", "schema"), has_trio=True)
      for name in OPENFLOW_EDGE),
    Layer("vswitchd.openflow", ("vswitchd", "ovsdb_server", "datapath", "schema")),
    *(Layer(name, ("schema", *DECIDING)) for name in DECIDING),
    Layer("vswitchd", ("vswitchd", "ovsdb_server", "datapath", "schema"), has_trio=True),
    Layer("utilities.ovsdb_tool", ("utilities", "ovsdb_server", "schema")),
    Layer("utilities.cluster_check", ("utilities", "ovsdb_server", "schema")),
    Layer("utilities", (
        "utilities", "ovsdb_server.rpc", "ovsdb_server.engine", *CODEC_USES)),
)
# What tools may import inside the functions of those commands that need it.
TOOLS_MAY_DEFER = ("datapath", "ovsdb_server", *DECIDING)

C_LAYERS = ("base", "packet", "classifier", "conntrack", "action", "cache", "pipeline",
            "translation", "port", "worker")


class Import(NamedTuple):
    """One imported module, and whether the import is inside a function."""

    module: str
    line: int
    is_deferred: bool


def is_within(module: str, package: str) -> bool:
    """Tell whether dotted `module` is `package` or below it."""
    return module == package or module.startswith(package + ".")


def module_name(path: Path) -> str:
    """Return the dotted name of the module in file `path`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(name: str) -> bool:
    """Tell whether dotted `name` is a module or a package of ours."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports_of(path: Path) -> list[Import]:
    """Return what the file at `path` imports; `from a import b` counts as a.b if that is a module."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path.parent)
    found = []

    def visit(node: ast.AST, is_deferred: bool) -> None:
        match node:
            case ast.Import():
                found.extend(Import(a.name, node.lineno, is_deferred) for a in node.names)
            case ast.ImportFrom():
                base = node.module or ""
                if node.level:
                    parents = package.split(".")[:len(package.split(".")) - node.level + 1]
                    base = ".".join([*parents, base]).rstrip(".")
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    ours = base.split(".")[0] in OURS
                    name = full if ours and is_module(full) else base
                    found.append(Import(name, node.lineno, is_deferred))
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                return
        deferred = is_deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, deferred)

    visit(ast.parse(path.read_text()), False)
    return found


def layer_of(module: str) -> Layer:
    """Return the row of LAYERS for `module`."""
    return next(layer for layer in LAYERS if is_within(module, layer.name))


PYTHON = sorted(path for top in OURS[:-1] for path in (ROOT / top).rglob("*.py"))
IMPORTS = {module_name(path): imports_of(path) for path in PYTHON}


def wrong_imports(module: str, imports: list[Import]) -> list[str]:
    """Return a line for each of `imports` that the layer of `module` does not allow."""
    layer = layer_of(module)
    wrong = []
    for imported in imports:
        uses = layer.uses
        if layer.name.startswith("utilities") and imported.is_deferred:
            uses += TOOLS_MAY_DEFER
        top = imported.module.split(".")[0]
        if top == "trio":
            is_allowed = layer.has_trio
        elif imported.module in OURS and any(use.startswith(imported.module) for use in uses):
            is_allowed = True                    # The package itself, which is only a docstring.
        else:
            is_allowed = top not in OURS or any(is_within(imported.module, use) for use in uses)
        if not is_allowed:
            wrong.append(f"{module}:{imported.line} imports {imported.module}")
    return wrong


def test_modules_import_only_what_their_layer_allows():
    assert [line for module in IMPORTS for line in wrong_imports(module, IMPORTS[module])] == []


@pytest.mark.parametrize("module, imported, is_deferred", [
    ("schema.flow.fields", "datapath", False),
    ("datapath.face", "vswitchd.openflow", False),
    ("ovsdb_server.engine.row", "trio", False),
    ("ovsdb_server.storage.journal", "ovsdb_server.service", False),
    ("ovsdb_server.service.sessions", "vswitchd", False),
    ("vswitchd.openflow.actions", "trio", False),
    ("vswitchd.openflow.messages.flow_mod", "vswitchd.openflow.agent", False),
    ("vswitchd.openflow.bridge_agent", "trio", False),
    ("vswitchd.openflow.connection", "trio", False),
    ("vswitchd.openflow.remote", "vswitchd.openflow.channels", False),
    ("vswitchd.openflow.fail_open", "datapath.face", False),
    ("vswitchd.config.diff", "datapath.face", False),
    ("vswitchd.protocols.lacp.machine", "trio", False),
    ("vswitchd.supervisor", "utilities.vsctl", False),
    ("utilities.ofctl.main", "datapath.face", False),
    ("utilities.vsctl.main", "ovsdb_server.service", False),
    ("utilities.vsctl.main", "trio", True),
])
def test_the_import_rule_bites(module, imported, is_deferred):
    assert wrong_imports(module, [Import(imported, 1, is_deferred)]) != []


def test_modules_have_no_import_cycles():
    graph = {module: {imported.module for imported in imports
                      if imported.module in IMPORTS} - {module}
             for module, imports in IMPORTS.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module):], module])
        if module not in done:
            for imported in sorted(graph[module]):
                visit(imported, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_annotations_hide_no_import_of_ours():
    """What is needed for types only counts too: a circle of them reads as one of calls."""
    found = [f"{path.relative_to(ROOT)}:{node.lineno}" for path in PYTHON
             for hidden in ast.walk(ast.parse(path.read_text()))
             if isinstance(hidden, ast.If) and getattr(hidden.test, "id", "") == "TYPE_CHECKING"
             for node in hidden.body
             if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS]
    assert found == []


def test_only_the_ffi_module_imports_the_compiled_library():
    users = {module for module, imports in IMPORTS.items() for imported in imports
             if imported.module in ("datapath._dp", "_dp")}
    assert users <= {"datapath.ffi"}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")) + PYTHON,
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_each_python_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), path


WIDTHS = {".py": 100, ".c": 79, ".h": 79, ".inl": 79}


def test_lines_keep_to_their_width():
    """Of what is read most; tests and benchmarks hold recorded lines."""
    paths = [path for top in OURS[:-1] for path in sorted((ROOT / top).rglob("*"))
             if path.suffix in WIDTHS and "generated" not in path.parts]
    assert len(paths) > 300
    found = [f"{path.relative_to(ROOT)}:{number}" for path in paths
             for number, line in enumerate(path.read_text().splitlines(), 1)
             if len(line) > WIDTHS[path.suffix]]
    assert found == []


C_SOURCE = ROOT / "datapath" / "src"
C_FILES = sorted(path for path in C_SOURCE.rglob("*")
                 if path.suffix in (".c", ".h", ".inl") and "generated" not in path.parts)


def wrong_includes(room: str, text: str) -> list[str]:
    """Return the #includes in C `text` of directory `room` ("" for src/) that point upwards."""
    wrong = []
    for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
        target = included.split("/")[0] if "/" in included else room
        if room in C_LAYERS and target in C_LAYERS:
            if C_LAYERS.index(target) > C_LAYERS.index(room):
                wrong.append(included)
        elif target not in (room, "generated"):
            wrong.append(included)
    return wrong


def test_c_files_include_only_downwards():
    wrong = {}
    for path in C_FILES:
        parts = path.relative_to(C_SOURCE).parts
        if len(parts) > 1:
            assert parts[0] in C_LAYERS, path
            text = path.read_text().replace('#include "api.h"', "")
            if found := wrong_includes(parts[0], text):
                wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}


def test_the_include_rule_bites():
    assert wrong_includes("pipeline", '#include "translation/xlate.h"\n') == [
        "translation/xlate.h"]
    assert wrong_includes("pipeline", '#include "packet/flow.h"\n#include "x.h"\n') == []


def include_circles(includes: dict[str, list[str]]) -> list[str]:
    """Return the ways in which files include each other around, of {file: what it includes}."""
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name):], name]))
        elif name not in done:
            for included in includes.get(name, ()):
                visit(included, (*trail, name))
            done.add(name)

    for name in includes:
        visit(name, ())
    return found


def test_c_headers_do_not_include_each_other_around():
    includes = {str(path.relative_to(C_SOURCE)): re.findall(
        r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE) for path in C_FILES}
    assert sum(map(len, includes.values())) > 150
    assert include_circles(includes) == []


def test_the_rule_about_circles_bites():
    assert include_circles({"a.h": ["b.h"], "b.h": ["c.h", "d.h"], "c.h": ["a.h"]}) == [
        "a.h -> b.h -> c.h -> a.h"]
    assert include_circles({"a.h": ["b.h", "c.h"], "b.h": ["c.h"]}) == []


# What calls itself around since a packet's way does: datapath/src/README.md says why.
C_CIRCLES = {frozenset(f"datapath/src/translation/{name}.c" for name in (
    "op", "output", "normal", "select"))}


def find_objects() -> dict[str, Path]:
    """Return {C file: its object}, of the first kind of build that is complete and up to date."""
    for kind in ("plain", "asan", "tsan"):
        folder = ROOT / "build" / kind / "objects"
        found = {str(path.relative_to(folder).with_suffix(".c")): path
                 for path in sorted(folder.rglob("*.o"))}
        found = {name: path for name, path in found.items() if (ROOT / name).is_file()}
        wanted = {str(path.relative_to(ROOT)) for path in C_FILES if path.suffix == ".c"}
        if wanted <= set(found) and all(
                (ROOT / name).stat().st_mtime <= path.stat().st_mtime
                for name, path in found.items()):
            return found
    return {}


def calls_of(symbols: str) -> dict[str, set[str]]:
    """Return {object: objects it uses something of} from what `nm -A` prints."""
    defined, used = {}, []
    for line in symbols.splitlines():
        path, _, rest = line.rpartition(":")
        kind, symbol = rest.split()[-2:]
        if kind == "U":
            used.append((path, symbol))
        elif kind.isupper():
            defined[symbol] = path
    calls: dict[str, set[str]] = {path: set() for path in defined.values()}
    for path, symbol in used:
        calls.setdefault(path, set()).update({defined.get(symbol, path)} - {path})
    return calls


def circles_of(calls: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the sets of names each of which leads to all others of its set."""
    reached: dict[str, set[str]] = {}
    for name in calls:
        seen: set[str] = set()
        ahead = [name]
        while ahead:
            new = calls[ahead.pop()] - seen
            seen |= new
            ahead += new
        reached[name] = seen
    return {frozenset(other for other in reached[name] if name in reached[other])
            for name in calls if name in reached[name]}


def test_c_files_call_each_other_one_way():
    """A circle of calls is named above and explained, or it is not there."""
    objects = find_objects()
    if not objects:
        pytest.skip("no objects of this source: make build")
    if not shutil.which("nm"):
        pytest.skip("no nm")
    listed = subprocess.run(["nm", "-A", *map(str, objects.values())], capture_output=True,
                            text=True, check=True)
    names = {str(path): name for name, path in objects.items()}
    calls = {names[path]: {names[used] for used in uses}
             for path, uses in calls_of(listed.stdout).items()}
    assert sum(map(len, calls.values())) > 200
    assert circles_of(calls) == C_CIRCLES
    explained = (C_SOURCE / "README.md").read_text()
    assert [name for circle in C_CIRCLES for name in circle
            if f"`{Path(name).name}`" not in explained] == []


def test_the_rule_about_calls_bites():
    symbols = ("a.o:0000000000000000 T run\na.o:                 U helper\na.o:    U memcpy\n"
               "b.o:0000000000000000 T helper\nb.o:                 U state\n"
               "b.o:0000000000000010 t run\nc.o:0000000000000000 D state\nc.o:    U run\n"
               "d.o:0000000000000000 T top\nd.o:    U run\n")
    assert circles_of(calls_of(symbols)) == {frozenset({"a.o", "b.o", "c.o"})}
    assert circles_of({"a.o": {"b.o"}, "b.o": {"c.o"}, "c.o": set()}) == set()


def test_the_datapath_knows_no_openflow_code_points():
    """No constants of messages; OFP_x, the reserved port numbers, are what its programs use too."""
    pattern = re.compile(r"\b(OFP[A-Z0-9]+_[A-Z]|NXA?S?T_[A-Z]|NXM_|OXM_|ONF?A?C?T?_[A-Z]+_ET)\w*")
    found = [f"{path.relative_to(ROOT)}: {match.group()}" for path in C_FILES
             for match in pattern.finditer(_without_comments(path.read_text()))]
    assert found == []


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)


def test_no_file_names_a_machine():
    """No path of one person's or one machine's directories, in any file kept in git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    pattern = re.compile(rb"(?<![\w.])/(?:work/|root/|home/\w|Users/\w)[^\s'\"]*")
    found = []
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file() and path != Path(__file__).resolve():
            found += [f"{name}: {match.decode()}" for match in pattern.findall(path.read_bytes())]
    assert found == []
