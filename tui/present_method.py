"""Where the selected account's numbers come from: method, data, age and baseline of each, in a line or two."""

from collections.abc import Iterable
from textwrap import wrap

from desk.snapshot import AccountState
from engine.accounts import Kind
from tui import numbers, words
from tui.present_outlook import NAMES, percent
from tui.view import Frame
from widgets.facts import Text
from widgets.tones import Cell, Line, Tone

_LABEL = 13
_INDENT = 2
_HOW = {"derived": "computed by the engine", "venue": "as the venue says it", "estimated": "estimated"}
_ANEW = "made anew once a minute, from the reading and prices of then"
_BY_THEORY = "puts and calls by Black-Scholes at one volatility and no rate (premiums marked ~)"


def method(frame: Frame, width: int) -> Text:
    """Return the lines of the overlay for the account under the cursor, folded to a box of `width` cells."""
    state = frame.selected
    if state is None:
        return Text(((Cell("no account selected", Tone.MUTED),),))
    title = Cell(f"how the numbers of {state.account.name} come about", Tone.STRONG)
    lines: list[Line] = [(title, Cell("   up down scroll, esc closes", Tone.MUTED)), ()]
    for label, said in _told(frame, state):
        tone = Tone.TEXT if label else Tone.MUTED
        for at, part in enumerate(wrap(said, max(20, width - _LABEL - _INDENT - 4)) or [""]):
            lines.append((Cell(f"  {label if at == 0 else '':<{_LABEL}}", Tone.KEY), Cell(part, tone)))
    return Text(tuple(lines))


def _told(frame: Frame, state: AccountState) -> Iterable[tuple[str, str]]:
    account, assessment = state.account, state.assessment
    age = numbers.age(words.reading_age_ns(state, frame.now_ns))
    block = "" if state.block_number is None else f", block {state.block_number}"
    yield "reading", f"from {state.source}, {age} old{block}" + (", past its budget" if state.is_stale else "")
    exact = account.ledger is not None
    how = "the protocol's own integer arithmetic" if exact else _HOW.get(assessment.method.value, "")
    yield "health", f"{how}, at the {assessment.trigger}; liquidatable below 1"
    if assessment.estimated:
        yield "", assessment.estimated
    yield "severity", assessment.severity_because
    yield from _trigger(frame, state)
    yield from _market(frame, state)
    if assessment.sigma_days is not None or "sigma_days" in assessment.missing:
        yield "σ-days", assessment.missing.get("sigma_days", "distance over the one-day move of 31 daily closes")
    if assessment.cost_of_debt is not None:
        what = "funding of now" if account.kind is Kind.PERP else "rates of now"
        yield "cost", f"{what}, as the venue tells them; nothing is promised about tomorrow"
    yield from _moves(state)
    yield from _outlook(frame, state)
    if account.name in frame.snapshot.requirements:
        yield "requirement", "worst of nine prices over the calibrated 99 % move of a day, and 0.5 % slippage"
        yield "", "no protocol's rule; baseline: what its protocol asks; back-test by `marginline requirement`"
        yield "", _made(frame)
    if frame.snapshot.what_if is not None:
        yield "what-if", "the engine's health at moved prices; baseline: health now"
        yield (
            "",
            "crashes: recorded lows of ETH and BTC, hourly or daily, on today's prices; others by their beta",
        )
        yield "", "`marginline stress --json` names their sources, the betas and what was assumed"
        yield "", _made(frame)
    yield from _hedges(frame, state)
    yield "net exposure", "amounts of all accounts, each at its own price and as old as its reading; no venue nets them"
    if frame.cascade is not None:
        from tui.present_cascade import method_words

        yield from method_words(frame)
    for name, why in assessment.missing.items():
        yield "unknown", f"{name}: {why}"


def _made(frame: Frame) -> str:
    """Say how old the estimates are that are made beside the loop."""
    at_ns = frame.snapshot.foreseen_at_ns
    return _ANEW if at_ns is None else f"{numbers.age(frame.now_ns - at_ns)} old; {_ANEW}"


def _moves(state: AccountState) -> Iterable[tuple[str, str]]:
    if state.assessment.uniform_shock is not None:
        yield "all move", "how far all assets but stable ones move together until health is 1"
        yield "", "baseline: the nearest asset alone, every other staying where it is"
    if state.assessment.loss_at_liquidation is not None:
        yield "lost then", "what the first liquidation takes beyond the debt that it repays, by the protocol's bonus"


def _hedges(frame: Frame, state: AccountState) -> Iterable[tuple[str, str]]:
    """Say what the hedge pane rests on; only where something can be hedged."""
    asset = state.assessment.nearest
    if not state.assessment.has_debt or asset is None:
        return
    shared = frame.snapshot.prices.get(asset)
    known = None if shared is None else shared.price.volatility
    yield "hedges", f"{_BY_THEORY}; perp, repay and add: the amount that holds the same price"
    if known is not None:
        yield "", f"{asset} at {numbers.percent(float(known))} % a year, the volatility that the desk knows of it"
    yield (
        "",
        "baseline: repaying or adding to the same price; `marginline hedge --from-venue deribit` reads real options",
    )
    yield "", _ANEW


def _trigger(frame: Frame, state: AccountState) -> Iterable[tuple[str, str]]:
    asset = state.assessment.nearest
    if asset is None:
        return
    price = words.trigger_price(frame.snapshot, state, asset)
    places = words.places_of(frame.snapshot, state, asset)
    said = f"{asset} {numbers.price(price, places)} by the {state.assessment.trigger}"
    oracle = words.oracle_of(frame.snapshot, state, asset)
    if oracle is not None and state.account.kind is Kind.LOAN:
        age_ns = words.oracle_age_ns(oracle, state.observed_at_ns, frame.now_ns)
        source = f", {oracle.source}" if oracle.source else ""
        said += f"{source}, printed {numbers.age(age_ns)} ago"
    yield "trigger", said


def _market(frame: Frame, state: AccountState) -> Iterable[tuple[str, str]]:
    asset = state.assessment.nearest
    shared = None if asset is None else frame.snapshot.prices.get(asset)
    if shared is None:
        return
    agreed = shared.consensus
    said = f"median of {', '.join(agreed.venues)}" if agreed.price is not None else agreed.reason
    yield "market", f"{asset}: {said}"
    for venue, why in agreed.excluded.items():
        yield "", f"left out: {venue}, {why}"


def _outlook(frame: Frame, state: AccountState) -> Iterable[tuple[str, str]]:
    found = frame.snapshot.outlooks.get(state.account.name)
    if found is None and state.assessment.has_debt:
        yield "chances", "none is made of a stale account" if state.is_stale else "none is made yet"
    if found is None:
        return
    for one in found.horizons:
        label = f"within {NAMES.get(one.hours, f'{one.hours:g} h')}"
        if one.probability is None:
            yield label, f"unknown: {one.because}"
            continue
        between = "" if one.low is None or one.high is None else f", 95 % {percent(one.low)} to {percent(one.high)}"
        baseline = "" if one.baseline is None else f"; baseline (closed form, 30 days) {percent(one.baseline)} %"
        episodes = "" if one.episodes is None else f"; {one.episodes} independent episodes"
        yield label, f"{percent(one.probability)} %{between}{baseline}{episodes}"
        yield "", one.method if one.calibrated else f"~ beyond what was fitted: {one.method}"
    if found.candles_end_s is not None:
        age_ns = frame.now_ns - int(found.candles_end_s) * 1_000_000_000
        yield "", f"candles end {numbers.age(age_ns)} ago; scores against the baseline in docs/forecast.md"
    yield "", _made(frame)
