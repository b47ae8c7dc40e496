"""Maintenance tiers that join continuously, from the bounds and rates that venues publish.

Formula: deduction_n = deduction_(n-1) + floor_n x (rate_n - rate_(n-1)), so that notional x rate - deduction has no
jump at a floor (hyperliquid.gitbook.io, "Margin tiers", read 2026-11; the same constant as Binance's `cum`).
"""

from collections.abc import Iterable
from decimal import Decimal

from engine.accounts import Tier


def continuous_tiers(steps: Iterable[tuple[Decimal, Decimal]]) -> tuple[Tier, ...]:
    """Return tiers with deductions from (notional floor, maintenance rate) pairs.

    Raises `ValueError` unless the floors start at 0 and rise, and the rates are fractions that do not fall.
    """
    tiers: list[Tier] = []
    for floor, rate in sorted(steps):
        if not Decimal(0) < rate < 1:
            raise ValueError(f"maintenance rate {rate} is not a fraction of 1")
        if not tiers:
            if floor != 0:
                raise ValueError(f"the lowest tier starts at {floor}, not at 0")
            tiers.append(Tier(floor, rate))
            continue
        below = tiers[-1]
        if floor == below.notional_floor or rate < below.maintenance_rate:
            raise ValueError(f"tier at {floor} repeats a floor or lowers the rate to {rate}")
        tiers.append(Tier(floor, rate, below.deduction + floor * (rate - below.maintenance_rate)))
    if not tiers:
        raise ValueError("no maintenance tier at all")
    return tuple(tiers)
