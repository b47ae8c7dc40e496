"""An indebted owner on the lab's markets, signers that count, and one whole rescue as the desk carries it out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TypeVar

from eth_account import Account as Keys

from engine.accounts import Account, Kind
from engine.rescue import Facility, HealthPath, Means, Option, Standing
from providers.evm.rescue.writer import AaveRescue, make
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Signed, Step
from tests.chain.market import Market

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


@dataclass(frozen=True, slots=True)
class Done:
    """The titles of the steps that were mined, and the health that their simulation promised."""

    titles: list[str]
    health: Decimal


async def rescued(
    rescue: AaveRescue, means: Means, asset: str, amount: str, signer: KeySigner = OWNER, **kind: bool
) -> Done:
    """Carry out one whole rescue; `kind` is `native` or `full`."""
    steps = await planned(rescue, means, asset, amount, **kind)
    simulated = await rescue.simulate(ACCOUNT, steps)
    assert simulated.refused == ""
    assert simulated.health_factor is not None
    found = await executed(rescue, steps, signer)
    assert [one.fate for one in found] == [Fate.CONFIRMED] * len(steps), found
    return Done([step.title for step in steps], simulated.health_factor)


async def planned(rescue: AaveRescue, means: Means, asset: str, amount: str, **kind: bool) -> Sequence[Step]:
    """Return the prepared steps of one option of the present standing."""
    standing = await rescue.standing(ACCOUNT)
    return await rescue.prepare(ACCOUNT, option(standing, means, asset, amount, **kind))


def wad(market: Market) -> int:
    return market.account_data(OWNER.address).health_factor_wad
