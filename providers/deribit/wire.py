"""Deribit's wire: pure functions from JSON-RPC replies to what the venue says of one login and its markets.

Wire: docs.deribit.com, API 2.1.1 (read 2026-11): `private/get_positions`, `private/get_account_summaries`,
`private/get_account_summary`, `public/ticker`, `public/get_index_price`, `user.portfolio`. Numbers are JSON numbers and
are read digit by digit, never through a float; strings are taken as well. Unknown fields are ignored, and everything
but a name, a size and a currency is optional.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from engine.record import record
from providers.deribit.signing import VENUE
from providers.errors import Malformed
from providers.http import decode

T = TypeVar("T")

_ZERO = Decimal(0)
_PERIODS_PER_YEAR = 3 * 365
"""A funding rate is told for eight hours."""


class MarginModel(StrEnum):
    """How requirements are made, and whether currencies back each other; `UNKNOWN` when the venue uses a new word."""

    SEGREGATED_SM = "segregated_sm"
    SEGREGATED_PM = "segregated_pm"
    CROSS_SM = "cross_sm"
    CROSS_PM = "cross_pm"
    UNKNOWN = "unknown"

    @property
    def is_cross(self) -> bool:
        """Return whether all currencies back all positions."""
        return self in (MarginModel.CROSS_SM, MarginModel.CROSS_PM)

    @property
    def is_portfolio(self) -> bool:
        """Return whether the requirement is a scan of the whole book."""
        return self in (MarginModel.SEGREGATED_PM, MarginModel.CROSS_PM)


class Kind(StrEnum):
    """What kind of contract a position is in; combos and spot hold none."""

    FUTURE = "future"
    OPTION = "option"


@record
class Name:
    """What a contract's name says: `coin` is the base, `currency` what it settles in, `inverse` that both are one."""

    coin: str
    currency: str
    inverse: bool
    is_perpetual: bool


@record
class Held:
    """One open position. `size` is signed: quote currency for inverse futures, base currency for all others.

    Margins are in the settlement currency, `delta` in the base currency.
    """

    contract: str
    kind: Kind
    name: Name
    size: Decimal
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    delta: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    order_margin: Decimal | None = None
    liquidation_price: Decimal | None = None


@record
class Summary:
    """One currency of the account, in that currency. `ratios` are estimated liquidation ratios by index ("btc_usd").

    Totals are in USD, of all currencies together, where these back each other.
    """

    currency: str
    model: MarginModel
    equity: Decimal | None = None
    margin_balance: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    options_value: Decimal | None = None
    available: Decimal | None = None
    ratio: Decimal | None = None
    ratios: Mapping[str, Decimal] = field(default_factory=dict)
    total_margin_balance: Decimal | None = None
    total_initial: Decimal | None = None
    total_maintenance: Decimal | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing in this currency."""
        return not (self.equity or self.margin_balance or self.maintenance_margin or self.initial_margin)


@record
class Login:
    """What a log-in's accounts are: `user_id` is the account's own number, `None` when it was not told."""

    summaries: tuple[Summary, ...]
    user_id: int | None = None


@record
class Tick:
    """One contract's prices; the funding rate is annual, that which a long pays now."""

    contract: str
    mark_price: Decimal
    index_price: Decimal | None = None
    funding_rate: Decimal | None = None


class _Result(msgspec.Struct, frozen=True):
    result: msgspec.Raw


class _Position(msgspec.Struct, frozen=True):
    instrument_name: str
    size: Decimal
    kind: str = ""
    direction: str = ""
    size_currency: Decimal | None = None
    average_price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    delta: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    open_orders_margin: Decimal | None = None
    estimated_liquidation_price: Decimal | None = None


