"""A cascade around the selected account, as `marginline cascade --json` answers it: figures here are figures there."""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from tui import numbers
from tui.cascade_like import CascadeFound
from tui.folding import folded
from tui.present_hedge import NOT_YET, STALE
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Text
from widgets.tones import Cell, Line, Tone

NOBODY = "cascades are not worked out here"
DRAWN = "a drawn prior, no real book"
MADE_UP = "the market is simulated: its book and its pool are made up"
NO_PATHS_YET = "paths over time are being run"
NO_VOLATILITY = "unknown: the volatility is not known yet (31 daily closes)"
WORST = "all that is liquidatable is sold at once, the worst case"
BASELINE = "closed form without drift: too low in the tails"
Vouch = Callable[[str], str]
"""Marks a figure of a stale account as one that nobody vouches for."""
_LABEL, _FIGURE, _MONEY = 24, 11, 14
_FED = Decimal("0.99")
"""Above it a reproduction number is shown as 1.00 or more, being rounded up."""
_FALL = 8


def section(frame: Frame) -> Section:
    """Return the title: which market, that no real book stands behind it where none does, and the figures' age."""
    name = "" if frame.selected is None else frame.selected.account.name
    found = frame.cascade
    if found is None or found.answer is None:
        return Section(f"cascade around {name}", is_focused=True)
    drawn = f": {DRAWN}" if found.is_drawn else ""
    age = numbers.age(frame.now_ns - found.made_at_ns)
    return Section(f"cascade of {found.asset} around {name}{drawn}", f"worked out {age} ago", is_focused=True)


def market(frame: Frame, width: int) -> Text:
    """Return what is always in sight: the book and its age, what absorbs sales, and what nobody vouches for."""
    found, state = frame.cascade, frame.selected
    if found is None or found.answer is None or state is None:
        return Text()
    known: Mapping[str, Any] = found.answer
    told = [(line, Tone.TEXT) for line in market_words(frame, found)]
    if frame.snapshot.simulated:
        told.append((MADE_UP, Tone.UNKNOWN))
    told += [(line, Tone.UNKNOWN) for line in known["degraded"]]
    if state.is_stale:
        told.append((STALE, Tone.STALE))
    return Text(folded(told, width))


def market_words(frame: Frame, found: CascadeFound) -> Iterable[str]:
    """Yield the book with its size and age, and what absorbs sales."""
    known: Mapping[str, Any] = found.answer or {}
    book = known["book"]
    aged = "" if found.book_at_ns is None else f", {numbers.age(frame.now_ns - found.book_at_ns)} old"
    yield f"{book['loans']:,} loans, debt {numbers.debt(Decimal(book['debt']))} $, of {book['source']}{aged}"
    yield f"sold into {known['impact']}, {found.asset} at {_price(known['prices'][found.asset])}"


def cascade(frame: Frame, width: int) -> Text:
    """Return everything else, or why there is nothing."""
    found = frame.cascade
    if frame.selected is None or found is None:
        return Text(((Cell(f" {NOT_YET}" if frame.selected else " no account selected", Tone.MUTED),),))
    if found.answer is None:
        return Text(folded(((found.because, Tone.TEXT),), width))
    known: Mapping[str, Any] = found.answer
    vouched: Vouch = numbers.unvouched if frame.selected.is_stale else str
    lines: list[Line] = []
    for part in (
        _watch(known["watch"], width),
        _place(found, known, vouched, width),
        _shocks(found.asset, known["shocks"]),
        _liquidators(known["account"], vouched, width, is_masked=frame.view.is_masked),
        _assumed(known, width),
    ):
        lines += [(), *part] if lines else part
    return Text(tuple(lines))


