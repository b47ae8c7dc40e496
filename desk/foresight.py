"""How likely each account is liquidated, kept beside the live state: candles every hour, forecasts every minute.

What forecasts need (NumPy, coefficients) is loaded off the loop, after the first accounts are shown. A forecast is an
estimate: it never decides a severity, a plan or a limit.
"""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from desk.events import Foreseen
from desk.intake import Intake
from desk.roster import at_triggers
from desk.snapshot import Snapshot
from desk.supervision import attempt, reason_of, within
from providers.ports import CandleSource, HourlyCandle

if TYPE_CHECKING:
    from engine.simulation.candles import Candles

HOURS = 91 * 24
EVERY_S, CANDLES_EVERY_S = 60.0, 3600.0
ANSWER_WITHIN_S = 30.0
RETRY_S = 300.0
_SWITCH_S = 0.0001
"""How long the forecasting thread may keep the interpreter when the loop wants it.

The loop gives it away at every system call, thousands of times a second: at Python's usual 5 ms each, ticks pile up.
"""
_RULE_HOURS, _RULE_CHANCE = 24.0, 0.01
SAME = {"WETH": "ETH"}
"""Tokens that are another asset one to one by their contract; they take its candles."""


def arrays(given: Sequence[HourlyCandle], name: str) -> "Candles":
    """Return a venue's candles as arrays; raises `engine.simulation.candles.CandleError`."""
    from engine.simulation.candles import candles

    rows = [
        (each.opened_at_s, float(each.open), float(each.high), float(each.low), float(each.close)) for each in given
    ]
    return candles(rows, name=name)


class Foresight:
    """Keeps the forecasts of all accounts of `snapshot()` fresh; tells them to `intake`."""

    def __init__(
        self, intake: Intake, snapshot: Callable[[], Snapshot], source: CandleSource, stables: frozenset[str]
    ) -> None:
        self._intake, self._snapshot, self._source, self._stables = intake, snapshot, source, stables
        self._candles: dict[str, Candles] = {}
        self._due_s: dict[str, float] = {}

    async def keep_for_ever(self) -> None:
        """Forecast once a minute until cancelled; where it fails there is no forecast, and the snapshot says so."""
        sys.setswitchinterval(_SWITCH_S)
        while True:
            snapshot = self._snapshot()
            if snapshot.accounts:
                made = await attempt("forecasts", self._made_of(snapshot))
                self._intake.apply(Foreseen({}, failed=reason_of(made)) if isinstance(made, Exception) else made)
                self._intake.publish()
            await asyncio.sleep(EVERY_S if snapshot.accounts else 1.0)

    async def _made_of(self, snapshot: Snapshot) -> Foreseen:
        await self._read_candles(snapshot)
        return await asyncio.to_thread(foreseen, self._snapshot(), dict(self._candles))

    async def _read_candles(self, snapshot: Snapshot) -> None:
        """Read the candles that are due of every asset that moves; one that cannot be had is tried again later."""
        now_s = asyncio.get_running_loop().time()
        held = {asset for state in at_triggers(snapshot.accounts).values() for asset in state.account.assets}
        stable = {asset for asset, state in snapshot.prices.items() if state.price.stable}
        for asset in sorted(held - stable - self._stables):
            if now_s < self._due_s.get(asset, 0.0):
                continue
            self._due_s[asset] = now_s + CANDLES_EVERY_S
            answer = within(ANSWER_WITHIN_S, self._source.hourly_candles(SAME.get(asset, asset), HOURS))
            given = await attempt(f"hourly candles of {asset}", answer)
            made = given if isinstance(given, Exception) else await asyncio.to_thread(_made, given, asset)
            if isinstance(made, str | Exception):
                self._due_s[asset] = now_s + RETRY_S
            else:
                self._candles[asset] = made


def _made(given: Sequence[HourlyCandle], asset: str) -> "Candles | str":
    from engine.simulation.candles import CandleError

    try:
        return arrays(given, asset)
    except CandleError as error:
        return str(error)


def foreseen(snapshot: Snapshot, candles: "Mapping[str, Candles]") -> Foreseen:
    """Return the estimates of every account that is not stale, from prices and candles of now; slow, off the loop."""
    from engine.simulation.forecast import Forecaster
    from engine.simulation.requirement import ranges, required_of
    from engine.simulation.rules import PRESETS
    from engine.whatif import what_if

    forecaster = Forecaster(candles)
    prices = {asset: state.price for asset, state in snapshot.prices.items()}
    market = {asset: state.consensus for asset, state in snapshot.prices.items()}
    now_ns, rule = snapshot.taken_at_ns, PRESETS["vol-adjusted"]
    states = [state for state in at_triggers(snapshot.accounts).values() if not state.is_stale]
    stable = {asset for asset, price in prices.items() if price.stable}
    assets = sorted({asset for state in states for asset in state.account.assets} - stable)
    reach = ranges(rule, assets, forecaster, prices, now_ns, _RULE_HOURS, _RULE_CHANCE)
    return Foreseen(
        {state.account.name: forecaster.of(state.account, prices, now_ns, market=market) for state in states},
        {
            state.account.name: required_of(state.account, state.assessment, prices, reach, rule)
            for state in states
            if state.assessment.has_debt
        },
        what_if([state.account for state in states], prices),
        made_at_ns=now_ns,
    )
