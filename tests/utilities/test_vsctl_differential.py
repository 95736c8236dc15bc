"""ovs-vsctl beside the reference's: the same scripts, the same texts, codes and databases.

Each script in `vsctl_scripts/` runs on two fresh databases, one command line after the other.  A
line that starts with "~" prints rows in an order that the database chooses, so its lines are
compared sorted.  The line "." is the program without any argument.
"""

import shlex
from pathlib import Path

import pytest

from tests.utilities.oracle import Pair, needs_reference
from utilities.vsctl import main

pytestmark = [pytest.mark.differential, needs_reference]

LONG = {"everything"}
SCRIPTS = [pytest.param(path, marks=[pytest.mark.long] if path.stem in LONG else [], id=path.stem)
           for path in sorted((Path(__file__).parent / "vsctl_scripts").glob("*.txt"))]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Make pairs of servers; all are stopped at the end."""
    made = []

    def make(with_our_server: bool) -> Pair:
        made.append(Pair(tmp_path_factory.mktemp("pair"), with_our_server=with_our_server))
        return made[-1]
    yield make
    for pair in made:
        pair.stop()


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_has_the_same_effect(script: Path, pairs) -> None:
    run_script(pairs(False), script)


@pytest.mark.parametrize("name", ["bridges", "records", "refusals"])
def test_script_has_the_same_effect_on_our_server(name: str, pairs) -> None:
    run_script(pairs(True), Path(__file__).parent / "vsctl_scripts" / f"{name}.txt")


def run_script(pair: Pair, script: Path) -> None:
    """Compare line by line, then the databases."""
    failures = []
    for line in script.read_text().splitlines():
        argv = ["--no-wait", *shlex.split(line.lstrip("~"))] if line != "." else []
        try:
            pair.compare("ovs-vsctl", main, argv, line.startswith("~"))
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n\n".join(failures)
    pair.compare_databases()


@pytest.mark.parametrize("arguments", ["list-ports nosuch", "frob", "get o . nosuch", "get o"])
def test_what_ends_a_run_is_logged_too(pairs, arguments: str) -> None:
    pair = pairs(False)
    logs = []
    pair.compare("ovs-vsctl", main, ["--no-wait", "--log-file=v.log", "-vPATTERN:file:%c|%p|%m",
                                     *arguments.split()], False)
    for server in pair.sides:
        lines = (server.directory / "v.log").read_text().splitlines()
        logs.append([line for line in lines if "|ERR|" in line])
        (server.directory / "v.log").unlink()
    assert logs[0] == logs[1] and len(logs[0]) == 1
