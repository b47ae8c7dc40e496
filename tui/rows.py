"""Rows that are made when they are looked at: a screen shows a few of a thousand."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

Item = TypeVar("Item")
Row = TypeVar("Row")


class Rows(Sequence[Row], Generic[Item, Row]):
    """The rows of `items` in order, each by `row_of`."""

    def __init__(self, items: Sequence[Item], row_of: Callable[[Item], Row]) -> None:
        self._items, self._row_of = items, row_of

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return tuple(self._row_of(item) for item in self._items[index])
        return self._row_of(self._items[index])

    def __iter__(self) -> Iterator[Row]:
        return (self._row_of(item) for item in self._items)
