"""Accounts that the config describes: always live, never vanishing."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from math import inf

import pytest

from engine.accounts import Account, Collateral, Debt, Kind
from providers.errors import ConfigError
from providers.manual import INFO, ManualAccount, source
from providers.ports import AccountOptions, LinkChange, LinkState, Reading

ACCOUNT = Account(
    "cold",
    Kind.LOAN,
    "manual",
    collateral=(Collateral("ETH", Decimal(10), Decimal("0.83")),),
    debt=(Debt("USDC", Decimal(15_000)),),
)


def described(poll_s: float | None = None) -> AccountOptions:
    return AccountOptions("cold", "manual", poll_s=poll_s, manual=lambda: ACCOUNT)


def test_a_reading_is_the_account_as_described_observed_now() -> None:
    manual = ManualAccount("cold", lambda: ACCOUNT, None, clock=lambda: 42)
    assert asyncio.run(manual.read()) == Reading("cold", (ACCOUNT,), 42)


def test_it_is_live_at_once_and_never_stale_by_itself() -> None:
    async def run() -> None:
        manual = ManualAccount("cold", lambda: ACCOUNT, None)
        assert manual.name == "cold"
        assert manual.stale_after_s == inf
        async with aclosing(manual.watch()) as said:
            live, first = await anext(said), await anext(said)
        assert isinstance(live, LinkChange)
        assert live.state is LinkState.LIVE
        assert isinstance(first, Reading)
        assert first.accounts == (ACCOUNT,)

    asyncio.run(run())


def test_with_a_poll_it_repeats_itself_in_time() -> None:
    async def run() -> None:
        manual = ManualAccount("cold", lambda: ACCOUNT, 0.02)
        assert manual.stale_after_s == 0.02
        async with asyncio.timeout(3), aclosing(manual.watch()) as said:
            await anext(said)
            times = [item.observed_at_ns for item in [await anext(said) for _ in range(3)] if isinstance(item, Reading)]
        assert len(times) == 3
        assert times == sorted(times)

    asyncio.run(run())


def test_an_account_without_a_description_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="cold"):
        source(AccountOptions("cold", "manual"))


@pytest.mark.parametrize("poll_s", [0, -5, float("nan")])
def test_a_poll_that_makes_no_sense_is_a_config_error(poll_s: float) -> None:
    with pytest.raises(ConfigError, match="poll_s"):
        source(described(poll_s))


def test_it_may_be_of_any_kind() -> None:
    assert INFO.kinds == set(Kind)
    assert not INFO.required


def test_a_changed_description_is_heeded_and_a_broken_one_is_told() -> None:
    async def run() -> None:
        said: list[Account | str] = [ACCOUNT]

        def describe() -> Account:
            if isinstance(said[0], str):
                raise ConfigError(said[0])
            return said[0]

        manual = ManualAccount("cold", describe, None, look_s=0.005)
        async with asyncio.timeout(3), aclosing(manual.watch()) as heard:
            assert [type(await anext(heard)) for _ in range(2)] == [LinkChange, Reading]
            said[0] = "legs.csv:3: amount must be a number"
            broken = await anext(heard)
            assert isinstance(broken, LinkChange)
            assert (broken.state, broken.detail) == (LinkState.DEGRADED, "legs.csv:3: amount must be a number")
            changed = said[0] = replace(ACCOUNT, debt=())
            back, reading = await anext(heard), await anext(heard)
            assert isinstance(back, LinkChange)
            assert back.state is LinkState.LIVE
            assert isinstance(reading, Reading)
            assert reading.accounts == (changed,)

    asyncio.run(run())
