"""Arrays say what the exact engine says, account by account and scenario by scenario."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.simulation import arrays
from engine.simulation.arrays import book_of, reference_prices
from engine.solvency import solvency_of

D = Decimal
TIERS = (Tier(D(0), D("0.01")), Tier(D(50_000), D("0.02"), D(500)), Tier(D(200_000), D("0.05"), D(6500)))
PRICES = {"ETH": D(2500), "BTC": D(60_000), "USDC": D(1)}


def loan(name: str, eth: float, usdc: float) -> Account:
    return Account(
        name,
        Kind.LOAN,
        collateral=(Collateral("ETH", D(str(eth)), D("0.83")),),
        debt=(Debt("USDC", D(str(usdc))),) if usdc else (),
    )


def perp(name: str, btc: float, balance: float) -> Account:
    position = Position("BTC", D(str(btc)), TIERS, D(58_000), D(60_000))
    return Account(name, Kind.PERP, quote="USDC", balance=D(str(balance)), positions=(position,))


amounts = st.floats(0.1, 50).map(lambda value: round(value, 3))
accounts = st.lists(
    st.one_of(
        st.tuples(amounts, st.floats(0, 60_000).map(lambda value: round(value, 2))).map(lambda each: loan("x", *each)),
        st.tuples(st.floats(-8, 8).map(lambda value: round(value, 3)).filter(bool), st.floats(500, 90_000)).map(
            lambda each: perp("x", each[0], round(each[1], 2))
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40)
@given(accounts, st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([7, 64, 256_000]))
def test_arrays_agree_with_the_exact_engine(held: list[Account], scenarios: int, seed: int, cells: int) -> None:
    held = [
        Account(**{**{name: getattr(one, name) for name in one.__slots__}, "name": str(at)})
        for at, one in enumerate(held)
    ]
    known = {one.name: {asset: PRICES[asset] for asset in one.assets} for one in held}
    book = book_of(held, known)
    factors = np.random.default_rng(seed).uniform(0.3, 1.9, (len(book.assets), scenarios)).astype(np.float32)
    prices = reference_prices(book, held, known)[:, None] * factors
    was, arrays.BLOCK_CELLS = arrays.BLOCK_CELLS, cells
    try:
        gone, health = np.zeros((len(held), scenarios), bool), np.zeros((len(held), scenarios), np.float32)
        for block, flags in book.liquidated(prices):
            gone[block] = flags
        for block, some in book.health(prices):
            health[block] = some
    finally:
        arrays.BLOCK_CELLS = was
    for row, account in enumerate(held):
        solvency = solvency_of(account)
        for column in range(scenarios):
            moved = {asset: D(str(float(prices[at, column]))) for at, asset in enumerate(book.assets)}
            exact = solvency.health_factor(moved)
            if exact is None:
                assert np.isinf(health[row, column])
                continue
            scale = max(1.0, abs(float(exact)))
            assert health[row, column] == pytest.approx(float(exact), abs=2e-3 * scale)
            if abs(exact - 1) > D("0.001"):
                assert bool(gone[row, column]) is (exact < 1)


def test_an_accounts_own_price_moves_in_proportion() -> None:
    one, other = loan("one", 10, 15_000), loan("other", 10, 15_000)
    known = {"one": PRICES | {"ETH": D(2500)}, "other": PRICES | {"ETH": D(2000)}}
    book = book_of([one, other], {name: {a: p[a] for a in ("ETH", "USDC")} for name, p in known.items()})
    prices = reference_prices(book, [one, other], known)[:, None]
    ((_, health),) = book.health(prices)
    assert health[0, 0] == pytest.approx(10 * 2500 * 0.83 / 15_000, rel=1e-6)
    assert health[1, 0] == pytest.approx(10 * 2000 * 0.83 / 15_000, rel=1e-6)
