"""Every lever that makes sense for an account: from what its venue allows and what a rescuer holds."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from engine.aave_ledger import AaveLedger
from engine.accounts import Account, Kind, Position
from engine.plan_case import Lever
from engine.plan_lever import is_alike
from engine.prices import AssetPrice
from engine.rescue import Facility, Means, Standing
from engine.solvency import ONE, ZERO, oracle_of
from engine.triggers import coin_price, face_or_market_value, position_price

# Fraction of what is sold that is lost on the way when nobody quotes the swap: 0.05 % flash loan, 0.05 to 0.3 % pool,
# the rest slippage. A reduction pays the venue's taker fee and half a spread.
SWAP_COST = Decimal("0.005")
REDUCE_COST = Decimal("0.001")
MOST_REDUCTIONS = 5
DOLLARS = frozenset({"USD", "USDC", "USDT"})
BY_HAND = frozenset({"dydx", "manual"})
"""Providers of perp accounts that take no margin by any request of ours: what to pay in is told, and done by hand."""
_PAID_IN = frozenset({Means.ADD_MARGIN, Means.DEPOSIT, Means.SUPPLY})
_FREE_FORM_DECIMALS = 8
_STABLE_DECIMALS = 6
_FIAT_DECIMALS = 2


def levers(
    account: Account,
    prices: Mapping[str, AssetPrice],
    triggers: Mapping[str, Decimal],
    standing: Standing | None,
    means: Means | None,
    swap_cost: Decimal,
) -> Iterator[Lever]:
    """Yield every lever of `account`, those of `means` alone when given.

    Without a standing the facilities are those of the account's own legs. Reserves that it has nothing in count only
    where somebody holds their asset.
    """
    facilities = _own_facilities(account, prices) if standing is None else standing.facilities
    for facility in facilities:
        price = price_of(account, facility, prices, triggers)
        if price is None:
            continue
        for one in (Means.SUPPLY, Means.REPAY, Means.ADD_MARGIN, Means.DEPOSIT):
            if one in facility.means and means in (None, one) and _applies(account, facility, one):
                yield from _with_funds(account, facility, one, price, standing)
    if means in (None, Means.DELEVERAGE):
        yield from _deleverages(account, prices, triggers, facilities, swap_cost)
    if means in (None, Means.REDUCE):
        yield from _reductions(account, triggers, facilities)
    yield from _by_hand(account, facilities, means)


def _by_hand(account: Account, facilities: tuple[Facility, ...], means: Means | None) -> Iterator[Lever]:
    """Yield a deposit that nobody sends for us, where no facility takes one."""
    taken: set[Means]
    wanted: tuple[Means | None, ...]
    match account.kind:
        case Kind.LOAN:
            return
        case Kind.BROKER:
            taken, wanted, decimals = {Means.DEPOSIT}, (None, Means.DEPOSIT), _FIAT_DECIMALS
        case Kind.PERP:
            taken, wanted, decimals = set(_PAID_IN), (None, Means.DEPOSIT, Means.ADD_MARGIN), _STABLE_DECIMALS
    if means in wanted and not any(taken & facility.means for facility in facilities):
        yield Lever(Means.DEPOSIT, Facility(account.quote, frozenset(), decimals=decimals), ONE)


def usd_rate(account: Account, prices: Mapping[str, AssetPrice]) -> Decimal | None:
    """Return USD per unit of the account's quote currency; USD, USDC and USDT count as 1, `None` if unknown."""
    if account.quote in DOLLARS:
        return Decimal(1)
    known = prices.get(account.quote)
    return None if known is None or known.oracle is None else known.oracle.price


def _applies(account: Account, facility: Facility, means: Means) -> bool:
    match means:
        case Means.REPAY:
            return any(leg.asset == facility.asset and leg.amount for leg in account.debt)
        case Means.SUPPLY:
            return bool(_threshold(account, facility))
        case _:
            return account.kind is not Kind.LOAN


def _threshold(account: Account, facility: Facility) -> Decimal:
    """Return the weight that the asset has, or would have, as collateral."""
    if facility.liquidation_threshold:
        return facility.liquidation_threshold
    return next((leg.liquidation_threshold for leg in account.collateral if leg.asset == facility.asset), ZERO)


def price_of(
    account: Account, facility: Facility, prices: Mapping[str, AssetPrice], triggers: Mapping[str, Decimal]
) -> Decimal | None:
    """Return the facility's price in the account's quote currency, `None` when unknown."""
    asset = facility.asset
    if asset == account.quote and account.kind is not Kind.LOAN:
        return Decimal(1)
    if asset in triggers:
        return coin_price(account, asset, triggers)
    oracle = oracle_of(account, asset, prices)
    price = facility.price if oracle is None else oracle.price
    if price is None and account.kind is not Kind.LOAN and {asset, account.quote} <= DOLLARS:
        return Decimal(1)
    return price if price is not None and price.is_finite() and price > 0 else None


def _with_funds(
    account: Account, facility: Facility, means: Means, price: Decimal, standing: Standing | None
) -> Iterator[Lever]:
    if standing is None:
        yield Lever(means, facility, price)
        return
    held = [funds for funds in standing.funds if funds.asset == facility.asset and funds.amount > 0]
    for funds in held:
        yield Lever(means, facility, price, funds)
    if not held and (account.kind is not Kind.LOAN or facility.asset in account.assets):
        empty = next((funds for funds in standing.funds if funds.asset == facility.asset), None)
        yield Lever(means, facility, price, empty)