def _watch(watch: Mapping[str, Any], width: int) -> list[Line]:
    r0 = {_percent(Decimal(shock)): Decimal(figure) for shock, figure in watch["r0"].items()}
    cells = [Cell(" R0", Tone.KEY)]
    for shock, figure in r0.items():
        tone = Tone.DANGER if figure > _FED else Tone.STRONG
        cells += [Cell(f"   at {shock} % ", Tone.MUTED), Cell(numbers.multiple(figure), tone)]
    feeding = [shock for shock, figure in r0.items() if figure > _FED]
    means = (
        f"at {', '.join(feeding)} % a fall feeds itself: each further 1 % sets off 1 % or more"
        if feeding
        else f"falls die out: a further 1 % sets off at most {numbers.multiple(max(r0.values()))} % more"
    )
    ratio = watch["throughput_over_replenishment"]
    over = f"unknown: {watch['because']}" if ratio is None else f"{numbers.multiple(Decimal(ratio))}: {_speed(ratio)}"
    told = ((means, Tone.TEXT), (f"throughput over replenishment {over}", Tone.TEXT))
    return [tuple(cells), *folded(told, width)]


def _speed(ratio: str) -> str:
    if Decimal(ratio) > 1:
        return "liquidators can sell faster than the market takes it up again"
    return "the market takes up as fast as liquidators can sell"


def _shocks(asset: str, rows: Iterable[Mapping[str, Any]]) -> list[Line]:
    heads = ("FALL %", "LEAVES", "ENDS AT", "DEEPER %", "LIQUIDATED $", "BAD DEBT $")
    lines: list[Line] = [(Cell(f" where falls end: {WORST}", Tone.KEY),), (Cell(_row(heads), Tone.MUTED),)]
    for row in rows:
        static = row["static"]
        left, rest = Decimal(row["exogenous_prices"][asset]), Decimal(static["price"])
        cells = (
            _percent(Decimal(row["shock"][asset])),
            _price(row["exogenous_prices"][asset]),
            numbers.price(rest, numbers.price_places(left), ROUND_FLOOR),
            numbers.signed_percent(-Decimal(static["endogenous_drop"])),
            numbers.debt(Decimal(static["liquidated_debt"])),
            numbers.debt(Decimal(static["bad_debt"])),
        )
        lines.append((Cell(_row(cells), Tone.TEXT),))
    return lines


def _place(found: CascadeFound, known: Mapping[str, Any], vouched: Vouch, width: int) -> list[Line]:
    one, now = known["account"], known["book"]["liquidatable_now"]
    level = Decimal(one["liquidation_price"])
    at = vouched(numbers.liquidation_price(level, numbers.price_places(level), falls=True))
    ahead, rank = vouched(numbers.debt(Decimal(one["debt_ahead"]))), vouched(f"{one['rank']:,}")
    said = f"{one['name']} is number {rank} of {one['of']:,} in the queue, debt ahead {ahead} $; liquidated at {at}"
    told = [(said, Tone.STRONG)]
    if one["liquidatable"]:
        told.append(("it is at or past its liquidation price now", Tone.DANGER))
    if now["loans"]:
        told.append(
            (f"liquidatable now: {now['loans']:,} loans, debt {numbers.debt(Decimal(now['debt']))} $", Tone.WARN)
        )
    within = f"% IN {one['horizon'].upper()}"
    head = f" {'':<{_LABEL}}{'FALL %':>{_FALL}}{'σ-DAYS':>{_FIGURE}}{within:>{_FIGURE}}"
    lines: list[Line] = [*folded(told, width), (Cell(head, Tone.MUTED),)]
    for key, words in (("alone", "its price alone"), ("cascade", "the cascade reaches it")):
        days, chance = one[f"sigma_days_{key}"], one[f"chance_{key}"]
        cells = (
            numbers.distance(Decimal(one[f"shock_{key}"]), falls=True),
            numbers.sigma_days(None if days is None else Decimal(days)),
            numbers.UNKNOWN if chance is None else numbers.chance(float(chance)),
        )
        figures = "".join(
            f"{vouched(cell):>{size}}" for cell, size in zip(cells, (_FALL, _FIGURE, _FIGURE), strict=True)
        )
        lines.append((Cell(f" {words:<{_LABEL}}", Tone.TEXT), Cell(figures, Tone.STRONG)))
    return [*lines, *folded(((each, Tone.TEXT) for each in _sooner(found, known, vouched)), width)]


