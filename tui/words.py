"""What presenters share: severities as glyph, word and tone, and the prices an account is liquidated at."""

from collections.abc import Mapping
from decimal import Decimal

from desk.snapshot import AccountState, Snapshot
from engine.accounts import Kind
from engine.assessment import Direction, LiquidationPoint, Method, Severity
from engine.directions import ALL_ASSETS
from engine.prices import OraclePrice
from tui import numbers
from widgets.tones import SEVERITY_TONES, Cell, Tone

GLYPHS: Mapping[Severity, str] = {
    Severity.SAFE: "·",
    Severity.WATCH: "o",
    Severity.WARN: "!",
    Severity.DANGER: "!!",
    Severity.LIQUIDATABLE: "X",
    Severity.UNKNOWN: "?",
}
WORST_FIRST = (
    Severity.LIQUIDATABLE,
    Severity.DANGER,
    Severity.UNKNOWN,
    Severity.WARN,
    Severity.WATCH,
    Severity.SAFE,
)


def severity_of(state: AccountState) -> Severity:
    """Return the severity to show: a stale account is unknown, whatever was last computed."""
    return Severity.UNKNOWN if state.is_stale else state.assessment.severity


def tone_of(severity: Severity) -> Tone:
    """Return the tone of a severity's glyph and number; safe has no colour."""
    return SEVERITY_TONES[severity]


def number_tone(severity: Severity) -> Tone:
    """Return the tone of a severity's numbers and gauges: only glyph and word of what is liquidatable are filled."""
    return Tone.DANGER if severity is Severity.LIQUIDATABLE else tone_of(severity)


def glyph(severity: Severity) -> Cell:
    """Return the severity's glyph; a safe one is muted."""
    return Cell(GLYPHS[severity], Tone.MUTED if severity is Severity.SAFE else tone_of(severity))


def health_text(state: AccountState) -> str:
    """Return an account's health at its trigger price, with its marks; `no debt` in words."""
    assessment = state.assessment
    if not assessment.has_debt:
        return "no debt"
    text = numbers.health(assessment.health_factor)
    # A scan or a spread requirement is the venue's own figure now: only how it moves is estimated.
    if is_estimated(state) and state.account.reported is None:
        text = numbers.estimated(text)
    return numbers.unvouched(text) if state.is_stale else text


def is_estimated(state: AccountState) -> bool:
    """Return whether distances of the account are estimates: they carry a `~`."""
    return state.assessment.method is Method.ESTIMATED


def nearest_move(state: AccountState) -> tuple[str, Decimal] | None:
    """Return the named move that liquidates a portfolio-margin account first, signed; `None` for others."""
    named = state.assessment.directions
    return min(named.items(), key=lambda item: abs(item[1])) if named else None


def short_move(name: str) -> str:
    """Return a named move for a narrow column: the asset that moves alone, `all`, or `scan` for the venue's own."""
    return name.removesuffix(" alone") if name.endswith(" alone") else "all" if name == ALL_ASSETS else "scan"


def nearest_point(state: AccountState) -> tuple[str, LiquidationPoint] | None:
    """Return the asset whose move liquidates first, and where; `None` when no asset alone does."""
    assessment = state.assessment
    if assessment.nearest is None:
        return None
    point = assessment.liquidation.get(assessment.nearest)
    return None if point is None or point.price is None else (assessment.nearest, point)


def falls(point: LiquidationPoint) -> bool:
    """Return whether the price must fall to reach the line."""
    return point.direction is not Direction.UP


def oracle_of(snapshot: Snapshot, state: AccountState, asset: str) -> OraclePrice | None:
    """Return the oracle price that the account is judged by: its own, else the shared one."""
    own = state.account.oracles.get(asset)
    if own is not None:
        return own
    shared = snapshot.prices.get(asset)
    return shared.price.oracle if shared is not None else None


def trigger_price(snapshot: Snapshot, state: AccountState, asset: str) -> Decimal | None:
    """Return the price that liquidates: the mark of a position, else the oracle's."""
    if state.account.kind is not Kind.LOAN:
        mark = next((p.mark_price for p in state.account.positions if p.asset == asset and p.mark_price), None)
        if mark is not None:
            return mark
    oracle = oracle_of(snapshot, state, asset)
    return oracle.price if oracle is not None else None


def market_price(snapshot: Snapshot, state: AccountState, asset: str) -> Decimal | None:
    """Return what the market says of the price that liquidates: by the account's divergence, else the consensus."""
    at_market = state.assessment.at_market
    trigger = trigger_price(snapshot, state, asset)
    if at_market is not None and trigger is not None and asset in at_market.divergence_bps:
        return trigger * (1 + at_market.divergence_bps[asset] / 10_000)
    shared = snapshot.prices.get(asset)
    return shared.consensus.price if shared is not None else None


def places_of(snapshot: Snapshot, state: AccountState | None, asset: str) -> int:
    """Return the decimals of an asset's prices: five significant digits of what it costs now."""
    reference = trigger_price(snapshot, state, asset) if state is not None else None
    shared = snapshot.prices.get(asset)
    if reference is None and shared is not None:
        reference = shared.price.oracle.price if shared.price.oracle is not None else shared.consensus.price
    return numbers.price_places(reference)


def reading_age_ns(state: AccountState, now_ns: int) -> int:
    """Return how old the account's figures are: since its block, where it was read from a chain, else since arrival."""
    return now_ns - (state.block_time_ns or state.observed_at_ns)


def oracle_age_ns(oracle: OraclePrice, observed_at_ns: int | None, now_ns: int) -> int | None:
    """Return how old a print is: its age in the block that was read, and how long ago that was; `None` if unknown.

    The chain's clock and ours are never compared. Without a reading's time the age counts on our clock alone.
    """
    if oracle.updated_at_ns is None:
        return None
    if oracle.as_of_ns is None or observed_at_ns is None:
        return now_ns - oracle.updated_at_ns
    return oracle.as_of_ns - oracle.updated_at_ns + max(0, now_ns - observed_at_ns)


def in_dollars(state: AccountState, text: str) -> str:
    """Return an amount for a column headed `$`; one in another currency names it."""
    quote = state.account.quote
    return text if quote.upper() in numbers.DOLLARS or text in {"", numbers.UNKNOWN} else f"{text} {quote}"
