"""One account in full: its load line, legs, facts and a day of health."""

from decimal import Decimal

from desk.snapshot import AccountState, Snapshot
from engine.accounts import Collateral, Debt, Kind, Position
from engine.assessment import Direction, LiquidationPoint, Severity
from tui import numbers, words
from tui.view import Frame
from widgets.bars import Section
from widgets.facts import Fact, FactList, LegRow, Legs, Text
from widgets.glyphs import fit
from widgets.history import History, Threshold
from widgets.loadline import Mark, Scale
from widgets.tones import BLANK, Cell, Line, Tone

_DAY_NS = 86_400 * 1_000_000_000


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the selected account's section, with its oracle's rule at the right."""
    state = frame.selected
    if state is None:
        return Section("no account", is_focused=is_focused)
    account = state.account
    venue = account.venue or account.provider or account.kind.value
    note = _oracle_note(frame, state) if account.kind is Kind.LOAN else _venue_note(frame, state)
    return Section(f"{account.name} · {venue}", note, is_focused)


def _venue_note(frame: Frame, state: AccountState) -> str:
    """Return whose price liquidates, when funding is next paid, or that a broker's market is closed."""
    assessment = state.assessment
    parts = [f"by {assessment.trigger}"]
    cost = assessment.cost_of_debt
    if cost is not None and cost.next_funding_ns is not None and cost.next_funding_ns > frame.now_ns:
        parts.append(f"funding in {numbers.long_age(cost.next_funding_ns - frame.now_ns)}")
    session = assessment.session
    if session is not None and not session.is_open:
        opens_ns = session.opens_ns
        wait = "" if opens_ns is None else f", opens in {numbers.long_age(opens_ns - frame.now_ns)}"
        parts.append(f"market closed{wait}")
    if assessment.status:
        parts.append(assessment.status)
    return " · ".join(parts)


def _oracle_note(frame: Frame, state: AccountState) -> str:
    asset = state.assessment.nearest
    oracle = words.oracle_of(frame.snapshot, state, asset) if asset is not None else None
    if asset is None or oracle is None:
        return state.account.note
    parts = []
    age_ns = words.oracle_age_ns(oracle, state.observed_at_ns, frame.now_ns)
    if age_ns is not None:
        parts.append(f"{asset} oracle {numbers.age(age_ns)}")
    rule = []
    if oracle.deviation_bps is not None:
        rule.append(f"{oracle.deviation_bps / 100:f} %")
    if oracle.heartbeat_s is not None:
        rule.append(numbers.span(oracle.heartbeat_s))
    if rule:
        parts.append(" or ".join(rule))
    return " · ".join(parts) or state.account.note


def scale(frame: Frame) -> Scale:
    """Return the load line of the selected account: the nearest line, and what stands beside it."""
    state = frame.selected
    if state is None:
        return Scale(None, reason="no account selected")
    nearest = words.nearest_point(state)
    if nearest is None or words.nearest_move(state) is not None:
        return Scale(None, reason=_no_line(state), is_stale=state.is_stale)
    asset, point = nearest
    snapshot = frame.snapshot
    trigger = words.trigger_price(snapshot, state, asset)
    if point.price is None or trigger is None:
        return Scale(None, reason=f"{asset} has no price", is_stale=state.is_stale)
    places = words.places_of(snapshot, state, asset)
    is_loan = state.account.kind is Kind.LOAN
    marks = [_mark("O" if is_loan else "P", state.assessment.trigger, trigger, places, Tone.STRONG)]
    market = words.market_price(snapshot, state, asset)
    if market is not None:
        marks.append(_mark("M", "market", market, places, Tone.ACCENT))
    coming = state.assessment.at_next_oracle
    if coming is not None and asset in coming.updates:
        marks.append(_mark("N", "next", coming.updates[asset].price, places, Tone.NEXT))
    falls = words.falls(point)
    label = numbers.liquidation_price(point.price, places, falls=falls)
    direction = Direction.DOWN if falls else Direction.UP
    return Scale(float(point.price), label, direction, tuple(marks), state.is_stale)


def _mark(letter: str, name: str, price: Decimal, places: int, tone: Tone) -> Mark:
    return Mark(letter, name, float(price), numbers.price(price, places), tone)


def _no_line(state: AccountState) -> str:
    assessment = state.assessment
    if not assessment.has_debt:
        return "no debt: nothing can be liquidated"
    if words.nearest_move(state) is not None:
        return assessment.liquidation_note
    if "liquidation" in assessment.missing:
        return assessment.missing["liquidation"]
    if assessment.health_factor is None:
        return assessment.severity_because
    if assessment.health_factor < 1:
        return "below the line: liquidatable now"
    return "no move of one asset alone liquidates"