def _sooner(found: CascadeFound, known: Mapping[str, Any], vouched: Vouch) -> Iterable[str]:
    one, paths = known["account"], known["dynamic"]
    if one["because"]:
        yield NO_VOLATILITY
        return
    sooner = vouched(numbers.multiple(Decimal(one["sigma_days_sooner"])))
    yield f"{sooner} σ-days sooner; chances are a baseline, {BASELINE}"
    if not found.is_whole:
        yield NO_PATHS_YET
    elif paths is None or one["chance_simulated"] is None:
        yield f"no paths over time: {known['dynamic_because']}"
    elif Decimal(one["chance_simulated"]) == 0:
        yield f"reached in none of {paths['paths']:,} simulated paths of {_span(paths)}"
    else:
        share, error = (vouched(numbers.chance(float(one[f"chance_simulated{part}"]))) for part in ("", "_error"))
        yield f"reached in {share} % of {paths['paths']:,} simulated paths of {_span(paths)}, standard error {error} %"


def _span(paths: Mapping[str, Any]) -> str:
    return numbers.span(Decimal(paths["steps"]) * Decimal(paths["step_minutes"]) * 60)


def _liquidators(one: Mapping[str, Any], vouched: Vouch, width: int, *, is_masked: bool) -> list[Line]:
    view = one["liquidators"]
    lines: list[Line] = []
    for key, words in (("first", "first in line"), ("behind_the_queue", "behind the queue")):
        told = {name: numbers.MASK if is_masked else vouched(_gain(name, figure)) for name, figure in view[key].items()}
        text = (
            f"liquidators {words}: profit {told['profit']} $ on {told['repay']} $ = bonus {told['bonus_value']} "
            f"- slippage {told['slippage']} - fee {told['fee']} - gas {told['gas']} - latency {told['latency_cost']}"
        )
        lines += folded(((text, Tone.TEXT),), width)
    pays = view["profitable_from"]
    from_ = (
        f"pays from {vouched(_price(pays))}"
        if pays is not None
        else f"pays at no price down to {_price(view['searched_to'])}"
    )
    does = "raises its health" if view["raises_health"] else "lowers its health: health <= threshold x (1 + bonus)"
    return [*lines, *folded(((f"a call {from_}; it {does}", Tone.TEXT),), width)]


def _gain(name: str, figure: str) -> str:
    """Return an amount of an offer: what a liquidator pays rounded up, what is left rounded down."""
    return numbers.cents(Decimal(figure), ROUND_FLOOR if name in ("profit", "bonus_value") else ROUND_CEILING)


def _assumed(known: Mapping[str, Any], width: int) -> list[Line]:
    return list(folded(((f"assumed: {line}", Tone.MUTED) for line in known["caveats"]), width))


def _percent(fraction: Decimal) -> str:
    return f"{(fraction * 100).normalize():f}"


def _price(text: str) -> str:
    value = Decimal(text)
    return numbers.price(value, numbers.price_places(value))


def _row(cells: tuple[str, ...]) -> str:
    prices, money = cells[1:4], cells[4:]
    found = f" {cells[0]:>{_FALL}}" + "".join(f"{cell:>{_FIGURE}}" for cell in prices)
    return found + "".join(f"{cell:>{_MONEY}}" for cell in money)


def method_words(frame: Frame) -> Iterable[tuple[str, str]]:
    """Yield (label, words) of how the pane's figures come about; nothing while it has none for this account."""
    found = frame.cascade
    if found is None or found.answer is None:
        return
    known: Mapping[str, Any] = found.answer
    yield "cascade", f"{WORST}, down to the first price that stands"
    for line in market_words(frame, found):
        yield "", line
    paths = known["dynamic"]
    if paths is not None:
        drawn = f"volatility {paths['volatility']}, seed {paths['seed']}"
        yield "", f"over time: {paths['paths']:,} paths of {_span(paths)}, {drawn}"
    yield "", f"baseline of its chances: {BASELINE}"
    yield "", f"the same figures by `marginline cascade {found.asset} --account {found.account} --json`"
