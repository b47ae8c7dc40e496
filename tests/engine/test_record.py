"""A record behaves as a frozen, slotted dataclass does; the standard library's own is the yardstick."""

import copy
import dataclasses
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, fields, is_dataclass
from typing import Generic, TypeVar

import pytest

from engine.record import record, replace

T = TypeVar("T")


@record
class Ours:
    """A record with every kind of field."""

    name: str
    amount: int = 3
    notes: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="hidden", repr=False)

    @property
    def doubled(self) -> int:
        """Return twice the amount."""
        return 2 * self.amount


@dataclass(frozen=True, slots=True)
class Theirs:
    """The same by the standard library."""

    name: str
    amount: int = 3
    notes: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="hidden", repr=False)


@record
class Pair:
    """Two values that may be hashed."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@record
class Nothing:
    """A record without fields."""


@record
class Box(Generic[T]):
    """A record of a type to be named."""

    content: T


def test_a_record_takes_values_by_place_and_by_name_and_fills_in_defaults() -> None:
    one = Ours("a", notes={"k": "v"})
    assert (one.name, one.amount, one.notes, one.secret, one.doubled) == ("a", 3, {"k": "v"}, "hidden", 6)
    assert Ours("a", 5).amount == 5
    assert Nothing() == Nothing()


def test_every_record_gets_its_own_product_of_a_default_factory() -> None:
    assert Ours("a").notes is not Ours("a").notes


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_wrong_arguments_are_type_errors(kind: type) -> None:
    for arguments, named in (((), {}), (("a", 1, {}, "s", 2), {}), (("a",), {"colour": 1}), (("a",), {"name": "b"})):
        with pytest.raises(TypeError):
            kind(*arguments, **named)


def test_records_are_equal_by_value_and_only_to_their_own_class() -> None:
    assert Ours("a") == Ours("a")
    assert Ours("a") != Ours("b")
    others: list[object] = [Theirs("a"), ("a", 3, {}, "hidden")]
    assert not [other for other in others if other == Ours("a")]


def test_records_hash_by_value_unless_a_value_cannot() -> None:
    assert {Pair(1, 2), Pair(1, 2), Pair(1, 3)} == {Pair(1, 3), Pair(1, 2)}
    with pytest.raises(TypeError):
        hash(Ours("a"))


@pytest.mark.parametrize("kind", [Ours, Theirs])
def test_nothing_in_it_can_be_changed_deleted_or_added(kind: type) -> None:
    one = kind("a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(FrozenInstanceError):
        del one.name
    with pytest.raises((FrozenInstanceError, TypeError)):  # the standard class trips over its own slots here
        one.other = 1
    assert not hasattr(one, "__dict__")


def test_it_reads_as_the_standard_class_does_and_keeps_secrets_out() -> None:
    assert repr(Ours("a")) == repr(Theirs("a")).replace("Theirs", "Ours")
    assert "hidden" not in repr(Ours("a"))


def test_the_standard_tools_take_it() -> None:
    kind: object = Ours
    assert is_dataclass(kind)
    assert [one.name for one in fields(Ours)] == [one.name for one in fields(Theirs)]
    assert dataclasses.replace(Ours("a", 4), name="b") == Ours("b", 4)
    with pytest.raises(ValueError, match="low is above high"):
        dataclasses.replace(Pair(1, 2), low=3)
    match Pair(1, 2):
        case Pair(low, high):
            assert (low, high) == (1, 2)


def test_our_own_replace_does_what_the_standard_one_does() -> None:
    one = Ours("a", 4, {"k": "v"})
    assert replace(one, name="b") == dataclasses.replace(one, name="b") == Ours("b", 4, {"k": "v"})
    assert replace(one, notes=None).notes is None  # type: ignore[arg-type]  # any value replaces, `None` too
    assert replace(one) == one
    assert replace(Nothing()) == Nothing()
    with pytest.raises(TypeError):
        replace(one, colour=1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="low is above high"):
        replace(Pair(1, 2), low=3)


def test_a_record_may_be_generic() -> None:
    one = Box[int](3)
    assert type(one) is Box
    assert replace(one, content=4) == Box(4)


def test_it_is_checked_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="low is above high"):
        Pair(2, 1)


def test_copies_and_pickles_are_equal_to_it() -> None:
    records: list[object] = [Ours("a", 4, {"k": "v"}), Pair(1, 2), Nothing()]
    for one in records:
        assert copy.copy(one) == copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
