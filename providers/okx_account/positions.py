"""One OKX position as the engine's, in base coins and quote currency. Pure."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from engine.accounts import Account, Position, Tier
from engine.prices import OraclePrice
from providers.okx_account.markets import Contract, Price, Rates, rate_at
from providers.okx_account.signing import VENUE
from providers.okx_account.wire import Held

TAKER_FEE = Decimal("0.0005")
"""What most accounts pay for a perpetual; used, and said, where the account's own rate was not read."""
_RATE_SLACK = Decimal("0.01")
_ZERO = Decimal(0)
_DOLLARS = ("USDT", "USDC", "USD")


class Known(Protocol):
    """What of a picture tells about contracts."""

    @property
    def held(self) -> tuple[Held, ...]:
        """Return every open position."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """Return contracts by name."""

    @property
    def rates(self) -> Mapping[str, Rates]:
        """Return maintenance rates by contract and margin mode ("BTC-USDT-SWAP cross")."""

    @property
    def fees(self) -> Mapping[str, Decimal]:
        """Return taker fees by contract."""

    @property
    def prices(self) -> Mapping[str, Price]:
        """Return pushed prices by contract."""


def position(held: Held, known: Known, degraded: list[str], *, is_scan: bool) -> Position:
    """Return the position; what could not be told of it goes to `degraded`, and it then has no tiers."""
    contract, price = known.contracts.get(held.contract), known.prices.get(held.contract)
    mark, entry = mark_of(held, known.prices), held.entry_price
    if contract is None:
        degraded.append(f"{held.contract} ({held.kind}) is not computed here: health as the venue tells it")
        return Position(
            held.contract.split("-")[0],
            held.contracts,
            (),
            entry,
            mark,
            venue_liquidation_price=held.liquidation_price,
            contract=held.contract,
            adl_rank=held.adl_rank,
        )
    if mark is None:
        degraded.append(f"no mark price of {held.contract}")
    if entry is None:
        degraded.append(f"no entry price of {held.contract}")
    size = held.contracts * contract.value
    if contract.is_inverse:
        entry = entry if entry is not None else mark
        size = _ZERO if entry is None else size / entry
    rate = _ZERO if is_scan else _rate(held, contract, known)
    if rate is None:
        degraded.append(f"position tiers of {held.contract} unread: maintenance unknown")
    told = Price(held.contract) if price is None else price
    paid = in_quote(held.funding, held, known.contracts, mark)
    used = held.margin if held.is_isolated else held.initial
    return Position(
        contract.base,
        size,
        () if rate is None else (Tier(_ZERO, rate),),
        entry,
        mark,
        fee_rate=None if is_scan else fee_of(held, known.fees),
        funding_rate=told.funding_rate,
        margin_used=in_quote(used, held, known.contracts, mark),
        venue_liquidation_price=None if is_scan else held.liquidation_price,
        inverse=contract.is_inverse,
        contract=held.contract,
        adl_rank=held.adl_rank,
        predicted_funding_rate=told.predicted_rate,
        next_funding_ns=told.next_funding_ns,
        funding_paid=None if paid is None else -paid,
    )


def rates_key(held: Held) -> str:
    """Return under which key a position's maintenance rates are kept: they differ by margin mode."""
    return f"{held.contract} {'isolated' if held.is_isolated else 'cross'}"


def mark_of(held: Held, prices: Mapping[str, Price]) -> Decimal | None:
    """Return the newest mark: a pushed one, else that of the row."""
    price = prices.get(held.contract)
    return held.mark_price if price is None or price.mark_price is None else price.mark_price


def fee_of(held: Held, fees: Mapping[str, Decimal]) -> Decimal:
    """Return the taker fee that the margin ratio counts."""
    return fees.get(held.contract, TAKER_FEE)


def in_quote(
    amount: Decimal | None, held: Held, contracts: Mapping[str, Contract], mark: Decimal | None
) -> Decimal | None:
    """Return an amount of the position's currency in quote currency; `None` where it or its price is not told."""
    contract = contracts.get(held.contract)
    if amount is None or contract is None or not contract.is_inverse:
        return amount
    return None if mark is None else amount * mark


def usd_or_quote(held: Held, contracts: Mapping[str, Contract]) -> str:
    """Return the currency that an isolated position's account is told in."""
    contract = contracts.get(held.contract)
    if contract is not None and contract.is_inverse:
        return "USD"
    return held.currency if held.currency in _DOLLARS else "USD" if contract is None else contract.settle


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark price of every asset held; of an asset's first contract where it has several."""
    told: dict[str, OraclePrice] = {}
    for account in found:
        for each in account.positions:
            if each.mark_price is not None:
                told.setdefault(each.asset, OraclePrice(each.mark_price, at_ns, at_ns, source=f"{VENUE} mark"))
    return told


def _rate(held: Held, contract: Contract, known: Known) -> Decimal | None:
    """Return the maintenance rate of the position's size: by the tiers, unless its own row says another.

    Cross positions of one family are sized together, which the row already knows.
    """
    rates = known.rates.get(rates_key(held), ())
    size = abs(held.contracts)
    if not held.is_isolated:
        family = [each for each in known.held if not each.is_isolated and each.contract == held.contract]
        size = sum((abs(each.contracts) for each in family), _ZERO)
    by_tier = rate_at(rates, size)
    worth = abs(held.contracts) * contract.value
    if contract.is_inverse:
        worth = _ZERO if held.mark_price is None else worth / held.mark_price
    elif held.mark_price is not None:
        worth *= held.mark_price
    if held.maintenance is None or not worth or held.mark_price is None:
        return by_tier
    told = held.maintenance / worth
    if by_tier is not None and abs(told - by_tier) <= by_tier * _RATE_SLACK:
        return by_tier
    return told if 0 < told < 1 else by_tier