def brief(frame: Frame) -> FactList:
    """Return the three facts beside a short load line."""
    state = frame.selected
    nearest = words.nearest_point(state) if state is not None else None
    if state is None or nearest is None:
        return FactList()
    asset, point = nearest
    falls = words.falls(point)
    rows = [
        Fact("to the line", figure(state, numbers.distance(point.distance, falls=falls), " %", _emphasis(state))),
        Fact("at market", figure(state, _market_distance(frame.snapshot, state, asset, point), " %")),
        Fact("speed", figure(state, numbers.sigma_days(state.assessment.sigma_days), " σ-days")),
    ]
    return FactList(tuple(rows))


def _emphasis(state: AccountState) -> Tone:
    severity = words.severity_of(state)
    return words.number_tone(severity) if severity in (Severity.DANGER, Severity.LIQUIDATABLE) else Tone.TEXT


def figure(state: AccountState, text: str, unit: str = "", tone: Tone = Tone.TEXT) -> Line:
    """Return a number with its unit, marked and muted when the account is stale; words stay as they are."""
    if text == numbers.UNKNOWN:
        return (Cell(text, Tone.UNKNOWN),)
    if not text[-1:].isdigit():
        return (Cell(text, tone),)
    if state.is_stale:
        return (Cell(f"{numbers.unvouched(text)}{unit}", Tone.MUTED),)
    return (Cell(f"{text}{unit}", tone),)


def _market_distance(snapshot: Snapshot, state: AccountState, asset: str, point: LiquidationPoint) -> str:
    """Return the distance from the market's price to the line, which the market may be past already.

    Empty when other assets, priced by the market too, keep the account safe beyond the line of this one alone.
    """
    market = words.market_price(snapshot, state, asset)
    if market is None or point.price is None or market <= 0:
        return numbers.UNKNOWN
    falls = words.falls(point)
    room = (market - point.price) / market if falls else (point.price - market) / market
    if room > 0:
        return numbers.distance(room, falls=falls)
    at_market = state.assessment.at_market
    is_safe_there = at_market is not None and at_market.health_factor is not None and at_market.health_factor >= 1
    return "" if is_safe_there else "past it"


def healths(frame: Frame) -> Text:
    """Return three columns: health and room at the trigger, at the market and after the next print."""
    state = frame.selected
    if state is None:
        return Text()
    assessment, snapshot = state.assessment, frame.snapshot
    nearest = words.nearest_point(state)
    asset, point = nearest if nearest is not None else ("", None)
    places = words.places_of(snapshot, state, asset) if asset else 0
    tone = words.number_tone(words.severity_of(state))
    columns = [(f"at {assessment.trigger}", words.health_text(state), *_at_trigger(frame, state, asset, point, places))]
    market = assessment.at_market
    figure = numbers.health(market.health_factor if market is not None else None) if assessment.has_debt else ""
    room, said = "", assessment.missing.get("at_market", "")
    if point is not None and words.nearest_move(state) is None:
        room = _market_distance(snapshot, state, asset, point)
        price = words.market_price(snapshot, state, asset)
        said = said if price is None else f"{asset} {numbers.price(price, places)}"
    columns.append(("at market", figure, room, said))
    if state.account.kind is Kind.LOAN:
        columns.append(_after_print(state, asset, places))
    width = 27
    lines: list[Line] = []
    lines.append((Cell("".join(f"{title:<{width}}" for title, *_ in columns).rstrip(), Tone.MUTED),))
    second: list[Cell] = []
    for _, figure, room, _ in columns:
        shown = numbers.unvouched(figure) if state.is_stale else figure
        is_percent = bool(room) and room[-1].isdigit()
        rest = f"  {room} %" if is_percent else f"  {room}" if room else ""
        second.append(Cell(shown, Tone.UNKNOWN if figure == numbers.UNKNOWN else tone))
        second.append(Cell(f"{rest:<{max(1, width - len(shown))}}", Tone.TEXT))
    lines.append((*second[:-1], Cell(second[-1].text.rstrip(), Tone.TEXT)))
    lines.append(
        (Cell("".join(f"{fit(said, width - 2)}  " for *_, said in columns[:-1]) + columns[-1][-1], Tone.MUTED),)
    )
    return Text(tuple(lines))


