"""What the venues quote: the last tick of every venue and asset, in dollars, and the consensus of each asset."""

from collections.abc import Mapping
from decimal import Decimal

from engine.consensus import consensus
from engine.prices import Consensus, Quote
from providers.ports import PriceTick

ONE = Decimal(1)
NO_QUOTES = Consensus(None, reason="no venue quotes it")


class QuoteBook:
    """Holds quotes and says which consensus changed.

    A quote in another currency is converted by what the venues that quote that currency in dollars agree on, which
    therefore never depends on itself; without such venues it counts 1:1 and stands in `assumed`. The rate is applied
    whenever an asset is settled, so a moving rate reaches an asset that doesn't tick with the next `settle_all`.
    """

    def __init__(self, budgets: Mapping[str, float], configured: int) -> None:
        self._budgets = budgets
        self._configured = configured
        self._ticks: dict[str, dict[str, PriceTick]] = {}
        self._quotes: dict[str, tuple[Quote, ...]] = {}
        self._agreed: dict[str, Consensus] = {}
        self._currencies: set[str] = set()
        self._rates: dict[str, Decimal] = {}
        self._unsettled: set[str] = set()

    @property
    def assets(self) -> frozenset[str]:
        """Return every asset that any venue has quoted."""
        return frozenset(self._ticks)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Return the quote currencies taken at 1 USD because no venue quotes them in dollars."""
        return tuple(sorted(self._currencies - self._rates.keys()))

    @property
    def has_unsettled(self) -> bool:
        """Return whether a tick came in since the last settling."""
        return bool(self._unsettled)

    def quotes(self, asset: str) -> tuple[Quote, ...]:
        """Return the last quote of each venue in dollars, in the order in which the venues first spoke."""
        return self._quotes.get(asset, ())

    def agreed(self, asset: str) -> Consensus:
        """Return the consensus as last settled."""
        return self._agreed.get(asset, NO_QUOTES)

    def take(self, tick: PriceTick) -> bool:
        """Keep the tick unless it is unusable or older than what its venue said before; return whether it was kept."""
        if not (tick.bid.is_finite() and tick.ask.is_finite()):
            return False
        venues = self._ticks.setdefault(tick.asset, {})
        former = venues.get(tick.venue)
        if former is not None and tick.observed_at_ns < former.observed_at_ns:
            return False
        venues[tick.venue] = tick
        self._unsettled.add(tick.asset)
        if tick.quote_currency != "USD":
            self._currencies.add(tick.quote_currency)
        return True

    def settle(self, now_ns: int) -> set[str]:
        """Return the assets whose quotes were settled anew because they ticked."""
        touched = self._unsettled
        self._unsettled = set()
        for currency in self._currencies & touched:
            self._rate(currency, now_ns)
        for asset in touched:
            self._settle(asset, now_ns)
        return touched

    def settle_all(self, now_ns: int) -> set[str]:
        """Return the assets whose consensus or dollar quotes changed by age or rate alone, or that ticked."""
        for currency in self._currencies:
            self._rate(currency, now_ns)
        changed = {asset for asset in self._ticks if self._settle(asset, now_ns)}
        changed |= self._unsettled
        self._unsettled = set()
        return changed

    def _rate(self, currency: str, now_ns: int) -> None:
        in_dollars = [
            Quote(tick.venue, tick.bid, tick.ask, tick.observed_at_ns)
            for tick in self._ticks.get(currency, {}).values()
            if tick.quote_currency == "USD"
        ]
        rate = consensus(in_dollars, now_ns, self._budgets).price if in_dollars else None
        if rate is None:
            self._rates.pop(currency, None)
        else:
            self._rates[currency] = rate

    def _settle(self, asset: str, now_ns: int) -> bool:
        quotes = tuple(self._in_dollars(tick) for tick in self._ticks[asset].values())
        agreed = consensus(quotes, now_ns, self._budgets, self._configured)
        changed = False
        if quotes != self._quotes.get(asset):
            self._quotes[asset] = quotes
            changed = True
        if agreed != self._agreed.get(asset):
            self._agreed[asset] = agreed
            changed = True
        return changed

    def _in_dollars(self, tick: PriceTick) -> Quote:
        rate = self._rates.get(tick.quote_currency, ONE)
        if rate == ONE:
            return Quote(tick.venue, tick.bid, tick.ask, tick.observed_at_ns)
        return Quote(tick.venue, tick.bid * rate, tick.ask * rate, tick.observed_at_ns)
