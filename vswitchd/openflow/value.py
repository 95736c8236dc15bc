"""Values of the codec: actions, messages and their parts, which compare by what they hold.

A dataclass would do, but takes half a millisecond to define, which a tool with a hundred of them
has not got; and an instance takes longer to make. Any thread.
"""

from operator import itemgetter


class Value(tuple):
    """Base of all values: a tuple with named members, declared by annotations.

    Subclasses list their members as annotations, with defaults where they have any. Equal members
    in two classes are not equal values, and a value is true, whatever is in it.
    """

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()
    _defaults: tuple = ()

    def __init_subclass__(cls) -> None:
        names = tuple(cls.__dict__.get("__annotations__", ()))
        cls._defaults = tuple(cls.__dict__[name] for name in names if name in cls.__dict__)
        for index, name in enumerate(names):
            setattr(cls, name, property(itemgetter(index)))
        cls.__match_args__ = names

    def __new__(cls, *args, **kwargs):
        names, defaults = cls.__match_args__, cls._defaults
        missing = len(names) - len(args)
        if not kwargs:
            if not missing:
                return tuple.__new__(cls, args)
            if 0 < missing <= len(defaults):
                return tuple.__new__(cls, args + defaults[-missing:])
        if missing < 0:
            raise TypeError(f"{cls.__name__} takes {len(names)} values, {len(args)} given")
        by_name = dict(zip(names[len(names) - len(defaults):], defaults))
        rest = []
        for name in names[len(args):]:
            if name in kwargs:
                rest.append(kwargs.pop(name))
            elif name in by_name:
                rest.append(by_name[name])
            else:
                raise TypeError(f"{cls.__name__} needs {name}")
        if kwargs:
            raise TypeError(f"{cls.__name__} has no {', '.join(kwargs)}")
        return tuple.__new__(cls, (*args, *rest))

    def replace(self, **changes):
        """Returns a copy with some members changed."""
        return type(self)(**{**self.members(), **changes})

    def members(self) -> dict[str, object]:
        """The members by name."""
        return dict(zip(self.__match_args__, self))

    def __bool__(self):
        return True

    def __eq__(self, other):
        return type(self) is type(other) and tuple.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def __hash__(self):
        return hash((type(self).__name__, tuple(self)))

    def __repr__(self):
        inside = ", ".join(f"{n}={v!r}" for n, v in zip(self.__match_args__, self))
        return f"{type(self).__name__}({inside})"

    def __getnewargs__(self):
        return tuple(self)
