"""A list of rows with a cursor: the base of every table that can be walked through.

Composes the visible slice only, and of that only rows whose object changed, so its cost does not depend on the number
of rows.
"""

from collections.abc import Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from widgets.glyphs import clean
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.tones import Tone


class Keyed(Protocol):
    """A row that is identified by its key."""

    @property
    def key(self) -> str:
        """Return what identifies the row, whatever its place."""


Row = TypeVar("Row", bound=Keyed)


class RowList(LineWidget, Generic[Row], can_focus=True):
    """Rows under a header, with a cursor that sticks to its row's key when rows move.

    Posts `Highlighted` when the cursor comes to another key, and `Chosen` on enter or on a click at the cursor.
    """

    HEADER_LINES: ClassVar[int] = 1
    CURSOR_NEEDS_FOCUS: ClassVar[bool] = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "down", show=False),
        Binding("k,up", "move(-1)", "up", show=False),
        Binding("g,home", "first", "first", show=False),
        Binding("G,end", "last", "last", show=False),
        Binding("pagedown", "page(1.0)", "page down", show=False),
        Binding("pageup", "page(-1.0)", "page up", show=False),
        Binding("ctrl+d", "page(0.5)", "half a page down", show=False),
        Binding("ctrl+u", "page(-0.5)", "half a page up", show=False),
        Binding("enter", "choose", "open", show=False),
    ]
    DEFAULT_CSS = "RowList { height: 1fr; }"

    class Highlighted(Message):
        """The cursor came to the row of `key`; `None` when there are no rows."""

        def __init__(self, sender: LineWidget, key: str | None) -> None:
            super().__init__()
            self.sender = sender
            self.key = key

        @property
        def control(self) -> LineWidget:
            """Return the list that sent it."""
            return self.sender

    class Chosen(Highlighted):
        """The row of `key` was opened."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._index = 0
        self._key: str | None = None
        self._top = 0
        self._composed_rows: dict[int, tuple[Row, bool, Spans]] = {}
        self._composed_width = 0

    def rows(self) -> Sequence[Row]:
        """Return all rows of the model in order."""
        return ()

    def key_at(self, index: int) -> str:
        """Return the key of one row."""
        return self.rows()[index].key

    def nothing(self) -> str:
        """Return the line that stands for no rows."""
        return ""

    def header_line(self, width: int) -> Spans:
        """Return the header."""
        return fitted((), width)

    def row_line(self, row: Row, width: int, is_cursor: bool) -> Spans:
        """Return one row's line."""
        return fitted((), width)

    @property
    def cursor_key(self) -> str | None:
        """Return the key under the cursor; `None` without rows."""
        return self._key

    @property
    def top(self) -> int:
        """Return the index of the first visible row."""
        return self._top

    def select(self, key: str) -> bool:
        """Move the cursor to `key` and into view; `False` when there is no such row."""
        found = self._index_of(key)
        if found is not None:
            self._move_to(found)
        return found is not None

    def line_count(self, width: int) -> int:
        return self.HEADER_LINES + max(1, len(self.rows()))

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        if width != self._composed_width:
            self._composed_width = width
            self._composed_rows.clear()
        rows = self.rows()
        self._keep_in_range(len(rows), height)
        lines = [self.header_line(width)] if self.HEADER_LINES else []
        if not rows:
            return [*lines, fitted((Span(" "), Span(clean(self.nothing()), Tone.MUTED)), width)]
        shows_cursor = self.has_focus or not self.CURSOR_NEEDS_FOCUS
        visible = range(self._top, min(len(rows), self._top + height - len(lines)))
        composed: dict[int, tuple[Row, bool, Spans]] = {}
        for index in visible:
            row, is_cursor = rows[index], shows_cursor and index == self._index
            known = self._composed_rows.get(index)
            if known is None or known[1] != is_cursor or (known[0] is not row and known[0] != row):
                known = (row, is_cursor, self.row_line(row, width, is_cursor))
            composed[index] = known
            lines.append(known[2])
        self._composed_rows = composed
        return lines

    def watch_model(self) -> None:
        self._follow_key()
        super().watch_model()

    def action_move(self, rows: int) -> None:
        """Move the cursor by `rows`."""
        self._move_to(self._index + rows)

    def action_first(self) -> None:
        """Move the cursor to the first row."""
        self._move_to(0)

    def action_last(self) -> None:
        """Move the cursor to the last row."""
        self._move_to(len(self.rows()) - 1)

    def action_page(self, pages: float) -> None:
        """Move the cursor by a fraction of what is visible."""
        step = max(1, int(self._visible_rows() * abs(pages)))
        self._move_to(self._index + (step if pages > 0 else -step))

    def action_choose(self) -> None:
        """Open the row under the cursor."""
        if self._key is not None:
            self.post_message(self.Chosen(self, self._key))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row that was clicked; a click at the cursor opens it."""
        index = self._top + event.y - self.HEADER_LINES
        if event.y < self.HEADER_LINES or not 0 <= index < len(self.rows()):
            return
        event.stop()
        if index == self._index:
            self.action_choose()
        else:
            self._move_to(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll the rows; the cursor stays where it is."""
        event.stop()
        self._show_from(self._top + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll the rows; the cursor stays where it is."""
        event.stop()
        self._show_from(self._top - 3)

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self._composed_rows.clear()
        self.repaint_changes()

    def _visible_rows(self) -> int:
        return max(1, self.content_size.height - self.HEADER_LINES)

    def _follow_key(self) -> None:
        count = len(self.rows())
        if self._index < count and self.key_at(self._index) == self._key:
            return
        was_visible = self._top <= self._index < self._top + self._visible_rows()
        found = None if self._key is None else self._index_of(self._key)
        self._index = found if found is not None else max(0, min(self._index, count - 1))
        if was_visible:
            self._reveal()
        self._announce()

    def _move_to(self, index: int) -> None:
        rows = self.rows()
        self._index = max(0, min(index, len(rows) - 1))
        self._reveal()
        self._announce()
        self.repaint_changes()

    def _show_from(self, top: int) -> None:
        self._top = max(0, min(top, len(self.rows()) - self._visible_rows()))
        self.repaint_changes()

    def _reveal(self) -> None:
        visible = self._visible_rows()
        self._top = max(self._index - visible + 1, min(self._top, self._index))

    def _keep_in_range(self, count: int, height: int) -> None:
        self._top = max(0, min(self._top, count - max(1, height - self.HEADER_LINES)))

    def _index_of(self, key: str) -> int | None:
        return next((index for index in range(len(self.rows())) if self.key_at(index) == key), None)

    def _announce(self) -> None:
        key = self.key_at(self._index) if self.rows() else None
        if key != self._key:
            self._key = key
            self.post_message(self.Highlighted(self, key))
