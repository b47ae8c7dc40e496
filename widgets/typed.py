"""A line to type into: a word, or a secret that is never painted, sent in a message or kept after it was taken."""

from collections.abc import Sequence

from textual import events
from textual.message import Message
from textual.reactive import reactive

from engine.record import record
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.tones import Tone

_LONGEST = 1024


@record
class Typing:
    """What stands on the line: its label, and what was typed, or as many stars."""

    label: str = ""
    shown: str = ""


class TypedLine(LineWidget, can_focus=True):
    """Takes one line of text. With `is_hidden` only stars are shown; `take` returns the text and wipes it.

    The text lives in one buffer of this object, which is overwritten when it is taken or the widget goes. Python may
    have copied parts of it; nobody can promise more.
    """

    DEFAULT_CSS = "TypedLine { height: 1; }"
    model: reactive[Typing] = reactive(Typing(), repaint=False)

    class Submitted(Message):
        """Enter was pressed on this line; what was typed is not in the message."""

        def __init__(self, line: "TypedLine") -> None:
            super().__init__()
            self.line = line

        @property
        def control(self) -> "TypedLine":
            """Return the line."""
            return self.line

    def __init__(
        self, label: str, *, is_hidden: bool = False, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._typed = bytearray()
        self._is_hidden = is_hidden
        self._label = label
        self.set_reactive(TypedLine.model, Typing(label))

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was typed."""
        return not self._typed

    def take(self) -> str:
        """Return what was typed and forget it."""
        text = self._typed.decode()
        self.wipe()
        return text

    def wipe(self) -> None:
        """Overwrite and forget what was typed."""
        self._typed[:] = bytes(len(self._typed))
        self._typed.clear()
        self._show()

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        cursor = Span("▌", Tone.ACCENT) if self.has_focus else Span(" ")
        label = fitted((Span(f"  {self.model.label}", Tone.MUTED),), min(width // 2, 30))
        return (fitted((*label, Span(self.model.shown, Tone.STRONG), cursor), width),)

    def on_key(self, event: events.Key) -> None:
        """Take printable keys; leave the ones that move between lines and screens."""
        if event.key == "enter":
            self.post_message(self.Submitted(self))
        elif event.key in ("backspace", "ctrl+h"):
            kept = self._typed.decode()[:-1].encode()
            self._typed[len(kept) :] = b""
            self._show()
        elif event.key == "ctrl+u":
            self.wipe()
        elif event.is_printable and event.character is not None:
            self._add(event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Take the first line of what is pasted."""
        event.stop()
        self._add(event.text.splitlines()[0] if event.text else "")

    def on_unmount(self) -> None:
        """Forget what was typed when the line goes."""
        self._typed[:] = bytes(len(self._typed))
        self._typed.clear()

    def watch_has_focus(self, has_focus: bool) -> None:
        super().watch_has_focus(has_focus)
        self.repaint_changes()

    def _add(self, text: str) -> None:
        if len(self._typed) + len(text) <= _LONGEST:
            self._typed += text.encode()
        self._show()

    def _show(self) -> None:
        text = self._typed.decode()
        self.model = Typing(self._label, "*" * len(text) if self._is_hidden else text)