def _at_trigger(
    frame: Frame, state: AccountState, asset: str, point: LiquidationPoint | None, places: int
) -> tuple[str, str]:
    move = words.nearest_move(state)
    if move is not None:
        return numbers.estimated(numbers.distance(move[1], falls=move[1] < 0)), f"along {move[0]}"
    if point is None:
        return "", state.assessment.severity_because
    trigger = words.trigger_price(frame.snapshot, state, asset)
    oracle = words.oracle_of(frame.snapshot, state, asset) if state.account.kind is Kind.LOAN else None
    age_ns = words.oracle_age_ns(oracle, state.observed_at_ns, frame.now_ns) if oracle is not None else None
    age = f"  {numbers.age(age_ns)}" if age_ns is not None else ""
    room = numbers.distance(point.distance, falls=words.falls(point))
    room = numbers.estimated(room) if words.is_estimated(state) else room
    return room, f"{asset} {numbers.price(trigger, places)}{age}"


def _after_print(state: AccountState, asset: str, places: int) -> tuple[str, str, str, str]:
    coming = state.assessment.at_next_oracle
    if not state.assessment.has_debt:
        return "at next print", "", "", ""
    if coming is None:
        return "at next print", numbers.UNKNOWN, "", state.assessment.missing.get("at_next_oracle", "")
    update = coming.updates.get(asset)
    others = [name for name in coming.updates if name != asset]
    if update is not None:
        said = f"{asset} {numbers.price(update.price, places)}  due: {update.due.value}"
    else:
        said = f"due: {', '.join(others)}" if others else "not due"
    return "at next print", numbers.health(coming.health_factor), "", said


def legs(frame: Frame) -> Legs:
    """Return the legs of the selected account."""
    state = frame.selected
    if state is None:
        return Legs(nothing="no account selected")
    is_loan = state.account.kind is Kind.LOAN
    account = state.account
    rows = [_collateral(frame, state, leg) for leg in account.collateral]
    rows.extend(_debt(frame, state, leg) for leg in account.debt)
    rows.extend(_position(frame, state, leg) for leg in account.positions)
    if account.kind is not Kind.LOAN:
        rows.append(_cash(frame, state))
    return Legs(tuple(rows), "THRESH" if is_loan else "MAINT", "no legs")


def _collateral(frame: Frame, state: AccountState, leg: Collateral) -> LegRow:
    price = words.trigger_price(frame.snapshot, state, leg.asset)
    value = leg.amount * price if price is not None else None
    threshold = Cell("off", Tone.MUTED) if leg.liquidation_threshold == 0 else _threshold(leg.liquidation_threshold)
    return _leg(frame, state, "+", leg.asset, leg.amount, value, threshold, leg.supply_rate)


def _debt(frame: Frame, state: AccountState, leg: Debt) -> LegRow:
    price = words.trigger_price(frame.snapshot, state, leg.asset)
    value = -leg.amount * price if price is not None else None
    rate = -leg.borrow_rate if leg.borrow_rate is not None else None
    return _leg(frame, state, "-", leg.asset, -leg.amount, value, BLANK, rate)


def _position(frame: Frame, state: AccountState, leg: Position) -> LegRow:
    price = words.trigger_price(frame.snapshot, state, leg.asset)
    value = leg.quantity * price if price is not None else None
    notional = abs(value) if value is not None else Decimal(0)
    tier = next((tier for tier in reversed(leg.tiers) if tier.notional_floor <= notional), None)
    maintenance = _threshold(tier.maintenance_rate) if tier is not None else BLANK
    rate = None
    if leg.funding_rate is not None:
        rate = -leg.funding_rate if leg.quantity > 0 or state.account.kind is Kind.BROKER else leg.funding_rate
    return _leg(frame, state, "+" if leg.quantity >= 0 else "-", leg.asset, leg.quantity, value, maintenance, rate)


def _cash(frame: Frame, state: AccountState) -> LegRow:
    account = state.account
    sign = "+" if account.balance >= 0 else "-"
    rate = account.cash_rate if account.balance >= 0 or account.cash_rate is None else -account.cash_rate
    amount = (
        Cell(numbers.MASK, Tone.MUTED) if frame.view.is_masked else Cell(numbers.amount(account.balance, Decimal(1)))
    )
    value = Cell(numbers.MASK, Tone.MUTED) if frame.view.is_masked else Cell(numbers.money(account.balance))
    return LegRow(Cell(f"{sign} {account.quote}"), amount, value, rate=_rate(rate))


