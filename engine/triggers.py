"""Which price liquidates: one reference price per asset and account, and what each leg is priced at beside it.

A perp or broker position goes by its venue's mark, which defaults to the asset's oracle; a coin by the oracle that its
venue gives it. The reference of an asset is the mark of its position with the largest quantity x mark; whatever else
is priced apart moves with it in proportion (`engine.solvency`).
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, Position
from engine.prices import AssetPrice, OraclePrice

ONE = Decimal(1)


def oracle_of(account: Account, asset: str, prices: Mapping[str, AssetPrice]) -> OraclePrice | None:
    """Return the oracle that prices `asset` for this account: its own if it has one, else the shared one."""
    own = account.oracles.get(asset)
    if own is not None:
        return own
    shared = prices.get(asset)
    return None if shared is None else shared.oracle


def trigger_prices(account: Account, prices: Mapping[str, AssetPrice]) -> tuple[dict[str, Decimal], dict[str, str]]:
    """Return the prices that liquidate this account, and for every asset that lacks one the reason.

    One reference price per asset: marks win for perp and broker positions, that of the largest quantity x mark where
    there are several. The quote currency of a perp or broker account is worth 1. A price that is not positive and
    finite counts as lacking.
    """
    known: dict[str, Decimal] = reference_marks(account)
    lacking: dict[str, str] = {}
    for asset in account.assets:
        if asset in known:
            continue
        if asset == account.quote and account.kind is not Kind.LOAN:
            known[asset] = ONE
            continue
        oracle = oracle_of(account, asset, prices)
        if oracle is None:
            lacking[asset] = f"no price of {asset}"
        else:
            known[asset] = oracle.price
    for asset, price in known.items():
        if not is_price(price):
            lacking[asset] = _not_positive(asset)
    for position in account.positions:
        if position.mark_price is not None and not is_price(position.mark_price):
            lacking[position.asset] = _not_positive(position.asset)
    for asset, oracle in account.oracles.items():
        if asset in known and account.kind is not Kind.LOAN and not is_price(oracle.price):
            lacking[asset] = _not_positive(asset)
    for asset in lacking:
        known.pop(asset, None)
    return known, lacking


def position_price(account: Account, position: Position, references: Mapping[str, Decimal]) -> Decimal:
    """Return what `position` itself is marked at, which another contract on the asset need not share.

    Raises `KeyError` where only a reference price could tell it and there is none.
    """
    mark = own_mark(account, position)
    return references[position.asset] if mark is None else mark


def coin_price(account: Account, asset: str, references: Mapping[str, Decimal]) -> Decimal:
    """Return what a coin that backs or is owed counts at: the account's own oracle wins over the asset's reference.

    Raises `KeyError` where only a reference price could tell it and there is none.
    """
    if asset == account.quote and account.kind is not Kind.LOAN:
        return ONE
    oracle = account.oracles.get(asset)
    return references[asset] if oracle is None else oracle.price


def face_or_market_value(position: Position, price: Decimal) -> Decimal:
    """Return the signed notional at `price`: quantity x price, or the constant face value of an inverse contract."""
    if position.inverse and position.entry_price is not None:
        return position.quantity * position.entry_price
    return position.quantity * price


def own_mark(account: Account, position: Position) -> Decimal | None:
    """Return the mark of `position` or, without one, this account's own oracle price; `None` without either."""
    if position.mark_price is not None:
        return position.mark_price
    oracle = account.oracles.get(position.asset)
    return None if oracle is None else oracle.price


def reference_marks(account: Account) -> dict[str, Decimal]:
    """Return by asset the mark of the position with the largest quantity x mark; only assets that are marked."""
    largest: dict[str, Position] = {}
    for position in account.positions:
        if position.mark_price is not None:
            other = largest.get(position.asset)
            if other is None or _marked_value(position) > _marked_value(other):
                largest[position.asset] = position
    return {asset: each.mark_price for asset, each in largest.items() if each.mark_price is not None}


def _marked_value(position: Position) -> Decimal:
    mark = position.mark_price
    return abs(position.quantity) * mark if mark is not None and is_price(mark) else -ONE


def is_price(value: Decimal) -> bool:
    """Return whether `value` can be a price: positive and finite."""
    return value.is_finite() and value > 0


def _not_positive(asset: str) -> str:
    return f"price of {asset} is not positive"
