"""What `cascade --json` answers (`marginline.cascade/1`): numbers are strings, a null one has a reason beside it.

`shocks` say for each shock where the static fixed point and the rounds come to rest, `watch` the two numbers to watch,
`dynamic` what many paths come to, `account` one account's place and what its liquidators see. Estimates, all of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.answers import Answer, envelope
from engine.simulation.answers import figures
from engine.simulation.cascade_book import LoanBook
from engine.simulation.cascade_dynamic import COLUMNS, Buckets, Outcomes, Setting
from engine.simulation.cascade_impact import Impact
from engine.simulation.cascade_place import LiquidatorView, Offer, Place
from engine.simulation.cascade_rounds import Rounds
from engine.simulation.cascade_static import Sorted, at_rest, reproduction, shocked
from engine.simulation.horizons import horizon_name

CASCADE_SCHEMA = "marginline.cascade/1"
WATCHED = (-0.05, -0.10, -0.15)
USUAL = (-0.05, -0.10, -0.15, -0.20, -0.30)
CAVEATS = (
    "the oracle follows the market that liquidators sell into: the worst case",
    "liquidators sell what they seize at once",
    "no new capital comes in: nobody repays, adds collateral or buys the fall beyond what heals",
)
ONE_COLLATERAL = "one collateral: losses do not spread to other assets"
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Rest:
    """Where one shock ends: the static fixed point. Drops are fractions, `sold` in units, money in quote currency."""

    shock: float
    exogenous: float
    price: float
    sold: float
    liquidated: float
    bad_debt: float

    @property
    def endogenous_drop(self) -> float:
        """Return what liquidations alone take off the price, as a fraction of where the shock leaves it."""
        return 1 - self.price / self.exogenous


def rests(queue: Sorted, impact: Impact, shocks: Sequence[float]) -> list[Rest]:
    """Return where every shock ends."""
    from_ = shocked(impact.start, shocks)
    price = at_rest(queue, impact, from_)
    columns = (from_, price, queue.seized(price), queue.liquidated(price), queue.bad_debt(price))
    return [Rest(shock, *(float(column[index]) for column in columns)) for index, shock in enumerate(shocks)]


def watch(queue: Sorted, impact: Impact, setting: Setting | None) -> Answer:
    """Return R0 at falls of 5, 10 and 15 %, and throughput over what the market takes up again in a step."""
    start = impact.start
    r0 = {f"{shock:g}": figures(reproduction(queue, impact, start * (1 + shock)), 4) for shock in WATCHED}
    depth = float(impact.room(np.array(0.98), np.array(start))) * start
    ratio, why = None, "a run over time is needed for it: name a volatility"
    if setting is not None:
        replenished = setting.heal * depth
        if math.isinf(setting.throughput):
            why = "throughput is not limited: name one by --throughput, or throughput in [cascade.ASSET]"
        elif replenished == 0:
            why = "nothing is replenished"
        else:
            ratio, why = setting.throughput / replenished, ""
    return {
        "r0": r0,
        "depth_2pct": figures(depth, _DIGITS),
        "throughput_over_replenishment": figures(ratio, 4),
        "because": why or None,
    }


def dynamic_answer(found: Outcomes, setting: Setting, buckets: Buckets, start: float, seed: int) -> Answer:
    """Return the summary of many paths: means, and the worst twentieth of each figure."""
    table = dict(zip(COLUMNS, found.T, strict=True))
    extra = (table["trough_exogenous"] - table["trough"]) / start
    told: Answer = {
        "paths": len(found),
        "seed": seed,
        "steps": setting.steps,
        "step_minutes": figures(setting.step_minutes),
        "volatility": figures(setting.volatility),
        "throughput": None if math.isinf(setting.throughput) else figures(setting.throughput, _DIGITS),
        "heal": figures(setting.heal),
        "oracle": setting.rule.value,
        "buckets": len(buckets),
        "loans": int(buckets.loans.sum()),
        "extra_drawdown": _spread(extra),
        "exogenous_drawdown": _spread(1 - table["trough_exogenous"] / start),
    }
    return told | {name: _spread(table[name]) for name in ("repaid", "sold", "bad_debt", "unhealthy")}


def share_reached(found: Outcomes, level: float) -> tuple[float, float]:
    """Return the share of paths whose oracle price fell below `level`, and its standard error."""
    reached = found[:, COLUMNS.index("oracle_trough")] < level
    share = float(reached.mean())
    return share, math.sqrt(share * (1 - share) / len(reached))


def _spread(values: Outcomes) -> Answer:
    return {
        "mean": figures(float(values.mean()), _DIGITS),
        "p50": figures(float(np.quantile(values, 0.5)), _DIGITS),
        "p95": figures(float(np.quantile(values, 0.95)), _DIGITS),
        "max": figures(float(values.max()), _DIGITS),
    }


def rest_answer(one: Rest) -> Answer:
    """Return one shock's static fixed point."""
    return {
        "price": figures(one.price, 10),
        "drop": figures(1 - one.price / one.exogenous * (1 + one.shock), _DIGITS),
        "endogenous_drop": figures(one.endogenous_drop, _DIGITS),
        "sold": figures(one.sold, _DIGITS),
        "liquidated_debt": figures(one.liquidated, _DIGITS),
        "bad_debt": figures(one.bad_debt, _DIGITS),
    }


