"""Liquidation prices against root finding that shares nothing with the engine: the definitions, bisected."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal, localcontext
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Position
from engine.assess import trigger_side
from engine.solvency import solvency_of, trigger_prices
from tests.engine.portfolios import NOW, cross_accounts, d, ladder_of_tiers, perp, venue_accounts

FAR = Decimal(10) ** 12
STEPS = 90
CLOSE = d("1e-12")
Margin = Callable[[Decimal], Decimal]


def margin_along(account: Account, moving: frozenset[str]) -> tuple[Margin, Decimal]:
    """Return cover less requirement with `moving` assets at a factor of their prices, and the size of its terms."""
    multiple, fixed, slope, scale = account.liquidation_multiple, account.balance, d(0), abs(account.balance)
    fixed -= multiple * account.extra_requirement
    marks, _ = trigger_prices(account, {})
    tiered: list[tuple[Decimal, Position]] = []

    def weigh(asset: str, value: Decimal) -> None:
        nonlocal fixed, slope, scale
        scale += abs(value)
        if asset in moving and asset != account.quote:
            slope += value
        else:
            fixed += value

    coins = [(leg.asset, leg.amount * leg.liquidation_threshold) for leg in account.collateral]
    for asset, amount in coins + [(leg.asset, -leg.amount) for leg in account.debt]:
        own = account.oracles.get(asset)
        at = d(1) if asset == account.quote else marks[asset] if own is None else own.price
        weigh(asset, amount * at)
    for position in account.positions:
        mark, entry = position.mark_price, position.entry_price
        assert mark is not None
        assert entry is not None
        weigh(position.asset, position.quantity * mark)
        fixed -= position.quantity * entry
        face = abs(position.quantity) * (entry if is_constant(position) else mark)
        if position.asset in moving and not is_constant(position):
            tiered.append((face, position))
        else:
            fixed -= multiple * maintenance(position, face)

    def margin(factor: Decimal) -> Decimal:
        asked = sum((maintenance(position, face * factor) for face, position in tiered), d(0))
        return fixed + slope * factor - multiple * asked

    return margin, scale


def is_constant(position: Position) -> bool:
    return position.inverse or position.margin_at_entry


def maintenance(position: Position, notional: Decimal) -> Decimal:
    tier = [each for each in position.tiers if each.notional_floor <= notional][-1]
    return notional * (tier.maintenance_rate + (position.fee_rate or 0)) - tier.deduction


def bends(account: Account, moving: frozenset[str]) -> Iterable[Decimal]:
    """Yield every factor at which a moving position enters another tier."""
    for position in account.positions:
        if position.asset in moving and not is_constant(position):
            assert position.mark_price is not None
            for tier in position.tiers[1:]:
                yield tier.notional_floor / (abs(position.quantity) * position.mark_price)


def nearest_root(account: Account, moving: frozenset[str]) -> Decimal | None:
    """Return the factor nearest to 1 beyond which the margin is negative, found by bisection between the bends."""
    margin, _ = margin_along(account, moving)
    known = sorted({d(0), d(1), FAR, *bends(account, moving)})
    one = known.index(d(1))
    down = first_crossing(margin, known[one::-1])
    up = first_crossing(margin, known[one:])
    found = [each for each in (down, up) if each is not None]
    return min(found, key=lambda factor: abs(factor - 1), default=None)


def first_crossing(margin: Margin, stops: list[Decimal]) -> Decimal | None:
    for safe, beyond in pairwise(stops):
        if margin(beyond) < 0:
            for _ in range(STEPS):
                middle = (safe + beyond) / 2
                safe, beyond = (safe, middle) if margin(middle) < 0 else (middle, beyond)
            return beyond
    return None


def assert_root(account: Account, moving: frozenset[str], ours: Decimal | None) -> None:
    """Assert that ours is the nearest root; where the margin only touches 0 either answer counts."""
    with localcontext(prec=60):
        theirs = nearest_root(account, moving)
        if ours is not None and theirs is not None and abs(ours - theirs) <= CLOSE * max(abs(theirs), 1):
            return
        if ours is None and theirs is None:
            return
        margin, scale = margin_along(account, moving)
        nearer = min((each for each in (ours, theirs) if each is not None), key=lambda factor: abs(factor - 1))
        assert abs(margin(nearer)) <= scale * max(nearer, 1) * d("1e-20"), (moving, ours, theirs)


def assert_every_root(account: Account) -> None:
    """Assert every asset's liquidation price and the common move of all, unless it is liquidatable already."""
    assessment = trigger_side(account, {}, NOW)
    marks, lacking = trigger_prices(account, {})
    assert not lacking
    if assessment.health_factor is None or assessment.health_factor < 1:
        return
    moved = {each.asset for each in solvency_of(account).exposures}
    for asset, point in assessment.liquidation.items():
        if asset in moved:
            assert_root(account, frozenset({asset}), None if point.price is None else point.price / marks[asset])
        else:
            assert point.price is None
    shock = assessment.uniform_shock
    assert_root(account, frozenset(account.assets), None if shock is None else 1 + shock)


def fifty_positions(seed: int) -> Account:
    """Return 50 positions around their tier bounds, long and short, at a health of 1.02 to 2."""
    random_of = random.Random(seed)
    positions = []
    for index in range(50):
        mark = d(random_of.randint(100, 5_000_000)) / 100
        floors = sorted(random_of.sample(range(5_000, 2_000_000), 4))
        tiers = ladder_of_tiers(list(zip([0, *floors], (40, 65, 100, 250, 500), strict=True)))
        notional = d(random_of.choice(floors)) * d(random_of.randint(90, 110)) / 100
        quantity = round(notional / mark, 4) * random_of.choice((1, -1))
        entry = mark * d(random_of.randint(90, 110)) / 100
        positions.append(Position(f"A{index}", quantity, tiers, entry, mark, d("0.0005")))
    account = perp("0", *positions)
    marks, _ = trigger_prices(account, {})
    solvency = solvency_of(account)
    wanted = d(random_of.randint(102, 200)) / 100 * solvency.requirement(marks)
    return replace(account, balance=wanted - solvency.cover(marks))


@pytest.mark.parametrize("seed", range(8))
def test_fifty_positions_across_tier_bounds_liquidate_at_their_roots(seed: int) -> None:
    account = fifty_positions(seed)
    assert len(account.positions) == 50
    found = trigger_side(account, {}, NOW).liquidation
    assert sum(point.price is not None for point in found.values()) > 10
    assert_every_root(account)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(cross_accounts(most=50))
def test_any_cross_account_liquidates_at_its_roots(account: Account) -> None:
    assert_every_root(account)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(venue_accounts(), st.integers(100, 300))
def test_any_venue_account_liquidates_at_its_roots(drawn: Account, percent: int) -> None:
    marks, _ = trigger_prices(drawn, {})
    solvency = solvency_of(drawn)
    more = d(percent) / 100 * solvency.requirement(marks) - solvency.cover(marks)
    assert_every_root(replace(drawn, balance=drawn.balance + more))
