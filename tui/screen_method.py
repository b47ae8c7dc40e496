"""The overlay that says how the selected account's numbers come about."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from widgets.facts import Text, TextLines

WIDTH = 112
"""How wide the box is where there is room, as the style sheet has it."""


class MethodScreen(ModalScreen[None]):
    """Method, data, age and baseline of each number; any of its own keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,m,q,enter", "dismiss", "close", show=False)]

    def __init__(self, text: Text) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield TextLines()

    def on_mount(self) -> None:
        """Write the text and let arrows scroll it."""
        self.query_one(TextLines).model = self._text
        self.query_one(VerticalScroll).focus()
