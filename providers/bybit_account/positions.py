"""One Bybit position as the engine's, in base coins and quote currency. Pure.

Maintenance holds an estimated fee to close: the taker rate on the value at the bankruptcy price, so x (1 - 1/leverage)
for a long and x (1 + 1/leverage) for a short (help centre, "Liquidation Price Calculation under Isolated Mode (Unified
Trading Account)", 2026-05). The venue no longer tells the margin of an isolated position: it follows from its exact
liquidation price.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from engine.accounts import Account, Position, Tier
from engine.prices import OraclePrice
from providers.bybit_account.markets import Contract, Price, in_quote
from providers.bybit_account.signing import VENUE
from providers.bybit_account.wire import AccountMode, Held

TAKER_FEE = Decimal("0.00055")
"""What most accounts pay for a perpetual; used, and said, where the account's own rate was not read."""
_ZERO, _ONE = Decimal(0), Decimal(1)


class Known(Protocol):
    """What of a picture tells about contracts."""

    @property
    def mode(self) -> AccountMode:
        """Return what backs positions."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """Return contracts by symbol."""

    @property
    def tiers(self) -> Mapping[str, tuple[Tier, ...]]:
        """Return maintenance tiers by symbol, in the settle coin."""

    @property
    def fees(self) -> Mapping[str, Decimal]:
        """Return taker fees by symbol."""

    @property
    def prices(self) -> Mapping[str, Price]:
        """Return prices by symbol, pushed ones in them."""


def position(held: Held, known: Known, degraded: list[str]) -> Position:
    """Return the position; what could not be told of it goes to `degraded`, and it then has no tiers."""
    contract, price = known.contracts.get(held.symbol), known.prices.get(held.symbol)
    mark = mark_of(held, known)
    tiers, entry = known.tiers.get(held.symbol, ()), held.entry_price
    if not tiers and known.mode is not AccountMode.PORTFOLIO:
        degraded.append(f"risk limits of {held.symbol} unread: maintenance unknown")
    if mark is None:
        degraded.append(f"no mark price of {held.symbol}")
    if entry is None:
        degraded.append(f"no entry price of {held.symbol}")
    quantity, inverse = held.size, is_inverse(held, contract)
    if inverse:
        at = entry if entry is not None else mark
        quantity = _ZERO if at is None else held.size / at
        tiers = in_quote(tiers, mark) if mark is not None else ()
        entry = at
    fee = known.fees.get(held.symbol)
    if fee is None:
        fee = TAKER_FEE
    told = Price(held.symbol) if price is None else price
    return Position(
        held.symbol if contract is None else contract.base,
        quantity,
        tiers,
        entry,
        mark,
        fee_rate=fee * _closing(held),
        funding_rate=told.funding_rate,
        margin_used=told_in_quote(held.initial_margin, mark, is_inverse=inverse),
        venue_liquidation_price=held.liquidation_price,
        inverse=inverse,
        contract=held.symbol,
        adl_rank=held.adl_rank,
        predicted_funding_rate=told.funding_rate,
        next_funding_ns=told.next_funding_ns,
    )


def is_inverse(held: Held, contract: Contract | None) -> bool:
    """Return whether a position pays in its base coin, by its contract or, unread, by its category."""
    return held.category == "inverse" if contract is None else contract.is_inverse


def _closing(held: Held) -> Decimal:
    """Return the value at the bankruptcy price over the value now."""
    if held.leverage is None:
        return _ONE
    return _ONE - 1 / held.leverage if held.size > 0 else _ONE + 1 / held.leverage


def mark_of(held: Held, known: Known) -> Decimal | None:
    """Return the newest mark: a pushed one, else that of the row."""
    price = known.prices.get(held.symbol)
    return held.mark_price if price is None or price.mark_price is None else price.mark_price


def told_in_quote(amount: Decimal | None, mark: Decimal | None, *, is_inverse: bool) -> Decimal | None:
    """Return an amount of the settle coin in quote currency; `None` where it or its price is not told."""
    if amount is None or not is_inverse:
        return amount
    return None if mark is None else amount * mark


def margin_of(held: Held, position: Position) -> tuple[Decimal | None, str]:
    """Return the margin of an isolated position without its profit, in its settle coin, and why it is an estimate.

    From the exact liquidation price LP: margin = maintenance at LP - quantity x (LP - entry), over LP for an inverse
    contract. Without one it is what the venue calls the position's balance, else at least its initial margin.
    """
    entry, limit = position.entry_price, held.liquidation_price
    if limit is not None and entry is not None and position.tiers:
        at = entry if position.inverse else limit
        notional = abs(position.quantity) * at
        tier = [each for each in position.tiers if each.notional_floor <= notional][-1]
        owed = notional * (tier.maintenance_rate + (position.fee_rate or _ZERO)) - tier.deduction
        margin = owed - position.quantity * (limit - entry)
        return (margin / limit if position.inverse else margin), ""
    if held.margin is not None:
        return held.margin, ""
    if held.initial_margin is None:
        return None, ""
    return held.initial_margin, "margin beyond the initial one is not told: the liquidation may be further away"


def alarms(held: Sequence[Held]) -> list[str]:
    """Return what the venue is doing to positions by itself."""
    words = {"Liq": "the venue is liquidating it", "Adl": "the venue is auto-deleveraging it"}
    return [f"{each.symbol}: {words[each.status]}" for each in held if each.status in words]


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark price of every asset held, by asset; of an asset's first contract where it has several."""
    told: dict[str, OraclePrice] = {}
    for account in found:
        for position in account.positions:
            if position.mark_price is not None:
                told.setdefault(position.asset, OraclePrice(position.mark_price, at_ns, at_ns, source=f"{VENUE} mark"))
    return told
