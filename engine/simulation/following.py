"""Which market a price follows: a staked token its underlying, an oracle's composite its legs."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.accounts import Account
from engine.oracle import market_price
from engine.prices import AssetPrice, Consensus, OraclePrice
from engine.simulation.ratio import Ratio
from engine.solvency import oracle_of


def at_market(
    account: Account,
    trigger: Mapping[str, float],
    prices: Mapping[str, AssetPrice],
    market: Mapping[str, Consensus],
    ratio: Ratio,
) -> dict[str, float]:
    """Return the market's prices of volatile assets that the venues agree on, composites by their legs."""
    found = {}
    for asset in ratio.units:
        said = market_price(asset, Decimal(str(trigger[asset])), oracle_of(account, asset, prices), prices, market)
        if said.price is not None:
            found[asset] = float(said.price)
    return found


def leg_followed(oracle: OraclePrice | None) -> str | None:
    """Return the one market that a composite oracle follows times a rate ("ETH" of wstETH), `None` if there is none."""
    named = [] if oracle is None else [leg.asset for leg in oracle.legs if leg.asset is not None]
    return named[0] if len(named) == 1 else None


def followed(account: Account, prices: Mapping[str, AssetPrice], assets: Iterable[str]) -> dict[str, str]:
    """Return the market that each of `assets` follows by its oracle, where that is another asset."""
    found = {asset: leg_followed(oracle_of(account, asset, prices)) for asset in assets}
    return {asset: other for asset, other in found.items() if other is not None and other != asset}


def moves_like(asset: str, other: str) -> str:
    """Return the note that says what was assumed of `asset`."""
    return f"{asset} moves like {other}, at the rate its oracle applies now"
