"""Paths of prices that really happened, in a few steps each: returns that may be shipped, with their source.

Figures are moves from where the path starts, at the lows of single hours (days for 2020), rounded to 0.1 %.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.shocks import FACTOR, FOLLOWS, ONE, STAKED, WIDE, Market, Scenario, Step, by_beta, spread

_LOWS = "lows of the hour against the first hour's open, BTC and ETH in US dollars, rounded to 0.1 %"
_OTHERS = "BTC and ETH as they fell; what stands for them follows, other assets by beta of the ETH move"
_OF_ETH = sorted(name for name in STAKED if FOLLOWS[name] == "ETH")


def _path(text: str) -> tuple[Step, ...]:
    """Return steps from "hours BTC% ETH%", separated by commas."""
    steps = []
    for part in text.split(","):
        hours, btc, eth = part.split()
        steps.append(Step(int(hours), {"BTC": Decimal(btc) / 100, "ETH": Decimal(eth) / 100}))
    return tuple(steps)


REPLAYS: Mapping[str, Scenario] = {
    "2020-03-12": Scenario(
        "12 March 2020",
        (Step(24, {"BTC": Decimal("-0.415")}), Step(48, {"BTC": Decimal("-0.514")})),
        source="daily lows of BTC against the open of 12 March 2020 (US dollars), rounded to 0.1 %",
        assumed=("ETH and others by beta of the BTC move",),
    ),
    "2021-05-19": Scenario(
        "19 May 2021",
        _path("4 -6.4 -9.4, 5 -9.9 -15.3, 12 -15.8 -28.0, 13 -25.7 -42.0, 14 -33.1 -58.5"),
        source=f"perpetual futures, {_LOWS}",
        assumed=(_OTHERS,),
    ),
    "luna": Scenario(
        "LUNA, 9 to 12 May 2022",
        _path("18 -8.9 -10.7, 61 -14.7 -15.5, 69 -17.2 -19.4, 77 -20.3 -26.6, 78 -21.6 -28.6"),
        source=f"spot, {_LOWS}",
        assumed=(_OTHERS,),
    ),
    "ftx": Scenario(
        "FTX, 8 to 9 November 2022",
        _path("15 -6.2 -9.3, 19 -10.7 -14.5, 20 -16.6 -21.4, 46 -23.9 -29.8, 48 -24.3 -31.5"),
        source=f"spot, {_LOWS}",
        assumed=(_OTHERS,),
    ),
    "2024-08-05": Scenario(
        "5 August 2024",
        _path("6 -6.2 -9.8, 13 -8.5 -14.6, 14 -14.1 -27.6"),
        source=f"spot from 4 August 12:00 UTC, {_LOWS}",
        assumed=(_OTHERS,),
    ),
    "2025-10-10": Scenario(
        "10 October 2025",
        (
            *_path("8 -4.6 -9.0, 9 -7.0 -11.4"),
            Step(10, {"BTC": Decimal("-0.161"), "ETH": Decimal("-0.209"), "USDe": Decimal("-0.35")}),
        ),
        source=f"spot from 12:00 UTC, {_LOWS}; USDe at 0.65 where one venue marked it to its own book (press)",
        assumed=(_OTHERS, "USDe as on the venue that marked it to its own book"),
    ),
    "capped-oracle": Scenario(
        "capped oracle, March 2026",
        (Step(1, dict.fromkeys(_OF_ETH, Decimal("-0.0285"))),),
        source="a lending oracle priced wstETH 2.85 % under the market (press, March 2026)",
        assumed=("staked ether alone falls, at the oracle; the market does not move",),
    ),
}
"""By the name that `--replay` takes."""


def replayed(scenario: Scenario, market: Market) -> Scenario:
    """Return a replay with its moves spread over the assets of `market`, at every step."""
    steps = []
    for step in scenario.steps:
        known = dict(step.moves)
        lead = known.get(FACTOR)
        if lead is None and "BTC" in known:
            lead = WIDE.exp(WIDE.ln(ONE + known["BTC"]) / market.beta("BTC")) - ONE
        moves = {} if lead is None else by_beta(lead, market)[0]
        named = {name: move for name, move in known.items() if name in market.assets or name in FOLLOWS.values()}
        steps.append(Step(step.hours, moves | spread(named, market)[0]))
    return Scenario(scenario.name, tuple(steps), source=scenario.source, assumed=scenario.assumed)
