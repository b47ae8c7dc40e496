"""What a wallet could do for an account: balances, allowances, reserves' state and fees, from one block."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from engine.aave import AaveHolding, AaveUser, legs
from engine.aave_math import AaveVersion, mul_div_ceil
from engine.record import record
from engine.rescue import Facility, Funds, Means, Standing, Tariff
from providers.errors import Malformed
from providers.evm.aave_account import fraction_of_bps, tokens
from providers.evm.aave_market import Listed, MarketContracts
from providers.evm.aave_wire import ReserveWire, parse_price, parse_reserve
from providers.evm.abi import MULTICALL3, AbiError, encode_call, uint, words
from providers.evm.address import shortened
from providers.evm.multicall import Call
from providers.evm.rescue.calls import call
from providers.evm.rescue.fees import Fees
from providers.evm.rescue.ground import Ground
from providers.evm.rpc import quantity

RAY = 10**27
FROZEN_BIT, ACCRUED_WORD = 57, 12
CALLS_PER_RESERVE = 6
DATA_SIZES: dict[Means, tuple[int, ...]] = {Means.SUPPLY: (130, 200, 400), Means.REPAY: (130, 200, 270)}
"""Bytes of the unsigned transactions of a whole rescue, wrapping and approval included."""
GAS: dict[Means, int] = {Means.SUPPLY: 420_000, Means.REPAY: 400_000, Means.DELEVERAGE: 1_200_000}
"""Gas of a whole rescue, wrapping and approval included, above what v3.0 to v3.6 take; limits are simulated."""


@record
class ReserveFunds:
    """One reserve as the wallet finds it. Amounts in the token's smallest unit; `total_supplied` is the aToken's."""

    listed: Listed
    wire: ReserveWire
    price: int | None
    balance: int
    allowance: int
    total_supplied: int
    accrued: int
    owner_scaled: int

    @property
    def is_frozen(self) -> bool:
        """Return bit 57: nothing new may be supplied or borrowed, repaying goes on."""
        return self.wire.configuration >> FROZEN_BIT & 1 == 1

    @property
    def room(self) -> int | None:
        """Return how much more may be supplied, `None` without a cap (bits 116-151, whole tokens)."""
        cap = self.wire.configuration >> 116 & (1 << 36) - 1
        if cap == 0:
            return None
        treasury = mul_div_ceil(self.accrued, self.wire.liquidity_index_ray, RAY)
        unit: int = 10**self.wire.decimals
        return max(cap * unit - self.total_supplied - treasury, 0)


async def standing(ground: Ground, account: str, clock_ns: int) -> Standing:
    """Return funds, facilities, fees and problems of one block, read at `clock_ns`; raises `ProviderError`."""
    contracts = await ground.contracts()
    fees = await ground.fees()
    data_fees = {means: await ground.data_fee(sizes) for means, sizes in DATA_SIZES.items()}
    reserves = list(contracts.reserves.values())
    calls = [(MULTICALL3, call("getEthBalance(address)", ground.wallet))]
    for one in reserves:
        calls += _questions(ground, contracts.pool, contracts.oracle, one)
    got = await ground.market.read(ground.owner, scan=True, extra=calls)
    try:
        found = [
            _funds_of(one, got.extra[1 + i * CALLS_PER_RESERVE : 1 + (i + 1) * CALLS_PER_RESERVE])
            for i, one in enumerate(reserves)
        ]
        native_wei = await _native(ground) if got.extra[0] is None else uint(got.extra[0], 128)
    except AbiError as error:
        raise Malformed(ground.venue, f"a contract answered {error}") from error
    price = next((one.price for one in found if one.listed.token == ground.wrapped), None)
    return Standing(
        account=account,
        read_at_ns=clock_ns,
        facilities=tuple(facility for one in found for facility in _facilities(ground, contracts, got.user, one)),
        funds=tuple(_all_funds(ground, got.user, found, native_wei)),
        tariffs=_tariffs(fees, data_fees, None if price is None else tokens(price, 0) / contracts.base_unit),
        gas_balance=tokens(native_wei, 18),
        signer=ground.wallet if ground.can_sign else "",
        block_number=got.block,
        problems=await _problems(ground),
    )


def counting(user: AaveUser, holding: AaveHolding) -> tuple[bool, bool, int]:
    """Return whether more supply raises health by itself, whether once its owner enables it, its threshold in bps.

    The first supply of a reserve enables it unless its LTV is 0, it has a debt ceiling, or the user is in isolation
    mode (`validateAutomaticUseAsCollateral`, 3.0.2 to 3.6); later the owner must, under the same conditions but that
    an asset with a debt ceiling may be the only collateral (`validateUseAsCollateral`).
    """
    leg = legs(replace(user, holdings=(replace(holding, is_collateral=True),)))[0]
    threshold = leg.liquidation_threshold_bps if leg.counts else 0
    ceiling = holding.reserve.debt_ceiling if user.version < AaveVersion.V3_7 else 0
    is_first_collateral = not any(one.is_collateral for one in user.holdings)
    may_enable = leg.ltv_bps != 0 and (is_first_collateral or (not user.is_isolated and ceiling == 0))
    by_itself = holding.is_collateral or (holding.scaled_supply == 0 and may_enable and ceiling == 0)
    return threshold != 0 and by_itself, threshold != 0 and not by_itself and may_enable, threshold


def holding_of(user: AaveUser, one: ReserveFunds) -> AaveHolding:
    """Return what the user has in a reserve, an empty holding where that is nothing."""
    for holding in user.holdings:
        if holding.reserve.reserve_id == one.wire.reserve_id:
            return holding
    reserve = one.wire.reserve(one.listed.asset, one.price or 1)
    return AaveHolding(reserve, scaled_supply=one.owner_scaled)


def _questions(ground: Ground, pool: str, oracle: str, listed: Listed) -> list[Call]:
    token, a_token = listed.token, listed.wire.a_token
    return [
        (pool, call("getReserveData(address)", token)),
        (oracle, call("getAssetPrice(address)", token)),
        (token, call("balanceOf(address)", ground.wallet)),
        (token, call("allowance(address,address)", ground.wallet, pool)),
        (a_token, call("totalSupply()")),
        (a_token, encode_call("scaledBalanceOf(address)", ground.owner)),
    ]


def _funds_of(listed: Listed, answers: Sequence[bytes | None]) -> ReserveFunds:
    data, price, balance, allowance, supplied, scaled = answers
    if data is None:
        raise AbiError(f"nothing about {listed.asset}")
    priced: int | None = None
    if price is not None and uint(price):
        priced = parse_price(price)
    return ReserveFunds(
        listed=listed,
        wire=parse_reserve(data),
        price=priced,
        balance=0 if balance is None else uint(balance),
        allowance=0 if allowance is None else uint(allowance),
        total_supplied=0 if supplied is None else uint(supplied),
        accrued=words(data, 15)[ACCRUED_WORD],
        owner_scaled=0 if scaled is None else uint(scaled),
    )


def _facilities(ground: Ground, contracts: MarketContracts, user: AaveUser, one: ReserveFunds) -> list[Facility]:
    """Return one facility per means: a frozen reserve refuses supply and still takes repayments."""
    holding = holding_of(user, one)
    reserve, decimals = holding.reserve, one.wire.decimals
    counts, needs_enabling, threshold = counting(user, holding)
    refused = "the reserve is inactive" if not reserve.is_active else ""
    if reserve.is_paused:
        refused = "the reserve is paused"
    room = one.room
    common = Facility(
        asset=one.listed.asset,
        means=frozenset(),
        token=one.listed.token,
        decimals=decimals,
        has_permit=ground.permit_domain(one.listed.token) is not None,
        refused=refused,
        liquidation_threshold=fraction_of_bps(threshold),
        price=None if one.price is None else tokens(one.price, 0) / contracts.base_unit,
    )
    found = []
    if holding.scaled_supply or one.balance or (one.listed.token == ground.wrapped):
        found.append(
            replace(
                common,
                means=frozenset({Means.SUPPLY}),
                room=None if room is None else tokens(room, decimals),
                counts=counts,
                needs_enabling=needs_enabling,
                refused=refused or ("the reserve is frozen" if one.is_frozen else ""),
            )
        )
    if holding.is_borrowing:
        only_stable = not holding.scaled_debt and holding.stable_debt
        stable = "its debt is at a stable rate, which this program does not repay" if only_stable else ""
        found.append(replace(common, means=frozenset({Means.REPAY}), refused=refused or stable))
    return found


def _all_funds(ground: Ground, user: AaveUser, found: Sequence[ReserveFunds], native_wei: int) -> list[Funds]:
    """Return what the wallet holds of every asset of the account and of every other reserve, native coin last."""
    kind = "wallet" if ground.is_owner else "rescue"
    source = f"{kind} {shortened(ground.wallet)}"
    ours = frozenset(holding.reserve.reserve_id for holding in user.holdings)
    funds = []
    for one in found:
        decimals = one.wire.decimals
        allowance = tokens(one.allowance, decimals)
        shown = Funds(
            one.listed.asset,
            tokens(one.balance, decimals),
            source,
            owner=ground.wallet,
            allowance=allowance,
            is_owner=ground.is_owner,
        )
        if one.balance or one.wire.reserve_id in ours:
            funds.append(shown)
        if one.listed.token == ground.wrapped:
            native = f"{source}, {ground.native} to be wrapped"
            funds.append(replace(shown, amount=tokens(native_wei, 18), source=native, is_native=True))
    return sorted(funds, key=lambda one: one.is_native)


def _tariffs(fees: Fees, data_fees: Mapping[Means, int | None], native_price: Decimal | None) -> dict[Means, Tariff]:
    """Return what each means costs: likely in money, at most in gas coin; steps land one block after another.

    Where data is charged for, twice its fee of now must be there; a fee for data that nobody tells makes the cost
    unknown.
    """
    landing = fees.time_to_land_s
    tariffs = {}
    for means, gas in GAS.items():
        data_fee = data_fees.get(means, 0)
        cost = None
        if native_price is not None and data_fee is not None:
            cost = tokens(gas * fees.expected + data_fee, 18) * native_price
        needed = gas * fees.max_fee + 2 * (data_fee or 0)
        tariffs[means] = Tariff(cost, None if landing is None else 2 * landing, tokens(needed, 18))
    return tariffs


async def _problems(ground: Ground) -> tuple[str, ...]:
    latest, pending = await ground.rpc.request(
        [("eth_getTransactionCount", [ground.wallet, tag]) for tag in ("latest", "pending")]
    )
    mined = quantity(ground.venue, "eth_getTransactionCount", latest)
    if quantity(ground.venue, "eth_getTransactionCount", pending) > mined:
        return (f"transaction {mined} of {shortened(ground.wallet)} is still pending; ours would wait behind it",)
    return ()


async def _native(ground: Ground) -> int:
    answer = (await ground.rpc.request([("eth_getBalance", [ground.wallet, "latest"])]))[0]
    return quantity(ground.venue, "eth_getBalance", answer)