class _Summary(msgspec.Struct, frozen=True):
    currency: str
    id: int | None = None
    margin_model: str = ""
    portfolio_margining_enabled: bool = False
    cross_collateral_enabled: bool = False
    equity: Decimal | None = None
    margin_balance: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    options_value: Decimal | None = None
    available_funds: Decimal | None = None
    estimated_liquidation_ratio: Decimal | None = None
    estimated_liquidation_ratio_map: dict[str, Decimal | None] | None = None
    total_margin_balance_usd: Decimal | None = None
    total_initial_margin_usd: Decimal | None = None
    total_maintenance_margin_usd: Decimal | None = None


class _Summaries(msgspec.Struct, frozen=True):
    summaries: list[_Summary]
    id: int | None = None


class _Ticker(msgspec.Struct, frozen=True):
    instrument_name: str
    mark_price: Decimal
    index_price: Decimal | None = None
    current_funding: Decimal | None = None


class _IndexPrice(msgspec.Struct, frozen=True):
    index_price: Decimal


def result_of(raw: bytes, place: str, into: type[T]) -> T:
    """Return the `result` of a JSON-RPC reply; raises `Malformed`."""
    return decode(VENUE, place, bytes(decode(VENUE, place, raw, _Result).result), into)


def parse_positions(raw: bytes) -> tuple[Held, ...]:
    """Return the open positions of a `get_positions` reply; rows of size 0 and of combos are left out."""
    found = []
    for row in result_of(raw, "get_positions", list[_Position]):
        held = _held(row)
        if held is not None:
            found.append(held)
    return tuple(found)


def parse_summaries(raw: bytes) -> Login:
    """Return a `get_account_summaries` reply; raises `Malformed`."""
    found = result_of(raw, "get_account_summaries", _Summaries)
    return Login(tuple(_summary(row) for row in found.summaries), found.id)


def parse_summary(raw: bytes) -> Login:
    """Return a `get_account_summary` reply, of one currency; raises `Malformed`."""
    row = result_of(raw, "get_account_summary", _Summary)
    return Login((_summary(row),), row.id)


def parse_portfolio(raw: bytes) -> Summary:
    """Return what `user.portfolio` pushes of one currency; raises `Malformed`.

    The push names no margin model of its own where it is old: that of the last reading holds.
    """
    return _summary(decode(VENUE, "user.portfolio", raw, _Summary))


def parse_ticker(raw: bytes, *, is_push: bool = False) -> Tick:
    """Return a `ticker` reply, or what the `ticker` channel pushes; raises `Malformed`."""
    wire = decode(VENUE, "ticker", raw, _Ticker) if is_push else result_of(raw, "ticker", _Ticker)
    name = clean(wire.instrument_name)
    mark = positive(wire.mark_price, f"mark price of {name}")
    if mark is None:
        raise Malformed(VENUE, f"mark price of {name}: 0")
    funding = finite(wire.current_funding, f"funding of {name}")
    return Tick(
        name,
        mark,
        positive(wire.index_price, f"index price of {name}"),
        None if funding is None else funding * _PERIODS_PER_YEAR,
    )


def parse_index(raw: bytes) -> Decimal:
    """Return a `get_index_price` reply; raises `Malformed`."""
    price = positive(result_of(raw, "get_index_price", _IndexPrice).index_price, "index price")
    if price is None:
        raise Malformed(VENUE, "index price: 0")
    return price


def parse_time_ms(raw: bytes) -> int:
    """Return the venue's time of a `get_time` reply; raises `Malformed`."""
    return result_of(raw, "get_time", int)


def name_of(contract: str) -> Name:
    """Return what a contract's name says: "BTC-PERPETUAL" is inverse in BTC, "ETH_USDC-PERPETUAL" linear in USDC."""
    head, _, rest = contract.partition("-")
    coin, _, currency = head.partition("_")
    return Name(coin, currency or coin, not currency, rest == "PERPETUAL")


