"""Prices as rows: what liquidates, what the venues agree on, and when the oracle prints next."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from desk.roster import at_triggers
from desk.snapshot import AccountState, AssetState, Snapshot
from engine.accounts import Kind
from engine.oracle import NextPrint, divergence_bps, next_print
from engine.prices import OraclePrice, Quote
from tui import numbers, words
from tui.latest import latest
from tui.rows import Rows
from tui.view import Frame
from widgets.bars import Section
from widgets.gauges import Divergence, Gauge
from widgets.prices import PriceRow, Prices, QuoteRow, Quotes
from widgets.tones import BLANK, Cell, Tone

_SECOND_NS = 1_000_000_000


class _Holders:
    """Who holds an asset, and what is known of its oracle through them.

    `lent_on` are the oracles by which loans on an asset are judged; `None` among them is the shared one.
    """

    def __init__(self, accounts: Mapping[str, AccountState]) -> None:
        self.count: dict[str, int] = {}
        self.oracles: dict[str, OraclePrice] = {}
        self.marks: dict[str, Decimal] = {}
        self.lent_on: dict[str, dict[OraclePrice | None, None]] = {}
        self.observed_at_ns: dict[str, int] = {}
        self.vouched: set[str] = set()
        for state in accounts.values():
            self._add(state)

    def _add(self, state: AccountState) -> None:
        is_loan = state.account.kind is Kind.LOAN
        for asset in state.account.assets:
            self.count[asset] = self.count.get(asset, 0) + 1
            self.observed_at_ns[asset] = max(self.observed_at_ns.get(asset, 0), state.observed_at_ns)
            if not state.is_stale:
                self.vouched.add(asset)
            if is_loan:
                self.lent_on.setdefault(asset, {})[state.account.oracles.get(asset)] = None
        self.oracles |= {asset: oracle for asset, oracle in state.account.oracles.items() if asset not in self.oracles}
        for leg in state.account.positions:
            if leg.mark_price is not None:
                self.marks.setdefault(leg.asset, leg.mark_price)


@latest
def _holders(accounts: Mapping[str, AccountState]) -> _Holders:
    return _Holders(accounts)


def _coming(snapshot: Snapshot, asset: str, holders: _Holders) -> NextPrint | None:
    """Return the next print of the oracles that loans on `asset` are judged by: one that is due, else any.

    `None` where no loan is. A price of `None` says that it can't be told of any of them.
    """
    prices = {name: state.price for name, state in snapshot.prices.items()}
    agreed = {name: state.consensus for name, state in snapshot.prices.items()}
    found: NextPrint | None = None
    for own in holders.lent_on.get(asset, ()):
        oracle = snapshot.prices[asset].price.oracle if own is None else own
        if oracle is None:
            continue
        try:
            printed = next_print(asset, oracle, prices, agreed)
        except ArithmeticError as error:  # an oracle that prints 0, say
            printed = NextPrint(None, None, f"cannot be computed: {type(error).__name__}")
        if printed.due is not None:
            return printed
        if found is None or found.price is None:
            found = printed
    return found


def _ordered(snapshot: Snapshot, held: dict[str, int]) -> tuple[str, ...]:
    def key(asset: str) -> tuple[bool, int, str]:
        return snapshot.prices[asset].price.stable, -held.get(asset, 0), asset

    return tuple(sorted(snapshot.prices, key=key))


def prices(frame: Frame) -> Prices:
    """Return one row per asset, made when it is looked at; all of them where the filter finds no asset."""
    snapshot = frame.snapshot
    holders = _holders(at_triggers(snapshot.accounts))
    wanted = frame.view.filter.casefold()
    assets = _ordered(snapshot, holders.count)
    if wanted and not wanted.startswith("!"):
        assets = tuple(asset for asset in assets if wanted in asset.casefold()) or assets
    rows = Rows(assets, lambda asset: _row(frame, snapshot.prices[asset], holders))
    return Prices(rows, "no prices yet", assets)


def section(frame: Frame, *, is_focused: bool = False) -> Section:
    """Return the title of the price table."""
    return Section("prices", "+ = market above oracle", is_focused)


def _row(frame: Frame, state: AssetState, holders: _Holders) -> PriceRow:
    asset, now_ns = state.asset, frame.now_ns
    oracle = state.price.oracle or holders.oracles.get(asset)
    mark = holders.marks.get(asset)
    trigger = oracle.price if oracle is not None else mark
    agreed = state.consensus
    places = numbers.price_places(trigger if trigger is not None else agreed.price)
    quotes = state.price.quotes
    bps = state.divergence_bps
    if bps is None and agreed.price is not None and trigger:
        bps = divergence_bps(agreed.price, trigger)
    market = _market_cell(state, trigger, bps, places)
    limit = oracle.deviation_bps if oracle is not None else None
    tone = Tone.WARN if bps is not None and limit is not None and abs(bps) >= limit else Tone.TEXT
    return PriceRow(
        key=asset,
        asset=Cell(asset, Tone.STRONG),
        oracle=_trigger_cell(asset, trigger, holders, places),
        age=_oracle_age(oracle, holders.observed_at_ns.get(asset), now_ns),
        market=market,
        divergence_bps=Cell(numbers.basis_points(bps), tone) if bps is not None else BLANK,
        divergence=Divergence(
            float(bps) if bps is not None else None,
            float(limit) if limit is not None else None,
            Tone.WARN if tone is Tone.WARN else Tone.ACCENT,
        ),
        heartbeat=_heartbeat(oracle),
        heartbeat_label=_heartbeat_label(oracle),
        next_print=_next_print(_coming(frame.snapshot, asset, holders), oracle),
        venues=_venues(state),
        note=_note(state, oracle, quotes),
    )


def _market_cell(state: AssetState, trigger: Decimal | None, bps: Decimal | None, places: int) -> Cell:
    """Return the consensus; for an asset that no venue quotes itself, the product of its oracle's legs at market."""
    agreed = state.consensus
    if agreed.price is None:
        if bps is not None and trigger is not None and not state.price.quotes:
            return Cell(numbers.price(trigger * (1 + bps / 10_000), places))
        return Cell(numbers.UNKNOWN, Tone.UNKNOWN) if state.price.quotes else BLANK
    text = numbers.price(agreed.price, places)
    return Cell(numbers.estimated(text) if agreed.single_venue else text)


