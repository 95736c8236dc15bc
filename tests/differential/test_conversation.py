"""Random conversations with our switch and with Debian's: see conversation.py."""

import pytest

from tests.differential.conversation import VERSIONS, Pair, describe
from tests.differential.switches import is_installed

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("conversation"))
    yield pair
    pair.close()


@pytest.mark.parametrize("first, count", [(0, 1), pytest.param(100, 40, marks=pytest.mark.long)])
@pytest.mark.parametrize("version", VERSIONS)
def test_conversations_go_alike(pair, version, first, count):
    different = []
    for seed in range(first, first + count):
        found = pair.difference(seed, version)
        if found is not None:
            step, theirs, ours = found
            different.append(f"{seed}: {describe(step)}\n{theirs}\n{ours}")
    # What is rare may be unknown yet.
    assert len(different) <= count // 20, "\n".join(different)
