"""Margin rules that a requirement can be asked under: how far prices are moved, and what is added; with their sources.

A rule moves all prices together over an even grid and takes the worst loss. Fixed rules move by published shares; the
volatility-adjusted one by the calibrated quantile of the largest move within a horizon, never below a floor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

_OURS = "an assumption of ours, not a venue's figure"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `steps` prices on each side of the present one; `shares` by asset and `otherwise` are fixed ranges.

    `volatilities` multiply implied volatility in the scan: they move nothing where there are no options.
    `contingency` and `slippage` are shares of gross notional.
    """

    name: str
    steps: int
    source: str
    certainty: str
    shares: Mapping[str, float] = field(default_factory=dict)
    otherwise: float | None = None
    volatilities: tuple[float, ...] = (1.0, 1.5, 0.75)
    contingency: float = 0.0
    contingency_source: str = _OURS
    slippage: float = 0.005
    slippage_source: str = _OURS

    @property
    def is_fixed(self) -> bool:
        """Return whether ranges are published shares and not learnt."""
        return self.otherwise is not None


PRESETS: Mapping[str, Rule] = {
    "vol-adjusted": Rule(
        "vol-adjusted",
        4,
        "calibrated first-passage quantile; docs/requirement.md",
        "back-tested on 2024-01 to 2026-03 for BTC and ETH; pooled for other assets",
    ),
    "deribit-like": Rule(
        "deribit-like",
        4,
        "Deribit portfolio margin, support article 25944756247837 (range, buckets); volatility shocks from a secondary "
        "source (docs.oreome.com); read 2026-11",
        "range read from the venue; volatility shocks second-hand; its contingencies and extended table are left out",
        otherwise=0.16,
    ),
    "okx-like": Rule(
        "okx-like",
        3,
        "OKX portfolio margin since January 2025, MR1 spot shock, read on copies of its notices 2026-11",
        "second-hand; assets other than BTC and ETH take its widest tier; basis, extreme and stablecoin charges are "
        "left out",
        shares={"BTC": 0.12, "ETH": 0.12, "WETH": 0.12, "WBTC": 0.12},
        otherwise=0.25,
    ),
}
