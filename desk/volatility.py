"""How much assets move, from their past daily closes: learned at start, then once a day."""

import asyncio
import math
import statistics
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from desk.events import Linked, VolatilityLearned
from desk.intake import Intake
from desk.sources import HISTORY
from desk.supervision import attempt, within
from providers.ports import HistorySource, LinkChange, LinkState

DAYS = 31
MIN_RETURNS = 8
ANSWER_WITHIN_S = 20.0
_EVERY_S = 86_400.0


def annualised(closes: Sequence[Decimal]) -> Decimal | None:
    """Return the sample standard deviation of daily log returns x sqrt(365), as a fraction to four decimals.

    `closes` are oldest first. `None` with fewer than eight returns or a close that is not positive.
    """
    if len(closes) <= MIN_RETURNS or not all(close.is_finite() and close > 0 for close in closes):
        return None
    returns = [math.log(later / earlier) for earlier, later in pairwise(closes)]
    return Decimal(f"{statistics.stdev(returns) * math.sqrt(365):.4f}")


async def learn(intake: Intake, history: HistorySource, asset: str, timeout_s: float = ANSWER_WITHIN_S) -> bool:
    """Learn one asset's volatility; return whether there is one. It never raises but for cancellation."""
    closes = await attempt(f"daily closes of {asset}", within(timeout_s, history.daily_closes(asset, DAYS)))
    volatility = None if isinstance(closes, Exception) else annualised(closes)
    if volatility is not None:
        intake.apply(VolatilityLearned(asset, volatility))
    return volatility is not None


async def learn_for_ever(intake: Intake, history: HistorySource, stables: frozenset[str]) -> None:
    """Learn the volatility of every asset that isn't stable, as it appears and once a day, until cancelled."""
    loop = asyncio.get_running_loop()
    due: dict[str, float] = {}
    unknown: set[str] = set()
    while True:
        grew = intake.assets_grew
        for asset in sorted(intake.assets - stables):
            if loop.time() < due.get(asset, 0.0):
                continue
            due[asset] = loop.time() + _EVERY_S
            (unknown.discard if await learn(intake, history, asset) else unknown.add)(asset)
        if due:
            state = LinkState.DEGRADED if unknown else LinkState.LIVE
            detail = f"no volatility of {', '.join(sorted(unknown))}" if unknown else ""
            intake.apply(Linked(HISTORY, HISTORY, LinkChange(HISTORY, state, intake.clock(), detail)))
        try:
            await within(_EVERY_S, grew.wait())
        except TimeoutError:
            continue
