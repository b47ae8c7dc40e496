"""The screens of one subject each: prices, risk, alerts, feeds, and one account in full."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from tui import (
    present_alerts,
    present_detail,
    present_exposure,
    present_facts,
    present_feeds,
    present_outlook,
    present_prices,
    present_risk,
)
from tui.screens import AccountScreen, PaneScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.alertlist import AlertList
from widgets.bars import Section, SectionRule
from widgets.facts import Facts, LegTable, Text, TextLines
from widgets.history import HealthHistory
from widgets.loadline import LoadLine
from widgets.prices import PriceTable, QuoteList


class PricesScreen(PaneScreen):
    """Every asset, and every venue's quote of the one under the cursor."""

    HINTS = (("j k", "asset"), ("/", "filter"), ("space", "freeze"), ("r", "read now"), ("esc", "back"))

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="prices", classes="gap")
        yield PriceTable()
        yield SectionRule(id="quotes", classes="gap")
        with Scroller(classes="scrolling", can_focus=False):
            yield QuoteList()

    def show_body(self, frame: Frame) -> None:
        table = self.query_one(PriceTable)
        self.query_one("#prices", SectionRule).model = present_prices.section(frame, is_focused=table.has_focus)
        table.model = present_prices.prices(frame)
        asset = frame.view.selected_asset if frame.view.selected_asset in frame.snapshot.prices else table.cursor_key
        if asset == frame.view.selected_asset:
            self.follow(table, asset)
        self.query_one("#quotes", SectionRule).model = present_prices.quotes_section(frame, asset)
        self.query_one(QuoteList).model = present_prices.quotes(frame, asset)


class RiskScreen(AccountScreen):
    """Who goes first when everything moves, and where each asset alone would liquidate the selected account."""

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="risk", classes="gap")
        with Scroller(id="ranking", classes="scrolling"):
            yield TextLines(id="first-to-go")
        yield SectionRule(id="exposure", classes="gap")
        with Scroller(id="exposed", classes="scrolling"):
            yield TextLines(id="exposures")
        yield SectionRule(id="selected", classes="gap")
        with Scroller(id="alone", classes="scrolling"):
            yield TextLines(id="by-asset")
            yield Facts(classes="gap")

    def show_body(self, frame: Frame) -> None:
        at = "" if self.focused is None else self.focused.id
        self.query_one("#risk", SectionRule).model = present_risk.section(frame, is_focused=at == "ranking")
        self.query_one("#first-to-go", TextLines).model = present_risk.first_to_go(frame, self.size.width)
        self.query_one("#exposure", SectionRule).model = present_exposure.section(frame, is_focused=at == "exposed")
        self.query_one("#exposures", TextLines).model = present_exposure.exposures(frame)
        self.query_one("#selected", SectionRule).model = present_detail.section(frame, is_focused=at == "alone")
        self.query_one("#by-asset", TextLines).model = present_detail.lines_by_asset(frame)
        self.query_one(Facts).model = present_facts.facts(frame)


class AlertsScreen(PaneScreen):
    """Every alert, and the one under the cursor in full."""

    HINTS = (("a", "ack"), ("j k", "alert"), ("enter", "account"), ("space", "freeze"), ("esc", "back"))

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="alerts", classes="gap")
        yield AlertList()
        yield SectionRule(id="alert", classes="gap")
        yield TextLines(id="alert-text")

    def show_body(self, frame: Frame) -> None:
        alerts = self.query_one(AlertList)
        self.query_one("#alerts", SectionRule).model = present_alerts.section(frame, is_focused=alerts.has_focus)
        alerts.model = present_alerts.alerts(frame)
        self.follow(alerts, frame.view.selected_alert)
        self.query_one("#alert", SectionRule).model = present_alerts.detail_section(frame)
        self.query_one("#alert-text", TextLines).model = present_alerts.detail(frame)


class FeedsScreen(PaneScreen):
    """Every source: its state, its age, and what it says of itself."""

    HINTS = (("r", "read now"), ("up down", "scroll"), ("space", "freeze"), ("esc", "back"))

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="feeds", classes="gap")
        with Scroller(classes="scrolling"):
            yield TextLines(id="feed-lines")

    def show_body(self, frame: Frame) -> None:
        self.query_one("#feeds", SectionRule).model = present_feeds.section(frame, is_focused=True)
        self.query_one("#feed-lines", TextLines).model = present_feeds.feeds(frame)


class DetailScreen(PaneScreen):
    """One account in full: health at three prices, the load line, legs, facts, a day of health."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "app.match(1)", show=False),
        Binding("k", "app.match(-1)", show=False),
    ]
    HINTS = (("j k", "account"), ("y", "copy"), ("Y", "copy JSON"), ("a", "ack"), ("$", "mask"), ("esc", "back"))

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="selected", classes="gap")
        with Scroller(classes="scrolling", id="detail"):
            yield TextLines(id="healths")
            yield LoadLine(classes="gap")
            with Horizontal(classes="selection gap"):
                with Vertical(classes="left selection"):
                    yield LegTable()
                with Vertical(classes="side selection beside"):
                    yield Facts()
            yield SectionRule(id="outlook", classes="gap")
            yield TextLines(id="chances")
            yield SectionRule(id="history", classes="gap")
            yield HealthHistory(id="chart")

    def show_body(self, frame: Frame) -> None:
        title = present_detail.section(frame, is_focused=True)
        self.query_one("#selected", SectionRule).model = Section(title.title, "esc back", is_focused=True)
        self.query_one("#healths", TextLines).model = present_detail.healths(frame)
        self.query_one(LoadLine).model = present_detail.scale(frame)
        self.query_one(LegTable).model = present_detail.legs(frame)
        self.query_one(Facts).model = present_facts.facts(frame)
        self.query_one("#history", SectionRule).model = present_detail.history_section(frame)
        self.query_one(HealthHistory).model = present_detail.history(frame)
        state = frame.selected
        chances = Text() if state is None else present_outlook.outlook(frame.snapshot, state, self.size.width)
        rule, lines = self.query_one("#outlook", SectionRule), self.query_one("#chances", TextLines)
        rule.display = lines.display = bool(chances.lines)
        rule.model, lines.model = Section("how likely", "estimate, once a minute"), chances
