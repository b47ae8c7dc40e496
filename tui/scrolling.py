"""A scrolling part of a screen whose scroll bar keeps to the glyphs that the terminal can show."""

from typing import ClassVar

from textual.containers import VerticalScroll
from textual.scrollbar import ScrollBarRender


class _AsciiBar(ScrollBarRender):
    """Draws whole cells only: the thumb is where the colour is."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class Scroller(VerticalScroll):
    """`VerticalScroll`, in ASCII where the app is."""

    def on_mount(self) -> None:
        """Take the plain bar where glyphs must be ASCII."""
        if getattr(self.app, "ascii_glyphs", False):
            self.vertical_scrollbar.renderer = _AsciiBar  # type: ignore[misc]  # as the class's own docstring shows