def _trigger_cell(asset: str, trigger: Decimal | None, holders: _Holders, places: int) -> Cell:
    """Return the price that liquidates, unvouched when every account that reads it is stale."""
    if trigger is None:
        return BLANK
    text = numbers.price(trigger, places)
    if asset in holders.count and asset not in holders.vouched:
        return Cell(numbers.unvouched(text), Tone.MUTED)
    return Cell(text)


def _oracle_age(oracle: OraclePrice | None, observed_at_ns: int | None, now_ns: int) -> Cell:
    age_ns = words.oracle_age_ns(oracle, observed_at_ns, now_ns) if oracle is not None else None
    if oracle is None or age_ns is None:
        return BLANK
    is_late = oracle.heartbeat_s is not None and age_ns > int(oracle.heartbeat_s * _SECOND_NS)
    return Cell(numbers.age(age_ns), Tone.WARN if is_late else Tone.MUTED)


def _heartbeat(oracle: OraclePrice | None) -> Gauge | None:
    if oracle is None or oracle.heartbeat_s is None or oracle.age_s is None or oracle.heartbeat_s <= 0:
        return None
    elapsed = float(oracle.age_s / oracle.heartbeat_s)
    return Gauge(min(1.0, max(0.0, elapsed)), Tone.WARN if elapsed > 1 else Tone.MUTED)


def _heartbeat_label(oracle: OraclePrice | None) -> Cell:
    if oracle is None:
        return BLANK
    return Cell(numbers.span(oracle.heartbeat_s), Tone.FAINT if oracle.heartbeat_s is None else Tone.MUTED)


def _next_print(coming: NextPrint | None, oracle: OraclePrice | None) -> Cell:
    if coming is not None and coming.due is not None:
        return Cell(f"due: {coming.due.value}", Tone.WARN)
    if coming is not None and coming.price is None:
        return Cell("? no consensus", Tone.UNKNOWN)
    if oracle is not None and (oracle.legs or oracle.deviation_bps is not None or oracle.heartbeat_s is not None):
        return Cell("not due", Tone.MUTED)
    return BLANK


def _venues(state: AssetState) -> Cell:
    total = len(state.price.quotes)
    if not total:
        return BLANK
    used = len(state.consensus.venues)
    return Cell(f"{used}/{total}", Tone.TEXT if used == total else Tone.UNKNOWN)


def _note(state: AssetState, oracle: OraclePrice | None, quotes: tuple[Quote, ...]) -> Cell:
    agreed = state.consensus
    if agreed.price is None and quotes:
        return Cell(agreed.reason, Tone.UNKNOWN)
    if agreed.excluded:
        venue, reason = next(iter(agreed.excluded.items()))
        more = f" +{len(agreed.excluded) - 1}" if len(agreed.excluded) > 1 else ""
        return Cell(f"{venue} {reason}{more}", Tone.UNKNOWN)
    if agreed.single_venue:
        return Cell("one venue", Tone.MUTED)
    if oracle is not None and oracle.legs:
        factors = (leg.asset or "rate" for leg in oracle.legs)
        return Cell(" x ".join(factors), Tone.MUTED)
    return BLANK


