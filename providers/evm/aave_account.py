"""Turns an Aave user as read from one block into the domain's `Account`."""

from collections.abc import Mapping
from decimal import Context, Decimal

from engine.aave import NO_DEBT, AaveAccountData, AaveLeg, AaveUser, account_data
from engine.aave_ledger import AaveLedger
from engine.accounts import Account, Collateral, Debt, Kind, VenueReport
from engine.prices import OraclePrice
from providers.text import inert

WIDE = Context(prec=78)
RATE_DIGITS = Decimal("1e-12")


def account(
    name: str,
    user: AaveUser,
    reported: AaveAccountData,
    oracles: Mapping[str, OraclePrice],
    *,
    provider: str,
    chain_id: int,
    venue: str,
    note: str = "",
    degraded: tuple[str, ...] = (),
) -> Account:
    """Return the account with balances at the block's timestamp and weights in force.

    Rates are annual fractions, continuously compounded: the debt index compounds every second at the variable rate, so
    that rate is it; the supply index grows linearly between two touches of the reserve, so a rate r gives at least
    ln(1 + r), which is what is stated. When our arithmetic and the contract's health factor differ, the contract's
    stands and the account is degraded.
    """
    ledger = AaveLedger(user, reported.health_factor_wad)
    ours = account_data(user).health_factor_wad
    if ours != reported.health_factor_wad:
        degraded = (*degraded, _differs(ours, reported.health_factor_wad))
    return Account(
        name=name,
        kind=Kind.LOAN,
        provider=provider,
        chain_id=chain_id,
        collateral=tuple(_collateral(leg) for leg in ledger.legs if leg.supplied),
        debt=tuple(_debt(leg) for leg in ledger.legs if leg.owed),
        oracles=oracles,
        ledger=ledger,
        reported=VenueReport(health_factor=_wad(reported.health_factor_wad)),
        close_factor=ledger.close_factor(),
        degraded=degraded,
        venue=venue,
        note="; ".join(part for part in (note, _mode(user)) if part),
    )


def tokens(amount: int, decimals: int) -> Decimal:
    """Return a raw token amount in whole tokens, exactly."""
    return WIDE.scaleb(Decimal(amount), -decimals)


def fraction_of_bps(bps: int) -> Decimal:
    """Return basis points as a fraction."""
    return WIDE.scaleb(Decimal(bps), -4)


def _collateral(leg: AaveLeg) -> Collateral:
    reserve = leg.reserve
    apr = WIDE.scaleb(Decimal(reserve.liquidity_rate_ray), -27)
    return Collateral(
        asset=reserve.asset,
        amount=tokens(leg.supplied, reserve.decimals),
        liquidation_threshold=fraction_of_bps(leg.liquidation_threshold_bps) if leg.counts else Decimal(0),
        max_ltv=fraction_of_bps(leg.ltv_bps) if leg.counts else Decimal(0),
        supply_rate=_rate((1 + apr).ln()),
        liquidation_bonus=fraction_of_bps(leg.liquidation_bonus_bps) - 1 if leg.liquidation_bonus_bps else None,
    )


def _debt(leg: AaveLeg) -> Debt:
    rate = _rate(WIDE.scaleb(Decimal(leg.reserve.variable_borrow_rate_ray), -27))
    return Debt(leg.reserve.asset, tokens(leg.owed, leg.reserve.decimals), rate)


def _rate(value: Decimal) -> Decimal:
    return value.quantize(RATE_DIGITS, context=WIDE) if value else Decimal(0)


def _wad(value: int) -> Decimal | None:
    return None if value == NO_DEBT else WIDE.scaleb(Decimal(value), -18)


def _differs(ours: int, contract: int) -> str:
    said = ["none" if value == NO_DEBT else str(_wad(value)) for value in (ours, contract)]
    return f"health factor computed as {said[0]}, the contract says {said[1]}; prices of liquidation are estimates"


def _mode(user: AaveUser) -> str:
    parts = [f"Aave {user.version.label} arithmetic"]
    if user.emode is not None and user.emode.category:
        label = inert(user.emode.label, 24)
        parts.append(f"eMode {user.emode.category}{f' {label}' if label else ''}")
    if user.is_isolated:
        parts.append("isolation mode")
    return ", ".join(parts)