def rounds_answer(one: Rounds, assets: Sequence[str], row: int | None) -> Answer:
    """Return one shock's cascade in rounds; `place` is the account's place among those liquidated, `null` if spared."""
    return {
        "rounds": one.rounds,
        "settled": one.settled,
        "prices": dict(zip(assets, (figures(price, 16) for price in one.final), strict=True)),
        "endogenous_drop": {
            asset: figures(1 - now / then, 12)
            for asset, now, then in zip(assets, one.final, one.exogenous, strict=True)
        },
        "repaid": figures(one.repaid, 16),
        "bad_debt": figures(one.bad_debt, 16),
        "waiting": figures(one.waiting, 12),
        "liquidated_loans": len(one.order),
        "place": one.order.index(row) + 1 if row is not None and row in one.order else None,
    }


def account_answer(one: Place, view: LiquidatorView, reached: tuple[float, float] | None, why: str) -> Answer:
    """Return one account's place and its liquidators' view; `why` says why chances are null."""
    return {
        "name": one.name,
        "liquidation_price": figures(one.liquidation_price, 10),
        "liquidatable": one.liquidatable,
        "rank": one.rank,
        "of": one.of,
        "debt_ahead": figures(one.debt_ahead, _DIGITS),
        "units_ahead": figures(one.units_ahead, _DIGITS),
        "shock_alone": figures(one.shock_alone, _DIGITS),
        "shock_cascade": figures(one.shock_cascade, _DIGITS),
        "horizon": horizon_name(one.hours),
        "chance_alone": figures(one.chance_alone),
        "chance_cascade": figures(one.chance_cascade),
        "chance_method": None if why else "closed form without drift, a baseline: too low in the tails",
        "chance_simulated": None if reached is None else figures(reached[0]),
        "chance_simulated_error": None if reached is None else figures(reached[1]),
        "sigma_days_alone": figures(one.sigma_days_alone),
        "sigma_days_cascade": figures(one.sigma_days_cascade),
        "sigma_days_sooner": figures(one.sooner),
        "because": why or None,
        "liquidators": {
            "first": _offer(view.first),
            "behind_the_queue": _offer(view.queued),
            "profitable_from": figures(view.profitable_from, _DIGITS),
            "searched_to": figures(view.searched_to, _DIGITS),
            "raises_health": view.raises_health,
        },
    }


def _offer(one: Offer) -> Answer:
    names = ("price", "health", "repay", "seize", "bonus_value", "slippage", "fee", "gas", "latency_cost", "profit")
    return {name: figures(float(getattr(one, name)), _DIGITS) for name in names}


def book_answer(book: LoanBook, prices: Sequence[float]) -> Answer:
    """Return what the book is and how healthy it stands at `prices`."""
    unhealthy = book.health(prices) < 1
    return {
        "source": book.source,
        "loans": len(book),
        "debt": figures(float(book.debt.sum()), 10),
        "collateral": {
            asset: figures(float(units), 10)
            for asset, units in zip(book.assets, book.collateral.sum(axis=0), strict=True)
        },
        "liquidatable_now": {
            "loans": int(unhealthy.sum()),
            "debt": figures(float(book.debt[unhealthy].sum()), _DIGITS),
        },
        "assumed": list(book.assumed),
    }


def cascade_answer(as_of_ns: int, degraded: Sequence[str], caveats: Sequence[str], **parts: object) -> Answer:
    """Return the whole answer; its caveats are part of every one."""
    told: Mapping[str, object] = parts
    return envelope(CASCADE_SCHEMA, as_of_ns, degraded, caveats=list(caveats), **told)