def _own_facilities(account: Account, prices: Mapping[str, AssetPrice]) -> tuple[Facility, ...]:
    """Return what the account's own legs allow, for a plan of which nobody read a wallet."""
    match account.kind:
        case Kind.PERP:
            return () if account.provider in BY_HAND else _margin_facilities(account, prices)
        case Kind.BROKER:
            return ()
        case Kind.LOAN:
            pass
    owed = [leg.asset for leg in account.debt if leg.amount]
    held = [leg.asset for leg in account.collateral if leg.liquidation_threshold]
    found = []
    for asset in dict.fromkeys((*held, *owed)):
        able = [means for means, legs in ((Means.SUPPLY, held), (Means.REPAY, owed)) if asset in legs]
        found.append(
            Facility(
                asset,
                frozenset(able),
                decimals=_decimals(account, asset, prices),
                liquidation_threshold=next(
                    (leg.liquidation_threshold for leg in account.collateral if leg.asset == asset), None
                ),
            )
        )
    return tuple(found)


def _margin_facilities(account: Account, prices: Mapping[str, AssetPrice]) -> tuple[Facility, ...]:
    """Return the quote currency, where it is a coin at all beside those that back the account, and these coins."""
    able = frozenset({Means.ADD_MARGIN})
    coins = tuple(leg for leg in account.collateral if leg.liquidation_threshold and leg.asset != account.quote)
    found = [] if coins and account.quote == "USD" else [Facility(account.quote, able, decimals=_STABLE_DECIMALS)]
    for leg in coins:
        decimals = _decimals(account, leg.asset, prices)
        found.append(Facility(leg.asset, able, decimals=decimals, liquidation_threshold=leg.liquidation_threshold))
    return tuple(found)


def _decimals(account: Account, asset: str, prices: Mapping[str, AssetPrice]) -> int:
    """Return a token's decimals as its protocol says; in a document, which says nothing, 6 for stables and 8 else."""
    if isinstance(account.ledger, AaveLedger):
        for leg in account.ledger.legs:
            if leg.reserve.asset == asset:
                return leg.reserve.decimals
    return _STABLE_DECIMALS if asset in prices and prices[asset].stable else _FREE_FORM_DECIMALS


def _deleverages(
    account: Account,
    prices: Mapping[str, AssetPrice],
    triggers: Mapping[str, Decimal],
    facilities: tuple[Facility, ...],
    swap_cost: Decimal,
) -> Iterator[Lever]:
    by_asset = {facility.asset: facility for facility in facilities}
    for held in account.collateral if account.kind is Kind.LOAN else ():
        if not (held.amount and held.liquidation_threshold):
            continue
        known = by_asset.get(held.asset)
        decimals = _decimals(account, held.asset, prices) if known is None else known.decimals
        own = Facility(held.asset, frozenset(), decimals=decimals, liquidation_threshold=held.liquidation_threshold)
        facility = known if known is not None and Means.DELEVERAGE in known.means else own
        for owed in account.debt:
            if not owed.amount:
                continue
            other = by_asset.get(owed.asset)
            yield Lever(
                Means.DELEVERAGE,
                facility,
                triggers[held.asset],
                other=owed.asset,
                other_decimals=_decimals(account, owed.asset, prices) if other is None else other.decimals,
                cost=ZERO if held.asset == owed.asset else swap_cost,
            )


def _reductions(account: Account, triggers: Mapping[str, Decimal], facilities: tuple[Facility, ...]) -> Iterator[Lever]:
    """Yield a reduction of each of the largest positions; the legs of a hedge are two."""
    if account.kind is Kind.LOAN:
        return
    held = [each for each in account.positions if each.quantity]
    largest = sorted(held, key=lambda each: -abs(face_or_market_value(each, position_price(account, each, triggers))))
    pulled: list[Position] = []
    for position in largest:
        if len(pulled) == MOST_REDUCTIONS or any(is_alike(position, each) for each in pulled):
            continue
        pulled.append(position)
        is_only = all(is_alike(position, each) for each in held if each.asset == position.asset)
        mark = position_price(account, position, triggers)
        price = position.entry_price if position.inverse and position.entry_price is not None else mark
        facility = _reducible(account, position, facilities, is_only=is_only)
        yield Lever(Means.REDUCE, facility, price, cost=position.fee_rate or REDUCE_COST, held=position)


def _reducible(account: Account, position: Position, facilities: tuple[Facility, ...], *, is_only: bool) -> Facility:
    """Return the facility that closes this very position; one of ours, by hand, where the venue names none."""
    side = "long" if position.quantity > 0 else "short"
    able = [each for each in facilities if Means.REDUCE in each.means and each.asset == position.asset]
    for each in able:
        if each.contract and each.contract == position.contract and each.side in ("", side):
            return each
    if not able:
        own = Facility(position.asset, frozenset(), decimals=_size_decimals(account, position))
        return own if is_only else replace(own, contract=position.contract, side=side)
    if is_only:
        return able[0]
    several = able[0].refused or f"several positions in {position.asset}: close this one at the venue"
    return replace(able[0], refused=several, contract=position.contract, side=side)


def _size_decimals(account: Account, position: Position) -> int:
    """Return decimals of a quantity: whole pieces where a broker holds whole ones, else at least four."""
    exponent = position.quantity.normalize().as_tuple().exponent
    own = max(-exponent, 0) if isinstance(exponent, int) else 0
    return own if account.kind is Kind.BROKER and own == 0 else max(own, 4)
