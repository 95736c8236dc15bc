"""Writes the launchers: one small script per program, in the virtual environment's bin directory.

`python -m utilities.launcher VENV` writes VENV/bin/NAME for each program of `utilities.programs`
whose module exists, and VENV/share/openvswitch with the schemas, ovs-lib and the scripts that
others look for there.  Called by `make build`.

A tool is a C program that starts Python itself (utilities/quickstart).  Where that cannot be
compiled a tool is a script, as the daemons always are: these start once, and are long there.

A script names the environment's Python in its first line, because then the kernel gives the
process the script's name (/proc/PID/comm), which `ps`, `pidof` and the init scripts look for.
Python runs with -I, so that a caller's PYTHONPATH, PYTHONHOME or working directory cannot replace
our modules, and with -S, because looking for site packages costs a quarter of the start-up: the
two directories needed are written down instead.

The kernel takes neither a long first line nor a space in it.  Such a checkout gets a first line
for the shell, and the process then takes its name by itself.
"""

import os
import re
import shlex
import sys
import sysconfig
from pathlib import Path

from utilities.programs import DAEMONS, PROGRAMS
from utilities.quickstart.build import write_tools

ROOT = Path(__file__).resolve().parents[1]
FLAGS = "-IS"
FIRST_LINE_MAX = 127                   # Linux before 5.1; later kernels take 255.

_BODY = """\
import sys
sys.path += [{root!r}, {site!r}]
from utilities.programs import start
start({name!r})
"""
_BODY_NAMING_ITSELF = """\
with open("/proc/self/comm", "w") as comm:
    comm.write({name!r})
"""
_SHELL = """\
#!/bin/sh
''':'
exec {python} {flags} "$0" "$@"
'''
"""


def launcher_text(name: str, root: str, python: str, site: str) -> str:
    """Return the launcher of program `name`.

    `root` is the checkout, `python` the interpreter, `site` the directory of the requirements.
    """
    body = _BODY.format(name=name, root=root, site=site)
    line = f"#!{python} {FLAGS}\n"
    if len(os.fsencode(line)) <= FIRST_LINE_MAX and not any(c.isspace() for c in python):
        return line + body
    shell = _SHELL.format(python=shlex.quote(python), flags=FLAGS)
    return shell + _BODY_NAMING_ITSELF.format(name=name) + body


def module_exists(module: str, root: Path) -> bool:
    """Tell whether `module` (dotted) is a file or a package of the checkout."""
    path = root.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def write_launchers(venv: Path) -> list[str]:
    """Write a launcher for each program that exists into `venv`/bin; return their names."""
    venv = venv.absolute()
    site = sysconfig.get_path("purelib", "venv", {"base": str(venv), "platbase": str(venv)})
    written = [name for name, module in PROGRAMS.items() if module_exists(module, ROOT)]
    for name in PROGRAMS.keys() - set(written):
        (venv / "bin" / name).unlink(missing_ok=True)
    complaint = write_tools(venv, site, [name for name in written if name not in DAEMONS])
    if complaint:
        print(f"the tools are scripts, which start more slowly: {complaint}", file=sys.stderr)
    for name in written:
        if not complaint and name not in DAEMONS:
            continue
        path = venv / "bin" / name
        text = launcher_text(name, str(ROOT), str(venv / "bin" / "python3"), site).encode()
        if not path.is_file() or path.read_bytes() != text:
            draft = path.with_name(f".{name}.new")
            draft.write_bytes(text)
            draft.chmod(0o755)
            draft.replace(path)
    write_share(venv)
    return written


def write_share(venv: Path) -> None:
    """Write VENV/share/openvswitch: the schemas, and scripts/ with ovs-lib and what it runs."""
    share = venv / "share" / "openvswitch"
    scripts = share / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    text = (ROOT / "utilities" / "ovs-lib").read_text()
    for name, path in (("datadir", share), ("bindir", venv / "bin"), ("sbindir", venv / "bin")):
        text = re.sub(rf"^({name}=\$\{{\w+-).*\}}$",
                      lambda match: f"{match[1]}{shlex.quote(str(path))}}}", text, count=1,
                      flags=re.MULTILINE)
    (scripts / "ovs-lib").write_text(text)
    for link, target in ((scripts / "ovs-ctl", venv / "bin" / "ovs-ctl"),
                         (scripts / "ovs-save", venv / "bin" / "ovs-save"),
                         *((share / schema.name, schema)
                           for schema in (ROOT / "schema").glob("*.ovsschema"))):
        link.unlink(missing_ok=True)
        link.symlink_to(target)


if __name__ == "__main__":
    print(f"{len(write_launchers(Path(sys.argv[1])))} programs in {sys.argv[1]}/bin")
