"""The underlyings of a hedge: which share of a joint move each one's options pay, and at which volatility.

Pro rata: with shares s of what falls, options of s x q on every underlying pay together what is missing when all fall
in proportion. Of a loan whose debts are stable they also hold any mixture of falls down to the same move: a collateral
with its options is worth the less the lower its price, so that all at their lowest is the worst.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.accounts import Account, Kind
from engine.hedge_case import SECOND_NS, Part, Protection, volatility_of
from engine.options import OptionQuote
from engine.prices import AssetPrice
from engine.shocks import FOLLOWS
from engine.solvency import ONE, ZERO
from engine.threat import Threat, is_stable, underlying_price_of


def parts_of(
    account: Account,
    threat: Threat,
    protected: Decimal,
    prices: Mapping[str, AssetPrice],
    wish: Protection,
    now_ns: int,
    chain: Sequence[OptionQuote] | None,
) -> tuple[Part, ...]:
    """Return the underlyings to be hedged, the nearest alone or all that the move takes together.

    Raises `NoHedge` where the price of one is not known.
    """
    told = {each.underlying.upper(): each.underlying_price for each in chain or ()}
    shares = _shares(account, threat, prices) if wish.together else {threat.underlying: ("", ONE)}
    found = []
    for base, (asset, share) in shares.items():
        one = threat
        if base != threat.underlying:
            one = threat.told_by(base, underlying_price_of(asset, account, prices, threat.known, told))
        volatility, _ = volatility_known(one, prices, wish, chain or (), now_ns)
        listed = None if chain is None else listed_on(base, chain)
        found.append(Part(one, one.price * protected / threat.price, share, volatility, listed))
    return tuple(found)


def _shares(account: Account, threat: Threat, prices: Mapping[str, AssetPrice]) -> dict[str, tuple[str, Decimal]]:
    """Return by underlying one asset that stands for it, and its share of all that the move takes."""
    taken: dict[str, tuple[str, Decimal]] = {}
    for asset, weight in weights_of(account, threat, prices).items():
        if (weight > 0) is threat.falls:
            base = FOLLOWS.get(asset, asset)
            first, before = taken.get(base, (asset, ZERO))
            taken[base] = (first, before + abs(weight))
    total = sum((weight for _, weight in taken.values()), ZERO)
    return {base: (asset, weight / total) for base, (asset, weight) in taken.items()}


def listed_on(underlying: str, chain: Sequence[OptionQuote]) -> tuple[OptionQuote, ...]:
    """Return the options of a chain on one underlying."""
    return tuple(each for each in chain if each.underlying.upper() == underlying.upper())


def weights_of(account: Account, threat: Threat, prices: Mapping[str, AssetPrice]) -> dict[str, Decimal]:
    """Return by asset that is not stable what a move of it by its whole price would change, in quote currency."""
    is_loan = account.kind is Kind.LOAN
    found = {
        each.asset: (each.weight - each.owed if is_loan else each.weight) * threat.known[each.asset]
        for each in threat.solvency.exposures
        if not is_stable(each.asset, prices)
    }
    return {asset: weight for asset, weight in found.items() if weight}


def near_volatility(threat: Threat, listed: Sequence[OptionQuote], wish: Protection, now_ns: int) -> Decimal | None:
    """Return what the option nearest to the money that outlasts the horizon implies; `None` where none tells it."""
    ends_ns = now_ns + wish.horizon_s * SECOND_NS
    on = listed_on(threat.underlying, listed)
    usable = [each for each in on if each.expires_ns >= ends_ns and (each.mark_volatility or each.mark)]
    if not usable:
        return None
    nearest = min(usable, key=lambda each: (abs(each.strike - threat.price), each.expires_ns, each.name))
    return nearest.mark_volatility or volatility_of(nearest, nearest.mark, now_ns)


def volatility_known(
    threat: Threat, prices: Mapping[str, AssetPrice], wish: Protection, listed: Sequence[OptionQuote], now_ns: int
) -> tuple[Decimal | None, str]:
    """Return the volatility that is known of the underlying, and where it is from."""
    if wish.volatility is not None:
        return wish.volatility, "as asked"
    same = (asset for asset in threat.moving if FOLLOWS.get(asset) == threat.underlying)
    for asset in (threat.underlying, *same):
        entry = prices.get(asset)
        if entry is not None and entry.volatility is not None and entry.volatility > 0:
            return entry.volatility, f"volatility of {asset}"
    implied = near_volatility(threat, listed, wish, now_ns)
    return implied, "" if implied is None else "implied by the chain near the money"
