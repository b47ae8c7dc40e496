"""Which of our assets each price venue quotes, under which symbol and in which currency.

Our names are the ones tokens carry (`ETH`, `cbETH`); letter case does not matter when looking one up. Only markets
that a venue lists itself are here: an asset is never priced by a cousin (no `stETH` by `ETH`).
"""

from collections.abc import Iterable, Mapping

from engine.record import record
from providers.errors import Refused

_MAJORS = "BTC ETH SOL XRP LINK AVAX POL DOGE ARB OP AAVE UNI LTC ADA DOT LDO CRV COMP ENS PENDLE"

# Venue -> (how a symbol is written, quote currency, bases that the venue lists).
_LISTED: Mapping[str, tuple[str, str, str]] = {
    "binance": ("{base}USDT", "USDT", f"{_MAJORS} BNB SNX GMX WBTC WBETH PAXG USDC USDE"),
    "coinbase": ("{base}-USD", "USD", f"{_MAJORS} SNX CBETH USDT DAI EURC PYUSD"),
    "kraken": ("{base}/USD", "USD", f"{_MAJORS} BNB SNX GMX WBTC PAXG USDC USDT DAI EURC PYUSD"),
    "okx": ("{base}-USDT", "USDT", f"{_MAJORS} SNX GMX WBTC USDC"),
    "bybit": ("{base}USDT", "USDT", f"{_MAJORS} BNB GMX WBTC USDC USDE HYPE"),
    "hyperliquid": ("{base}", "USDC", f"{_MAJORS} BNB SNX GMX PAXG HYPE"),
}

# Names that some chains give to a token the venues list under its plain name.
_SAME = {"USD₮0": "USDT", "USD₮": "USDT", "USDT0": "USDT", "WETH": "ETH"}


@record
class Market:
    """One market of a venue: our asset, the venue's symbol, the currency it quotes in."""

    asset: str
    symbol: str
    quote_currency: str


Markets = Mapping[str, tuple[Market, ...]]
"""Our markets by the venue's symbol; several when two of our assets are one at the venue (`ETH`, a chain's `WETH`)."""


def _base(asset: str) -> str:
    return _SAME.get(asset.upper(), asset.upper())


_BASES = {venue: frozenset(bases.split()) for venue, (_, _, bases) in _LISTED.items()}


def is_listed(venue: str, asset: str) -> bool:
    """Return whether `venue` quotes `asset`."""
    return _base(asset) in _BASES[venue]


def markets(venue: str, assets: Iterable[str]) -> Markets:
    """Return the markets of `assets` at `venue` by the venue's symbol; assets it does not list are left out."""
    form, currency, _ = _LISTED[venue]
    found: dict[str, tuple[Market, ...]] = {}
    for asset in sorted(assets):
        if is_listed(venue, asset):
            symbol = form.format(base=_base(asset))
            found[symbol] = (*found.get(symbol, ()), Market(asset, symbol, currency))
    return found


def symbol_of(venue: str, asset: str) -> str:
    """Return the symbol of `asset` at `venue`; raises `Refused` when it is not listed."""
    if not is_listed(venue, asset):
        raise Refused(venue, f"does not list {asset[:24]!r}")
    return _LISTED[venue][0].format(base=_base(asset))
