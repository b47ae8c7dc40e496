"""The line that a filter is typed into; it comes and goes over the key hints."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input


class FilterBar(Horizontal):
    """Asks for a filter, tells it as it is typed; enter keeps it, esc clears it, both close the line."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear", "clear", show=False)]
    DEFAULT_CSS = "FilterBar { dock: bottom; height: 1; }"

    class Typed(Message):
        """The filter now reads `text`."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        yield Input(self._text, placeholder="filter: name, venue, asset or severity; ! for not", id="filter")

    @property
    def field(self) -> Input:
        """Return what is typed into."""
        return self.query_one(Input)

    def on_mount(self) -> None:
        """Take the place of the key hints."""
        self.screen.add_class("-filtering")
        self.field.cursor_blink = False

    def on_input_changed(self, message: Input.Changed) -> None:
        """Tell the filter as it is typed."""
        message.stop()
        self.post_message(self.Typed(message.value))

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Keep the filter and give the keys back."""
        message.stop()
        self._close()

    def action_clear(self) -> None:
        """Drop the filter and give the keys back."""
        self.post_message(self.Typed(""))
        self._close()

    def _close(self) -> None:
        self.screen.remove_class("-filtering")
        self.screen.focus_next()
        self.remove()
