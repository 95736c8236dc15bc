"""Builds the C extensions (cffi needs a setup.py); called by `make build`.

`python setup.py build_ext --inplace` compiles what `BUILDERS` describe: only the sources
whose text, headers or flags changed, several at a time.  With DP_SANITIZE=address,undefined or
DP_SANITIZE=thread in the environment the same extension is built with gcc's sanitizers, beside
the plain one: under build/asan or build/tsan (see make check-asan and check-tsan).
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

BUILDERS = ("datapath/build.py", "vswitchd/openflow/quick/build.py")
SANITIZE = os.environ.get("DP_SANITIZE", "")

# This one makes and reads Python's own objects, which cffi has no words for: see
# docs/decisions/0006-road.md.
_ROAD = "ovsdb_server/quick"
ROAD = Extension("ovsdb_server.quick._road",
                 [f"{_ROAD}/{name}.c" for name in ("module", "text", "transact")],
                 extra_compile_args=["-std=gnu11", "-O3", "-g", "-Wall", "-Wextra",
                                     "-Wno-missing-field-initializers", "-fvisibility=hidden"])


class IncrementalBuild(build_ext):
    """build_ext that compiles in parallel and leaves alone what is up to date."""

    def finalize_options(self) -> None:
        """Keep each kind of build in a directory of its own."""
        super().finalize_options()
        kind = "plain"
        if SANITIZE:
            kind = "tsan" if "thread" in SANITIZE else "asan"
            self.inplace = False
            self.build_lib = f"build/{kind}"
        self.build_temp = f"build/{kind}/objects"
        self.force = True                        # The decision is made per file, below.

    def build_extension(self, ext) -> None:
        """Compile and link `ext` as far as needed."""
        if SANITIZE:
            flags = [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-g", "-O1"]
            ext.extra_compile_args = [*ext.extra_compile_args, *flags]
            ext.extra_link_args = [*ext.extra_link_args, f"-fsanitize={SANITIZE}"]
        compiler = self.compiler
        compiler.compile = lambda *args, **kwargs: compile_changed(compiler, *args, **kwargs)
        link = compiler.link_shared_object
        compiler.link_shared_object = lambda objects, output, *args, **kwargs: (
            link(objects, output, *args, **kwargs) if is_older(output, objects) else None)
        super().build_extension(ext)


def is_older(product: str, inputs: list[str]) -> bool:
    """Tell whether `product` is missing or older than one of `inputs` (or one of them missing)."""
    try:
        made = os.stat(product).st_mtime_ns
        return any(os.stat(path).st_mtime_ns > made for path in inputs)
    except FileNotFoundError:
        return True


def read_dependencies(path: Path) -> list[str]:
    """Return the prerequisites in gcc's dependency file `path`."""
    text = path.read_text().replace("\\\n", " ").replace("\\ ", "\0")
    return [word.replace("\0", " ") for word in text.split(": ", 1)[1].split()]


def compile_changed(compiler, sources, output_dir=None, macros=None, include_dirs=None, debug=0,
                    extra_preargs=None, extra_postargs=None, depends=None) -> list[str]:
    """Stand in for CCompiler.compile: compile in parallel those of `sources` that need it.

    Beside each object lie the command that made it and gcc's list of the files it read.
    Returns all objects, as CCompiler.compile does.  Raises: CalledProcessError.
    """
    macros, objects, postargs, preargs, _ = compiler._setup_compile(
        output_dir, macros, include_dirs, sources, depends, extra_postargs or [])
    options = compiler._get_cc_args(preargs, debug, extra_preargs)
    jobs = []
    for source, product in zip(sources, objects, strict=True):
        command = [*compiler.compiler_so, *options, *postargs,
                   "-MMD", "-MF", product + ".d", "-c", source, "-o", product]
        record = Path(product + ".cmd")
        line = "\0".join(command)
        try:
            fresh = record.read_text() == line
            fresh = fresh and not is_older(product, read_dependencies(Path(product + ".d")))
        except (FileNotFoundError, IndexError):
            fresh = False
        if not fresh:
            jobs.append((command, record, line))

    def run(job) -> None:
        command, record, line = job
        sys.stdout.write(f"compiling {command[-3]}\n")
        record.unlink(missing_ok=True)
        subprocess.run(command, check=True)
        record.write_text(line)

    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        list(pool.map(run, jobs))
    return objects


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vswitchd.openflow.quick.build import FOR_TOOLS  # noqa: E402  (the root was not on the path)
setup(cffi_modules=[f"{builder}:ffibuilder" for builder in BUILDERS],
      ext_modules=[ROAD, *FOR_TOOLS], cmdclass={"build_ext": IncrementalBuild})
