"""Every asset's price entry: the shared oracle, what venues quote, what they agree on, and the gap between them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from desk.quotes import NO_QUOTES, QuoteBook
from desk.roster import Market
from desk.snapshot import AssetState
from engine.accounts import Kind
from engine.oracle import divergence_bps, market_price
from engine.prices import AssetPrice, Consensus, OraclePrice
from providers.ports import Reading


class MarketBook:
    """Builds `Market`s and the `AssetState`s of snapshots; hands out mappings that it never changes afterwards.

    The shared oracle of an asset is what the first source in configured order reports: a lending protocol's before a
    venue's mark.
    """

    def __init__(self, quotes: QuoteBook, sources: Iterable[str], stables: frozenset[str]) -> None:
        self._quotes = quotes
        self._order = {name: place for place, name in enumerate(sources)}
        self._stables = stables
        self._oracles: dict[str, dict[str, tuple[bool, OraclePrice]]] = {}
        self._shared: dict[str, OraclePrice | None] = {}
        self._volatility: dict[str, Decimal] = {}
        self._composites: dict[str, set[str]] = {}
        self._market = Market()
        self._states: Mapping[str, AssetState] = {}

    @property
    def market(self) -> Market:
        """Return prices and consensus as the engine takes them."""
        return self._market

    @property
    def states(self) -> Mapping[str, AssetState]:
        """Return the entry of every asset that anyone holds or quotes."""
        return self._states

    def learn_oracles(self, reading: Reading) -> set[str]:
        """Take in the trigger prices of a reading; return the assets of which the shared price changed."""
        told: dict[str, tuple[bool, OraclePrice]] = {asset: (False, price) for asset, price in reading.marks.items()}
        for account in reading.accounts:
            lends = account.kind is Kind.LOAN
            for asset, price in account.oracles.items():
                told[asset] = (lends, price)
        silent = self._silenced(reading, told)
        place_before = {asset: self.oracle(asset) for asset in (*told, *silent)}
        for asset, entry in told.items():
            self._oracles.setdefault(asset, {})[reading.source] = entry
        for asset in silent:
            del self._oracles[asset][reading.source]
        changed: set[str] = set()
        for asset, before in place_before.items():
            now = self._shared[asset] = self._first_told(asset)
            if now != before:
                for leg in () if now is None else now.legs:
                    if leg.asset is not None:
                        self._composites.setdefault(leg.asset, set()).add(asset)
            if before is None or now is None or now.price != before.price:
                changed.add(asset)
        self.refresh({*told, *silent, *(asset for account in reading.accounts for asset in account.assets)})
        return changed

    def _silenced(self, reading: Reading, told: Mapping[str, tuple[bool, OraclePrice]]) -> list[str]:
        """Return the assets that the source reported before and no longer does; a partial reading silences nothing."""
        if reading.degraded:
            return []
        return [asset for asset, by in self._oracles.items() if reading.source in by and asset not in told]

    def oracle(self, asset: str) -> OraclePrice | None:
        """Return the shared trigger price of `asset`, `None` if no source reports one."""
        return self._shared.get(asset)

    def _first_told(self, asset: str) -> OraclePrice | None:
        told = self._oracles.get(asset)
        if not told:
            return None
        first = min(told, key=lambda source: (not told[source][0], self._order.get(source, len(self._order))))
        return told[first][1]

    def learn_volatility(self, asset: str, volatility: Decimal) -> None:
        """Take in an asset's annualised volatility."""
        self._volatility[asset] = volatility
        self.refresh({asset})

    def refresh(self, assets: Iterable[str]) -> None:
        """Build the entries of `assets`, and of composites that follow them, anew."""
        wanted = set(assets)
        for asset in tuple(wanted):
            wanted |= self._composites.get(asset, set())
        if not wanted:
            return
        prices = dict(self._market.prices)
        agreed = dict(self._market.agreed)
        for asset in wanted:
            prices[asset] = AssetPrice(
                self.oracle(asset), self._quotes.quotes(asset), self._volatility.get(asset), asset in self._stables
            )
            consensus = self._quotes.agreed(asset)
            if consensus is NO_QUOTES:
                agreed.pop(asset, None)
            else:
                agreed[asset] = consensus
        states = dict(self._states)
        for asset in wanted:
            states[asset] = _state(asset, prices, agreed)
        self._market = Market(prices, agreed)
        self._states = states


def _state(asset: str, prices: Mapping[str, AssetPrice], agreed: Mapping[str, Consensus]) -> AssetState:
    price, consensus = prices[asset], agreed.get(asset, NO_QUOTES)
    oracle = price.oracle
    gap: Decimal | None = None
    if oracle is not None and oracle.price.is_finite() and oracle.price > 0:
        follows = consensus.price is not None or bool(oracle.legs)
        market = market_price(asset, oracle.price, oracle, prices, agreed).price if follows else None
        gap = None if market is None else divergence_bps(market, oracle.price)
    return AssetState(asset, price, consensus, gap)