def finite(value: Decimal | None, what: str) -> Decimal | None:
    """Return a number as it is; raises `Malformed` for NaN, an infinity or a size that no market has."""
    if value is not None and (not value.is_finite() or abs(value.adjusted()) > 40):
        raise Malformed(VENUE, f"{what}: not a finite number of sane size")
    return value


def positive(value: Decimal | None, what: str) -> Decimal | None:
    """Return a price; 0 says that there is none. Raises `Malformed` below 0."""
    value = finite(value, what)
    if value is not None and value < 0:
        raise Malformed(VENUE, f"{what}: negative")
    return value or None


def clean(text: str) -> str:
    """Return a name of the venue as bounded printable ASCII."""
    return "".join(c for c in text if c.isascii() and c.isprintable() and c != " ")[:40] or "?"


def _held(wire: _Position) -> Held | None:
    contract = clean(wire.instrument_name)
    kind = _kind(wire.kind, contract)
    size = finite(wire.size, f"size of {contract}") or _ZERO
    if kind is None or size == 0 or wire.direction == "zero":
        return None
    name = name_of(contract)
    if kind is Kind.FUTURE and not name.inverse:
        size = finite(wire.size_currency, f"size of {contract}") or size
    sign = {"buy": 1, "sell": -1}.get(wire.direction)
    if sign is None:
        raise Malformed(VENUE, f"direction of {contract}: neither buy, sell nor zero")
    margins = (
        _margin(wire.initial_margin, f"initial margin of {contract}"),
        _margin(wire.maintenance_margin, f"maintenance margin of {contract}"),
        _margin(wire.open_orders_margin, f"order margin of {contract}"),
    )
    return Held(
        contract,
        kind,
        name,
        sign * abs(size),
        positive(wire.average_price, f"average price of {contract}"),
        positive(wire.mark_price, f"mark price of {contract}"),
        positive(wire.index_price, f"index price of {contract}"),
        finite(wire.delta, f"delta of {contract}"),
        *margins,
        positive(wire.estimated_liquidation_price, f"liquidation price of {contract}"),
    )


def _kind(word: str, contract: str) -> Kind | None:
    if word in ("future", "option"):
        return Kind(word)
    if word:
        return None
    return Kind.OPTION if contract.endswith(("-C", "-P")) else Kind.FUTURE


def _summary(wire: _Summary) -> Summary:
    currency = clean(wire.currency).upper()
    ratios = {
        clean(index): ratio
        for index, value in (wire.estimated_liquidation_ratio_map or {}).items()
        if (ratio := positive(value, f"liquidation ratio of {clean(index)}")) is not None
    }
    return Summary(
        currency,
        _model(wire),
        finite(wire.equity, f"equity in {currency}"),
        finite(wire.margin_balance, f"margin balance in {currency}"),
        _margin(wire.initial_margin, f"initial margin in {currency}"),
        _margin(wire.maintenance_margin, f"maintenance margin in {currency}"),
        finite(wire.options_value, f"value of options in {currency}"),
        finite(wire.available_funds, f"available funds in {currency}"),
        positive(wire.estimated_liquidation_ratio, f"liquidation ratio in {currency}"),
        ratios,
        finite(wire.total_margin_balance_usd, "total margin balance"),
        _margin(wire.total_initial_margin_usd, "total initial margin"),
        _margin(wire.total_maintenance_margin_usd, "total maintenance margin"),
    )


def _model(wire: _Summary) -> MarginModel:
    """Return the margin model; servers of before it had a name tell it by two flags."""
    if wire.margin_model:
        return next((model for model in MarginModel if model.value == wire.margin_model), MarginModel.UNKNOWN)
    held = "cross" if wire.cross_collateral_enabled else "segregated"
    return MarginModel(f"{held}_{'pm' if wire.portfolio_margining_enabled else 'sm'}")


def _margin(value: Decimal | None, what: str) -> Decimal | None:
    value = finite(value, what)
    if value is not None and value < 0:
        raise Malformed(VENUE, f"{what}: negative")
    return value
