"""Arming: a typed word, then the password of every signer that has one."""

from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from providers.errors import AppError
from tui.rescues import Rescues
from tui.screens import Overlay
from tui.view import Frame
from widgets.bars import Bar, KeyBar, Section, SectionRule
from widgets.facts import Text, TextLines
from widgets.plan import ConfirmLine
from widgets.tones import Cell, Ground, Phrase, Tone
from widgets.typed import TypedLine

WORD = "arm"


class ArmScreen(Overlay):
    """Takes the word and the passwords straight to the desk; nothing typed here is kept, shown or logged."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,tab", "app.focus_next", show=False),
        Binding("up,shift+tab", "app.focus_previous", show=False),
    ]

    def __init__(self, rescues: Rescues) -> None:
        super().__init__()
        self._rescues = rescues
        self._names = rescues.desk.passwords_needed
        self._said = ""
        self._is_arming = False

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        yield TextLines(classes="gap")
        yield TypedLine(f"type {WORD}", classes="gap")
        for name in self._names:
            yield TypedLine(f"password of {name}", is_hidden=True)
        yield ConfirmLine(classes="gap")
        yield KeyBar()

    def on_mount(self) -> None:
        """Put the cursor on the word."""
        self.query(TypedLine).first().focus()

    def show_body(self, frame: Frame) -> None:
        """Show what arming means and how it stands."""
        self.query_one(SectionRule).model = Section("arm", is_focused=True)
        said = (" While armed, enter in a plan and T send for real.", " It ends by itself; ! ends it at once.")
        self.query_one(TextLines).model = Text(tuple((Cell(line, Tone.TEXT),) for line in said))
        text = "unlocking" if self._is_arming else self._said
        self.query_one(ConfirmLine).model = Bar((Phrase.of(text, Tone.WARN),) if text else (), ground=Ground.SURFACE)
        self.query_one(KeyBar).model = Bar((Phrase.key("enter", "next, then arm"), Phrase.key("esc", "leave")))

    def on_typed_line_submitted(self, message: TypedLine.Submitted) -> None:
        """Go to the next line; on the last one, arm."""
        lines = list(self.query(TypedLine))
        at = lines.index(message.line)
        if at + 1 < len(lines):
            lines[at + 1].focus()
        elif not self._is_arming:
            self._submit(lines)

    def _submit(self, lines: list[TypedLine]) -> None:
        word, *secrets = lines
        if word.take().strip().lower() != WORD:
            self._fail(f"not armed: the word is {WORD}")
            return
        missing = [name for name, line in zip(self._names, secrets, strict=True) if line.is_empty]
        if missing and len(missing) == len(self._names):
            self._fail(f"not armed: no password for {missing[0]}")
            return
        self._is_arming = True
        self._dashboard.paint_again()
        self._arm()

    @work(exclusive=True, group="arm", exit_on_error=False)
    async def _arm(self) -> None:
        _, *secrets = self.query(TypedLine)
        passwords = {name: line.take() for name, line in zip(self._names, secrets, strict=True) if not line.is_empty}
        try:
            await self._rescues.desk.arm(passwords, actor="tui A")
        except AppError as error:
            self._fail(f"not armed: {error}")
        else:
            self._dashboard.say("armed; ! disarms")
            self.dismiss()
        finally:
            passwords.clear()
            self._is_arming = False

    def _fail(self, said: str) -> None:
        self._said, self._is_arming = said, False
        lines = self.query(TypedLine)
        for line in lines:
            line.wipe()
        lines.first().focus()
        self._dashboard.paint_again()
