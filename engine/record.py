"""Frozen value classes that cost little to make: most of ours are made before the first frame, which waits for them.

The standard `@dataclass(frozen=True, slots=True)` compiles six methods for every class, half a millisecond each. Here
a class compiles what must be fast when its first instance is made, and shares the rest with all others. An instance
costs a half to a fifth of the standard one: it is filled while it still is of a twin class that lets it.
"""

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

T = TypeVar("T")

if TYPE_CHECKING:
    from dataclasses import replace as replace
else:

    def replace(one: T, **changes: Any) -> T:
        """Return a record with some values changed: `dataclasses.replace` at a fraction of its cost."""
        return one.__replace__(**changes)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make `cls` what `@dataclass(frozen=True, slots=True)` makes it: compared and hashed by value, never changed.

    `dataclasses.fields` and `replace`, `match` and copying work on it. `field` may say `default`, `default_factory`
    and `repr`; `__post_init__` runs if there is one. A record inherits from no other.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)

    def first_new(cls: type, *values: Any, **named: Any) -> Any:
        for name, method in _compiled(made).items():
            setattr(made, name, method)
        return cls(*values, **named)

    def first_replace(self: Any, **changes: Any) -> Any:
        made.__replace__ = _compiled_replace(made)
        return self.__replace__(**changes)

    made.__new__, made.__replace__ = first_new, first_replace
    made.__repr__, made.__reduce__ = _repr, _reduce
    made.__setattr__ = made.__delattr__ = _refuse
    return made  # type: ignore[no-any-return]  # `cls` again, with slots


def _compiled(cls: type) -> dict[str, Callable[..., Any]]:
    """Return `__new__`, `__eq__` and `__hash__`. What a default factory makes is made when nothing is given."""
    names = tuple(one.name for one in fields(cls))
    # With the same bases and slots, an instance of the twin may become one of `cls`.
    known: dict[str, Any] = {"new": object.__new__, "MISSING": MISSING}
    known["Twin"] = type(cls.__name__, cls.__bases__, {"__slots__": names, "__orig_bases__": _original_bases(cls)})
    parameters, lines = ["cls"], [" self = new(Twin)\n"]
    for one in fields(cls):
        name = value = parameter = one.name
        if one.default_factory is not MISSING:
            known[f"make_{name}"] = one.default_factory
            value, parameter = f"make_{name}() if {name} is MISSING else {name}", f"{name}=MISSING"
        elif one.default is not MISSING:
            known[f"default_{name}"], parameter = one.default, f"{name}=default_{name}"
        parameters.append(parameter)
        lines.append(f" self.{name} = {value}\n")
    lines.append(" self.__class__ = cls\n")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    mine, others = ("".join(f"{who}.{name}," for name in names) for who in ("self", "other"))
    made: dict[str, Callable[..., Any]] = {}
    exec(
        f"def __new__({','.join(parameters)}):\n{''.join(lines)} return self\n"
        f"def __eq__(self, other):\n return ({mine}) == ({others}) if other.__class__ is self.__class__"
        f" else NotImplemented\ndef __hash__(self):\n return hash(({mine}))",
        known,
        made,
    )
    return made


def _compiled_replace(cls: type) -> Callable[..., Any]:
    names = [one.name for one in fields(cls)]
    parameters = "".join(f",{name}=MISSING" for name in names)
    values = ",".join(f"self.{name} if {name} is MISSING else {name}" for name in names)
    made: dict[str, Callable[..., Any]] = {}
    known = {"MISSING": MISSING}
    exec(f"def __replace__(self{',*' if names else ''}{parameters}):\n return self.__class__({values})", known, made)
    return made["__replace__"]


def _original_bases(cls: type) -> tuple[object, ...]:
    return getattr(cls, "__orig_bases__", ())


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), tuple(getattr(self, one.name) for one in fields(self))


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"{type(self).__qualname__} is a record: {name!r} stays as it is")