def quotes_section(frame: Frame, asset: str | None) -> Section:
    """Return the title of one asset's quotes: the consensus, how many agree, and how far apart they are."""
    state = frame.snapshot.prices.get(asset or "")
    if state is None or asset is None:
        return Section("quotes")
    agreed = state.consensus
    if agreed.price is None:
        return Section(f"{asset} quotes", agreed.reason or "no quotes")
    places = numbers.price_places(agreed.price)
    mids = [quote.mid for quote in state.price.quotes if quote.venue in agreed.venues]
    parts = [f"consensus {numbers.price(agreed.price, places)}", f"median of {len(agreed.venues)}"]
    if len(mids) > 1:
        spread = (max(mids) - min(mids)) / agreed.price * 10_000
        parts.append(f"spread {numbers.basis_points(spread).removeprefix('+')} bps")
    return Section(f"{asset} quotes", " · ".join(parts))


def quotes(frame: Frame, asset: str | None) -> Quotes:
    """Return every quote of one asset beside its oracle and the next print."""
    state = frame.snapshot.prices.get(asset or "")
    if state is None or asset is None:
        return Quotes(nothing="no asset selected")
    holders = _holders(at_triggers(frame.snapshot.accounts))
    oracle = state.price.oracle or holders.oracles.get(asset)
    trigger = oracle.price if oracle is not None else holders.marks.get(asset)
    places = numbers.price_places(trigger if trigger is not None else state.consensus.price)
    rows = [*_trigger_rows(frame, asset, oracle, holders, places)]
    limit = oracle.deviation_bps if oracle is not None else None
    rows.extend(_quote(quote, state, trigger, limit, places, frame.now_ns) for quote in state.price.quotes)
    return Quotes(tuple(rows), "no venue quotes it")


def _trigger_rows(
    frame: Frame, asset: str, oracle: OraclePrice | None, holders: _Holders, places: int
) -> Iterable[QuoteRow]:
    if oracle is not None:
        rule = []
        if oracle.heartbeat_s is not None:
            rule.append(f"heartbeat {numbers.span(oracle.heartbeat_s)}")
        if oracle.deviation_bps is not None:
            rule.append(f"deviation {oracle.deviation_bps / 100:f} %")
        yield QuoteRow(
            name=Cell("oracle", Tone.STRONG),
            low=Cell(oracle.source, Tone.MUTED),
            high=Cell(numbers.price(oracle.price, places)),
            age=_oracle_age(oracle, holders.observed_at_ns.get(asset), frame.now_ns),
            state=Cell(", ".join(rule), Tone.MUTED),
        )
    elif asset in holders.marks:
        price = numbers.price(holders.marks[asset], places)
        yield QuoteRow(name=Cell("mark", Tone.STRONG), high=Cell(price))
    coming = _coming(frame.snapshot, asset, holders)
    if coming is not None and coming.due is not None and coming.price is not None and oracle is not None:
        bps = divergence_bps(coming.price, oracle.price)
        yield QuoteRow(
            name=Cell("next", Tone.STRONG),
            low=Cell("estimate", Tone.MUTED),
            high=Cell(numbers.estimated(numbers.price(coming.price, places)), Tone.NEXT),
            divergence_bps=Cell(numbers.basis_points(bps)),
            divergence=_divergence(bps, oracle.deviation_bps),
            state=Cell(f"due: {coming.due.value}", Tone.WARN),
        )


def _divergence(bps: Decimal | None, limit: Decimal | None, *, is_used: bool = True) -> Divergence:
    is_wide = bps is not None and limit is not None and abs(bps) >= limit
    tone = Tone.MUTED if not is_used else Tone.WARN if is_wide else Tone.ACCENT
    return Divergence(float(bps) if bps is not None else None, float(limit) if limit is not None else None, tone)


def _quote(
    quote: Quote, state: AssetState, trigger: Decimal | None, limit: Decimal | None, places: int, now_ns: int
) -> QuoteRow:
    is_used = quote.venue in state.consensus.venues
    reason = state.consensus.excluded.get(quote.venue, "")
    tone = Tone.TEXT if is_used else Tone.MUTED
    bps = divergence_bps(quote.mid, trigger) if trigger else None
    age_ns = now_ns - quote.observed_at_ns if quote.observed_at_ns is not None else None
    mark = numbers.unvouched if not is_used else str
    is_old = "stale" in reason or quote.observed_at_ns is None
    said = "live" if is_used else f"{reason or 'not counted'}, left the consensus"
    return QuoteRow(
        name=Cell(quote.venue, tone),
        low=Cell(numbers.price(quote.bid, places), Tone.MUTED),
        high=Cell(mark(numbers.price(quote.ask, places)), tone),
        age=Cell(numbers.age(age_ns), Tone.STALE if is_old else Tone.MUTED),
        divergence_bps=Cell(numbers.basis_points(bps), tone) if bps is not None else BLANK,
        divergence=_divergence(bps, limit, is_used=is_used),
        state=Cell(said, Tone.MUTED if is_used else Tone.UNKNOWN),
    )
