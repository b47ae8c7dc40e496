"""What is known of one account beyond its legs, line by line: the figures that a trader acts on first."""

from collections.abc import Callable, Iterable
from decimal import ROUND_FLOOR, Decimal
from textwrap import wrap

from desk.snapshot import AccountState
from engine.accounts import Kind
from tui import numbers, words
from tui.present_detail import figure
from tui.view import Frame
from widgets.facts import Fact, FactList
from widgets.tones import Cell, Line, Tone

_VENUE_DISAGREES = Decimal("0.001")
_PERCENT = Decimal(100)
_NEXT_IN_LINE = 4
_SENTENCE = 34
Money = Callable[..., Line]
"""From the text of an amount, and what follows its unit, to cells that are masked when they must be."""


def facts(frame: Frame) -> FactList:
    """Return what else is known of the selected account, the figures that a trader acts on first."""
    state = frame.selected
    return FactList(tuple(_facts(frame, state))) if state is not None else FactList()


def _facts(frame: Frame, state: AccountState) -> Iterable[Fact]:
    assessment, account = state.assessment, state.account
    unit = " $" if account.quote.upper() in numbers.DOLLARS else f" {account.quote}"

    def money(text: str, after: str = "") -> Line:
        if frame.view.is_masked:
            return (Cell(numbers.MASK, Tone.MUTED),)
        return figure(state, text, f"{unit}{after}")

    is_perp = account.kind is Kind.PERP
    if not is_perp:
        yield Fact("collateral", money(numbers.money(assessment.collateral_value)))
        if assessment.has_debt:
            yield Fact("debt", money(numbers.debt(assessment.debt_value)))
    yield Fact("equity", money(numbers.money(assessment.equity)))
    if not assessment.has_debt:
        return
    if account.kind is not Kind.LOAN:
        yield Fact("maintenance", money(numbers.debt(assessment.maintenance_requirement)))
    yield Fact("buffer", money(numbers.money(assessment.buffer)))
    yield Fact("leverage", figure(state, numbers.multiple(assessment.leverage), " ×"))
    if assessment.capital_efficiency is not None:
        used = numbers.round_exactly(assessment.capital_efficiency * _PERCENT, 1, ROUND_FLOOR)
        yield Fact("capital used", figure(state, f"{used:f}", " %"))
    cost = assessment.cost_of_debt
    if cost is not None and cost.per_day is not None:
        yield Fact("cost of debt", money(numbers.cents(cost.per_day), "/d"))
    if cost is not None and cost.net_carry is not None:
        yield Fact("net carry", figure(state, numbers.signed_percent(cost.net_carry), " % a year"))
    if assessment.interest_only_days is not None:
        yield Fact("interest alone", figure(state, f"{assessment.interest_only_days:,}", " days"))
    if assessment.uniform_shock is not None:
        falls = assessment.uniform_shock < 0
        yield Fact("all together", figure(state, numbers.distance(assessment.uniform_shock, falls=falls), " %"))
    if assessment.loss_at_liquidation is not None:
        yield Fact("lost at the line", money(numbers.debt(assessment.loss_at_liquidation)))
    yield from _account_facts(frame, state, money)
    yield from _venue_facts(frame, state, money)
    yield Fact("because", (Cell(assessment.severity_because, Tone.MUTED),))
    for reason in dict.fromkeys((*account.degraded, *assessment.degraded)):
        yield Fact("degraded", (Cell(reason, Tone.UNKNOWN),))


def _account_facts(frame: Frame, state: AccountState, money: Money) -> Iterable[Fact]:
    """Say what only some kinds of account have: calls, requirements, open orders, funding, moves of a whole book."""
    assessment, account = state.assessment, state.account
    call = assessment.margin_call
    if call is not None:
        due = "" if call.due_ns is None else f", due in {numbers.long_age(call.due_ns - frame.now_ns)}"
        amount = money(numbers.debt(call.amount))
        yield Fact("margin call", (*(Cell(cell.text, Tone.DANGER) for cell in amount), Cell(due, Tone.DANGER)))
        yield from _said("", call.text)
    if assessment.initial_requirement is not None:
        yield Fact("initial", money(numbers.debt(assessment.initial_requirement)))
    if account.order_margin:
        yield Fact("in open orders", money(numbers.debt(account.order_margin)))
    cost = assessment.cost_of_debt
    if cost is not None and cost.predicted_per_day is not None:
        yield Fact("predicted", money(numbers.cents(cost.predicted_per_day), "/d"))
    if cost is not None and cost.funding_paid is not None:
        yield Fact("funding so far", money(numbers.cents(cost.funding_paid)))
    for leg in account.positions:
        if leg.adl_rank is not None and leg.quantity:
            tone = Tone.WARN if leg.adl_rank >= _NEXT_IN_LINE else Tone.TEXT
            yield Fact("deleverage", (Cell(f"{leg.contract or leg.asset} {leg.adl_rank} of 5 in the queue", tone),))
    for name, move in assessment.directions.items():
        yield Fact(name, figure(state, f"~{numbers.distance(move, falls=move < 0)}", " %"))
    yield from _said("estimated", assessment.estimated)
    yield from _said("liquidation", assessment.liquidation_note)
    if account.kind is not Kind.LOAN and account.note != assessment.liquidation_note:
        yield from _said("note", account.note)


def _said(label: str, text: str) -> Iterable[Fact]:
    """Yield a sentence in as many rows as it takes, its label before the first; nothing for no words."""
    rows = wrap(text, _SENTENCE)
    yield from (Fact("" if index else label, (Cell(row, Tone.MUTED),)) for index, row in enumerate(rows))


def _venue_facts(frame: Frame, state: AccountState, money: Money) -> Iterable[Fact]:
    """Say what the venue itself reports, loudly where it is not what we computed."""
    said = state.account.reported
    if said is not None and state.account.kind is not Kind.LOAN:
        if said.equity is not None:
            yield Fact("venue's equity", money(numbers.money(said.equity)))
        if said.maintenance_requirement is not None:
            yield Fact("its maintenance", money(numbers.debt(said.maintenance_requirement)))
    for leg in state.account.positions:
        theirs = leg.venue_liquidation_price
        ours = state.assessment.liquidation.get(leg.asset)
        if theirs is None:
            continue
        places = words.places_of(frame.snapshot, state, leg.asset)
        differs = ours is None or ours.price is None or abs(ours.price / theirs - 1) > _VENUE_DISAGREES
        text = f"{leg.asset} {numbers.price(theirs, places)}"
        yield Fact("venue's line", figure(state, text, "", Tone.WARN if differs else Tone.TEXT))
