"""What happens in each scenario of the simulated market: moves, silent oracles, capped rates, lost links.

Times are simulated seconds since the start; before the start every scenario is calm.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from math import inf

from engine.record import record


class Loss(StrEnum):
    """How a link is lost: closed by the other side, or open and silent."""

    DROPPED = "dropped"
    SILENT = "silent"


@record
class Outage:
    """A source is blind from `from_s` for `for_s`, again every `every_s` (0 = once)."""

    source: str
    from_s: float
    for_s: float
    loss: Loss = Loss.DROPPED
    every_s: float = 0

    def began_s(self, at_s: float) -> float | None:
        """Return when the outage that covers `at_s` began, `None` while the link is fine."""
        since = at_s - self.from_s
        if since < 0:
            return None
        into = since % self.every_s if self.every_s else since
        return at_s - into if into < self.for_s else None


@record
class Move:
    """A fall by `depth` (fraction of the price) that starts at `from_s`, is complete after `over_s` and stays."""

    depth: float
    from_s: float
    over_s: float

    def factor(self, at_s: float) -> float:
        """Return the multiple of the undisturbed price at `at_s`."""
        done = min(max((at_s - self.from_s) / self.over_s, 0.0), 1.0)
        return 1.0 - self.depth * done * done * (3.0 - 2.0 * done)


@record
class Scenario:
    """One story. `oracles_silent` is the span without a single print; `rate_cap` is (from_s, fraction too low) of the
    staked-ether rate that the protocol reads; `debt_scale` makes an account of the cast tighter than in `calm`.
    """

    description: str
    moves: Mapping[str, Move] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()
    oracles_silent: tuple[float, float] | None = None
    rate_cap: tuple[float, float] | None = None
    debt_scale: Mapping[str, float] = field(default_factory=dict)

    def outage(self, source: str, at_s: float) -> tuple[Outage, float] | None:
        """Return the outage of `source` that covers `at_s` and when it began, `None` while its link is fine."""
        for outage in self.outages:
            if outage.source == source and (began := outage.began_s(at_s)) is not None:
                return outage, began
        return None


# The links misbehave a little in every story: one reconnects, one goes silent, one is away for minutes.
_USUAL = (
    Outage("kraken", 47, 4, every_s=300),
    Outage("coinbase", 180, 75, Loss.SILENT, every_s=900),
    Outage("bybit", 95, 252, every_s=1200),
    Outage("bybit-sol", 95, 252, every_s=1200),
)
_FLAP = (Outage("kraken", 47, 4, every_s=300),)
_GOING_DARK = (
    "bybit", "bybit-sol", "kraken", "kraken-fut", "coinbase", "morpho-wbtc", "okx", "okx-swap", "arb-loop", "ibkr",
    "hyperliquid", "hl-short", "comet", "spark", "binance", "bn-cross", "vault-old", "main",
)  # fmt: skip

SCENARIOS: Mapping[str, Scenario] = {
    "calm": Scenario("an ordinary day: prices wander, oracles print, one venue drops now and then", outages=_USUAL),
    "crash": Scenario(
        "the market falls 25 % in three minutes: accounts turn danger, then liquidatable",
        moves={
            **dict.fromkeys(("BTC", "ETH"), Move(0.25, 10, 180)),
            **dict.fromkeys(("SOL", "XRP"), Move(0.33, 10, 180)),
            **dict.fromkeys(("SPY", "QQQ"), Move(0.05, 10, 180)),
        },
        outages=_FLAP,
    ),
    "oracle-lag": Scenario(
        "the market falls 10 % while no oracle prints for five minutes",
        moves={"ETH": Move(0.10, 15, 120), "BTC": Move(0.06, 15, 120)},
        outages=_FLAP,
        oracles_silent=(15, 315),
    ),
    "depeg": Scenario(
        "USDC falls to 0.93: loans backed by it and everything quoted in it move",
        moves={"USDC": Move(0.07, 15, 150)},
        outages=_FLAP,
        debt_scale={"spark": 2.14},
    ),
    "capped-oracle": Scenario(
        "a cap holds the wstETH oracle 2.85 % too low: a loop is liquidatable while its market is fine",
        outages=_FLAP,
        rate_cap=(20, 0.0285),
        debt_scale={"arb-loop": 1.162},
    ),
    "blackout": Scenario(
        "feeds go down one after another until nothing is known any more",
        outages=tuple(Outage(name, 10 + 6 * i, inf) for i, name in enumerate(_GOING_DARK)),
    ),
}
