"""Fixtures of the system tests: hosts, and our suite in a private directory and namespace."""

from collections.abc import Callable, Iterator

import pytest

from tests.system.network import Namespace, Suite, need_privileges


@pytest.fixture
def make_host() -> Iterator[Callable[[], Namespace]]:
    """Makes a namespace that ends with the test."""
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace())
        return made[-1]

    yield make
    for namespace in made:
        namespace.close()


@pytest.fixture
def fresh_suite(tmp_path) -> Iterator[Suite]:
    """A suite of this test alone; its switch is not started yet."""
    need_privileges()
    namespace = Namespace()
    suite = Suite(tmp_path, namespace)
    yield suite
    suite.close()
    namespace.close()


@pytest.fixture(scope="module")
def shared_suite(tmp_path_factory) -> Iterator[Suite]:
    """A running suite that the tests of a module share; see `suite`."""
    need_privileges()
    namespace = Namespace()
    suite = Suite(tmp_path_factory.mktemp("suite"), namespace)
    try:
        suite.start()
        yield suite
    finally:
        suite.close()
        namespace.close()


@pytest.fixture
def suite(shared_suite, make_host) -> Iterator[Suite]:
    """The shared suite, whose bridges go after the test. Hosts of the test go after them."""
    del make_host
    yield shared_suite
    shared_suite.clear()
