"""Rescues sent to real Aave v3.0 and v3.6: prepared, verified, simulated, signed, sent and found, end to end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Context, Decimal
from typing import TypeVar

import pytest
from eth_account import Account as Keys

from engine.accounts import Account, Kind
from engine.rescue import Facility, HealthPath, Means, Option, Standing
from providers.evm.rescue.writer import AaveRescue, make
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Signed, Step
from tests.chain.market import MAX_UINT256, Market

T = TypeVar("T")
WIDE = Context(prec=78)
ACCOUNT = Account("main", Kind.LOAN)
OWNER_KEY, RESCUE_KEY = b"\x11" * 32, b"\x22" * 32
NOWHERE = HealthPath(None, None, None, None)


class KeySigner:
    """A signer with a key in memory, which counts what it signed."""

    def __init__(self, key: bytes) -> None:
        self._key = Keys.from_key(key)
        self.signed = 0

    @property
    def address(self) -> str:
        return str(self._key.address)

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        self.signed += 1
        made = self._key.unsafe_sign_hash(digest)
        return made.v, made.r, made.s


OWNER, RESCUER = KeySigner(OWNER_KEY), KeySigner(RESCUE_KEY)


def settings(market: Market, owner: str, **changes: object) -> AccountOptions:
    given: dict[str, object] = {
        "name": "main",
        "provider": "aave-v3",
        "address": owner,
        "chain_id": market.anvil.chain_id,
        "addresses_provider": market.addresses_provider,
        "rpc_urls": (market.anvil.url,),
    }
    return AccountOptions(**(given | changes))  # type: ignore[arg-type]  # a plain dict of its fields


def run(
    market: Market,
    work: Callable[[AaveRescue], Awaitable[T]],
    *,
    wallet: str | None = OWNER.address,
    **changes: object,
) -> T:
    """Return what `work` makes of the rescue of the owner's account, whose connections are closed afterwards."""

    async def whole() -> T:
        rescue = make(settings(market, OWNER.address, **changes), wallet)
        try:
            return await work(rescue)
        finally:
            await rescue.aclose()

    return asyncio.run(whole())


def indebted(market: Market) -> None:
    """Give the owner 10 WETH of collateral, 15,000 USDC of debt (health 1.38), and ether for gas."""
    for address in (OWNER.address, RESCUER.address):
        market.anvil.rpc.call("anvil_setBalance", address, hex(100 * 10**18))
    market.supply(OWNER.address, "WETH", market.units("WETH", 10))
    market.borrow(OWNER.address, "USDC", market.units("USDC", 15_000))
    # The lab's funding leaves an endless approval; a rescue must bring its own.
    approve(market, OWNER.address, "WETH", 0)
    drop_borrowed(market)


def drop_borrowed(market: Market) -> None:
    """Let the owner's borrowed tokens go, so that what is repaid is what the test gave."""
    token = market.tokens["USDC"].contract
    balance = token.read("balanceOf", OWNER.address)
    token.send("transfer", market.lender, balance, sender=OWNER.address)


def approve(market: Market, holder: str, symbol: str, amount: int) -> None:
    market.tokens[symbol].contract.send("approve", market.pool.address, amount, sender=holder)


def mint(market: Market, holder: str, symbol: str, amount: int | str) -> None:
    token = market.tokens[symbol]
    token.contract.send("mint", holder, market.units(symbol, amount), sender=market.admin)


def option(
    standing: Standing, means: Means, asset: str, amount: str, *, native: bool = False, full: bool = False
) -> Option:
    """Return an option as planning makes it: with the facility and the funds that `standing` names."""
    facility = facility_of(standing, means, asset)
    funds = next(one for one in standing.funds if one.asset == asset and one.is_native is native)
    units = int(WIDE.scaleb(Decimal(amount), facility.decimals))
    return Option(
        means, asset, Decimal(amount), funds.source, None, NOWHERE, None,
        amount_units=units, is_full_close=full, funds=funds, facility=facility,
    )  # fmt: skip


def facility_of(standing: Standing, means: Means, asset: str) -> Facility:
    return next(one for one in standing.facilities if one.asset == asset and means in one.means)


async def executed(rescue: AaveRescue, steps: Sequence[Step], signer: KeySigner) -> list[Found]:
    """Verify, sign and send every step as the desk does; return the fates."""
    assert await rescue.verify(ACCOUNT, steps) == ""
    found = []
    for step in steps:
        signed = rescue.sign(step, signer)
        await rescue.send(signed)
        found.append(await decided(rescue, signed))
    return found


