"""Frozen value classes that cost little to make: most of ours are made before the first frame, which waits for them.

The standard `@dataclass(frozen=True, slots=True)` compiles six methods for every class, half a millisecond each. Here
a class compiles what must be fast when its first instance is made, and shares the rest with all others.
"""

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make `cls` what `@dataclass(frozen=True, slots=True)` makes it: compared and hashed by value, never changed.

    `dataclasses.fields` and `replace`, `match` and copying work on it. `field` may say `default`, `default_factory`
    and `repr`; `__post_init__` runs if there is one. A record inherits from no other.
    """
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)

    def first_init(self: Any, *values: Any, **named: Any) -> None:
        for name, method in _compiled(made).items():
            setattr(made, name, method)
        self.__init__(*values, **named)

    made.__init__ = first_init
    made.__repr__, made.__reduce__ = _repr, _reduce
    made.__setattr__ = made.__delattr__ = _refuse
    return made  # type: ignore[no-any-return]  # `cls` again, with slots


def _compiled(cls: type) -> dict[str, Callable[..., Any]]:
    """Return `__init__`, `__eq__` and `__hash__`. What a default factory makes is made when nothing is given."""
    known: dict[str, Any] = {"put": object.__setattr__, "MISSING": MISSING}
    parameters, lines, mine, others = ["self"], [], "", ""
    for one in fields(cls):
        name = value = parameter = one.name
        if one.default_factory is not MISSING:
            known[f"make_{name}"] = one.default_factory
            value, parameter = f"make_{name}() if {name} is MISSING else {name}", f"{name}=MISSING"
        elif one.default is not MISSING:
            known[f"default_{name}"], parameter = one.default, f"{name}=default_{name}"
        parameters.append(parameter)
        lines.append(f" put(self, {name!r}, {value})\n")
        mine, others = f"{mine}self.{name},", f"{others}other.{name},"
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()\n")
    made: dict[str, Callable[..., Any]] = {}
    exec(
        f"def __init__({','.join(parameters)}):\n{''.join(lines) or ' pass'}\n"
        f"def __eq__(self, other):\n return ({mine}) == ({others}) if other.__class__ is self.__class__"
        f" else NotImplemented\ndef __hash__(self):\n return hash(({mine}))",
        known,
        made,
    )
    return made


def _repr(self: Any) -> str:
    shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _reduce(self: Any) -> tuple[type, tuple[Any, ...]]:
    return type(self), tuple(getattr(self, one.name) for one in fields(self))


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"{type(self).__qualname__} is a record: {name!r} stays as it is")
