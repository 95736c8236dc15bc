"""Where large work may be interrupted: loops over many things go over `paced(things)` instead.

Whoever runs a large transaction in slices passes a function that yields the same things and lets
others have their turn now and then; everybody else passes `at_once`.  Between two things the
committed rows stay as they are: nobody commits to the database meanwhile.

Pure.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")

Paced = Callable[[Iterable[_T]], Iterable[_T]]


def at_once(things: Iterable[_T]) -> Iterable[_T]:
    """Return `things`: nobody is waiting."""
    return things