async def decided(rescue: AaveRescue, signed: Signed) -> Found:
    """Ask until the chain has decided, as the desk does."""
    async with asyncio.timeout(5):
        while (found := await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.PENDING:
            pass
    return found


async def rescued(
    rescue: AaveRescue, means: Means, asset: str, amount: str, signer: KeySigner = OWNER, *,
    native: bool = False, full: bool = False,
) -> list[str]:  # fmt: skip
    """Carry out one whole rescue, compare the simulated health with nothing less than it became; return the titles."""
    standing = await rescue.standing(ACCOUNT)
    steps = await rescue.prepare(ACCOUNT, option(standing, means, asset, amount, native=native, full=full))
    simulated = await rescue.simulate(ACCOUNT, steps)
    assert simulated.refused == ""
    assert simulated.health_factor is not None
    found = await executed(rescue, steps, signer)
    assert [one.fate for one in found] == [Fate.CONFIRMED] * len(steps), found
    after = await rescue.standing(ACCOUNT)
    assert after.problems == ()
    HEALTH.append(simulated.health_factor)
    return [step.title for step in steps]


HEALTH: list[Decimal] = []


def wad(market: Market) -> int:
    return market.account_data(OWNER.address).health_factor_wad


def test_supply_with_an_exact_approval_raises_health_as_simulated(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 3)
    titles = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "2"))
    assert titles == ["approve 2 ETH for the pool", "supply 2 ETH"]
    assert abs(Decimal(wad(market)).scaleb(-18) - HEALTH[-1]) < Decimal("0.0001")
    assert market.tokens["WETH"].contract.read("allowance", OWNER.address, market.pool.address) == 0


def test_supply_takes_one_transaction_where_the_token_has_a_permit(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "DAI", 2000)
    before = wad(market)
    titles = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "DAI", "2000"))
    assert titles == ["supply 2000 DAI, by permit"]
    assert wad(market) > before


def test_supply_takes_one_transaction_where_the_allowance_is_there(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 1)
    approve(market, OWNER.address, "WETH", MAX_UINT256)
    assert run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "1")) == ["supply 1 ETH"]


def test_a_rescue_wallet_supplies_and_repays_for_the_owner(market: Market) -> None:
    indebted(market)
    mint(market, RESCUER.address, "WETH", 1)
    mint(market, RESCUER.address, "USDC", 5000)
    before = wad(market)

    async def work(rescue: AaveRescue) -> list[str]:
        supplied = await rescued(rescue, Means.SUPPLY, "ETH", "1", RESCUER)
        return supplied + await rescued(rescue, Means.REPAY, "USDC", "5000", RESCUER)

    titles = run(market, work, wallet=RESCUER.address)
    assert titles[1] == "supply 1 ETH for the account's owner"
    assert titles[-1] == "repay 5000 USDC for the account's owner"
    assert wad(market) > before * 3 // 2


def test_repaying_from_the_wallet_of_the_owner(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "USDC", 5000)
    titles = run(market, lambda rescue: rescued(rescue, Means.REPAY, "USDC", "5000"))
    assert titles == ["approve 5000 USDC for the pool", "repay 5000 USDC"]
    assert abs(market.account_data(OWNER.address).debt_base - 10_000 * 10**8) < 10**8


@pytest.mark.parametrize("signer", [OWNER, RESCUER], ids=["owner", "rescue wallet"])
def test_a_full_close_leaves_no_debt_after_interest(market: Market, signer: KeySigner) -> None:
    indebted(market)
    market.lend_out(50)
    market.anvil.skip(86_400)
    mint(market, signer.address, "USDC", 16_000)

    async def work(rescue: AaveRescue) -> list[str]:
        return await rescued(rescue, Means.REPAY, "USDC", "15003", signer, full=True)

    run(market, work, wallet=signer.address)
    assert market.account_data(OWNER.address).debt_base == 0
    assert Decimal("Infinity") == HEALTH[-1]


def test_the_chains_own_coin_is_wrapped_and_supplied(market: Market) -> None:
    indebted(market)
    before = wad(market)
    titles = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "1.5", native=True))
    assert titles == ["wrap 1.5 ETH", "approve 1.5 ETH for the pool", "supply 1.5 ETH"]
    assert wad(market) > before


def test_collateral_that_was_disabled_is_enabled_after_supplying(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WBTC", "0.2")
    market.supply(OWNER.address, "WBTC", market.units("WBTC", "0.1"))
    market.set_collateral(OWNER.address, "WBTC", False)
    approve(market, OWNER.address, "WBTC", 0)
    before = wad(market)
    titles = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "WBTC", "0.2"))
    assert titles[-1] == "use WBTC as collateral"
    assert wad(market) > before