def _leg(
    frame: Frame,
    state: AccountState,
    sign: str,
    asset: str,
    amount: Decimal,
    value: Decimal | None,
    threshold: Cell,
    rate: Decimal | None,
) -> LegRow:
    price = words.trigger_price(frame.snapshot, state, asset)
    places = words.places_of(frame.snapshot, state, asset)
    oracle = words.oracle_of(frame.snapshot, state, asset) if state.account.kind is Kind.LOAN else None
    age_ns = words.oracle_age_ns(oracle, state.observed_at_ns, frame.now_ns) if oracle is not None else None
    masked = Cell(numbers.MASK, Tone.MUTED)
    plain = Tone.MUTED if state.is_stale else Tone.TEXT

    def number(text: str) -> Cell:
        if text == numbers.UNKNOWN:
            return Cell(text, Tone.UNKNOWN)
        return Cell(numbers.unvouched(text) if state.is_stale else text, plain)

    return LegRow(
        leg=Cell(f"{sign} {asset}"),
        amount=masked if frame.view.is_masked else number(numbers.amount(amount, price)),
        value=masked if frame.view.is_masked else number(numbers.money(value)),
        threshold=threshold,
        rate=_rate(rate),
        price=number(numbers.price(price, places)),
        age=Cell(numbers.age(age_ns), Tone.MUTED) if age_ns is not None else BLANK,
    )


def _threshold(value: Decimal) -> Cell:
    return Cell(numbers.threshold(value), Tone.MUTED)


def _rate(value: Decimal | None) -> Cell:
    return BLANK if value is None else Cell(numbers.signed_percent(value), Tone.TEXT)


def lines_by_asset(frame: Frame) -> Text:
    """Return where every asset of the selected account alone would liquidate it."""
    state = frame.selected
    if state is None:
        return Text()
    head = f" {'ASSET':<10}{'PRICE':>11}{'LIQ AT':>12}{'DIST %':>10}{'AT MARKET %':>14}"
    lines: list[Line] = [(Cell(head, Tone.MUTED),)]
    ranked = sorted(state.assessment.liquidation.items(), key=lambda item: (item[1].distance is None, item[1].distance))

    def mark(text: str) -> str:
        return numbers.unvouched(text) if state.is_stale else text

    for asset, point in ranked:
        places = words.places_of(frame.snapshot, state, asset)
        price = numbers.price(words.trigger_price(frame.snapshot, state, asset), places)
        name = Cell(f" {fit(asset, 9)} ", Tone.STRONG)
        price = mark(price)
        if point.price is None:
            lines.append((name, Cell(f"{price:>11}"), Cell("   no move of it alone liquidates", Tone.MUTED)))
            continue
        falls = words.falls(point)
        at = mark(numbers.liquidation_price(point.price, places, falls=falls))
        room = mark(numbers.distance(point.distance, falls=falls))
        market = mark(_market_distance(frame.snapshot, state, asset, point))
        plain = Tone.MUTED if state.is_stale else Tone.TEXT
        lines.append((name, Cell(f"{price:>11}{at:>12}{room:>10}{market:>14}", plain)))
    return Text(tuple(lines))


def history(frame: Frame) -> History:
    """Return a day of the selected account's health, with the rungs of its ladder."""
    state = frame.selected
    now_ns = frame.now_ns
    if state is None:
        return History(end_ns=now_ns)
    ladder = frame.settings.ladder_of(state.account, state.source)
    tones = (Tone.WATCH, Tone.WARN, Tone.DANGER)
    rungs = tuple(
        Threshold(float(level), numbers.health(level, 2), tone)
        for level, tone in zip(ladder.health or (), tones, strict=False)
    )
    start_ns = now_ns - _DAY_NS
    points = tuple(point for point in state.health_history if point[0] >= start_ns)
    if points:
        first_ns = points[0][0]
        start_ns = max(start_ns, min(first_ns, now_ns - 60 * 1_000_000_000))
    nothing = "no debt" if not state.assessment.has_debt else "no history yet"
    return History(
        points=points if state.assessment.has_debt else (),
        start_ns=start_ns,
        end_ns=now_ns,
        thresholds=rungs,
        tone=Tone.MUTED if state.is_stale else Tone.TEXT,
        is_stale=state.is_stale,
        start_label=numbers.clock(start_ns)[:5],
        nothing=nothing,
    )


def history_section(frame: Frame) -> Section:
    """Return the title of the health chart."""
    chart = history(frame)
    minutes = (chart.end_ns - chart.start_ns) // (60 * 1_000_000_000)
    hours = (minutes + 30) // 60
    return Section(f"health factor, {f'{hours} h' if minutes >= 60 else f'{minutes} min'}")
