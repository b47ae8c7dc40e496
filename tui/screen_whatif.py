"""The what-if pane: a grid of common moves, crashes of the past, a volatility rule for the selected account."""

from collections.abc import Iterable

from textual.widget import Widget

from tui import present_whatif
from tui.screens import AccountScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.bars import SectionRule
from widgets.facts import TextLines


class WhatIfScreen(AccountScreen):
    """What would happen, and to whom first; estimates of once a minute."""

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="grid", classes="gap")
        with Scroller(id="moves", classes="scrolling"):
            yield TextLines(id="grid-lines")
        yield SectionRule(id="crashes", classes="gap")
        with Scroller(id="past", classes="scrolling"):
            yield TextLines(id="crash-lines")
        yield SectionRule(id="rule", classes="gap")
        yield TextLines(id="rule-lines")

    def show_body(self, frame: Frame) -> None:
        at = "" if self.focused is None else self.focused.id
        self.query_one("#grid", SectionRule).model = present_whatif.grid_section(frame, is_focused=at == "moves")
        self.query_one("#grid-lines", TextLines).model = present_whatif.grid(frame, self.size.width)
        self.query_one("#crashes", SectionRule).model = present_whatif.crashes_section(is_focused=at == "past")
        self.query_one("#crash-lines", TextLines).model = present_whatif.crashes(frame)
        self.query_one("#rule", SectionRule).model = present_whatif.requirement_section(frame)
        self.query_one("#rule-lines", TextLines).model = present_whatif.requirement(frame, self.size.width)
