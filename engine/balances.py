"""Gross values of an account at its trigger prices: collateral, debt, equity, leverage."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Kind
from engine.record import record
from engine.solvency import ZERO
from engine.triggers import coin_price, face_or_market_value, position_price


@record
class Balances:
    """Values in quote currency; `None` with a reason in `missing` where a price is lacking.

    `collateral_value`: gross for loans, equity for perps, long market value plus positive cash for brokers.
    `debt_value`: borrowed coins for perps, `None` where they owe margin alone; borrowed cash plus short market value
    for brokers. `equity` counts coins in full, without the venue's haircuts. `leverage`: collateral over equity (loan,
    broker), notional over equity (perp); `None` without positive equity. `capital_efficiency`: debt over what max_ltv
    allows (loan), margin used by positions and locked in open orders over equity (perp).
    """

    collateral_value: Decimal | None = None
    debt_value: Decimal | None = None
    equity: Decimal | None = None
    leverage: Decimal | None = None
    capital_efficiency: Decimal | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


def balances(account: Account, prices: Mapping[str, Decimal], lacking: Mapping[str, str]) -> Balances:
    """Return the gross values of `account`; `lacking` says by asset why a price is not in `prices`."""
    match account.kind:
        case Kind.LOAN:
            return _loan(account, prices, lacking)
        case Kind.PERP:
            return _perp(account, prices, lacking)
        case Kind.BROKER:
            return _broker(account, prices, lacking)


def _lack(assets: Mapping[str, str], legs: tuple[str, ...]) -> str:
    return next((assets[asset] for asset in legs if asset in assets), "")


def _over_equity(value: Decimal, equity: Decimal, field_name: str, missing: dict[str, str]) -> Decimal | None:
    if equity > 0:
        return value / equity
    missing[field_name] = "equity is not positive"
    return None


def _loan(account: Account, prices: Mapping[str, Decimal], lacking: Mapping[str, str]) -> Balances:
    held = tuple(leg for leg in account.collateral if leg.amount)
    owed = tuple(leg for leg in account.debt if leg.amount)
    no_collateral = _lack(lacking, tuple(leg.asset for leg in held))
    no_debt = _lack(lacking, tuple(leg.asset for leg in owed))
    missing: dict[str, str] = {}
    collateral_value = None if no_collateral else sum((leg.amount * prices[leg.asset] for leg in held), ZERO)
    debt_value = None if no_debt else sum((leg.amount * prices[leg.asset] for leg in owed), ZERO)
    if collateral_value is None:
        missing["collateral_value"] = no_collateral
    if debt_value is None:
        missing["debt_value"] = no_debt
    if collateral_value is None or debt_value is None:
        why = no_collateral or no_debt
        missing.update(equity=why, leverage=why, capital_efficiency=why)
        return Balances(collateral_value, debt_value, missing=missing)
    equity = collateral_value - debt_value
    leverage = _over_equity(collateral_value, equity, "leverage", missing)
    efficiency: Decimal | None = ZERO
    if debt_value:
        counted = [leg for leg in held if leg.liquidation_threshold]
        unknown = [leg.asset for leg in counted if leg.max_ltv is None]
        allowed = sum((leg.amount * prices[leg.asset] * (leg.max_ltv or ZERO) for leg in counted), ZERO)
        efficiency = None if unknown or not allowed else debt_value / allowed
        if efficiency is None:
            why = f"max_ltv of {', '.join(unknown)} unknown" if unknown else "max_ltv allows no debt"
            missing["capital_efficiency"] = why
    return Balances(collateral_value, debt_value, equity, leverage, efficiency, missing)


def _perp(account: Account, prices: Mapping[str, Decimal], lacking: Mapping[str, str]) -> Balances:
    open_positions = tuple(position for position in account.positions if position.quantity)
    held = tuple(leg for leg in account.collateral if leg.amount)
    owed = tuple(leg for leg in account.debt if leg.amount)
    missing: dict[str, str] = {}
    coins = (*(leg.asset for leg in held), *(leg.asset for leg in owed))
    why = _lack(lacking, (*(position.asset for position in open_positions), *coins))
    equity, notional = account.balance, ZERO
    margin_used: Decimal | None = ZERO if account.order_margin is None else account.order_margin
    for position in open_positions:
        if why:
            break
        if position.entry_price is None:
            why = f"no entry price of {position.asset}"
            break
        price = position_price(account, position, prices)
        equity += position.quantity * (price - position.entry_price)
        notional += abs(face_or_market_value(position, price))
        if position.margin_used is None:
            margin_used = None
            missing["capital_efficiency"] = f"margin used by {position.asset} unknown"
        elif margin_used is not None:
            margin_used += position.margin_used
    if why:
        fields = ("collateral_value", "equity", "leverage", "capital_efficiency", *(("debt_value",) if owed else ()))
        return Balances(missing=dict.fromkeys(fields, why))
    debt_value: Decimal | None = None
    if owed:
        debt_value = sum((leg.amount * coin_price(account, leg.asset, prices) for leg in owed), ZERO)
        equity -= debt_value
    for leg in held:
        equity += leg.amount * coin_price(account, leg.asset, prices)
    leverage = _over_equity(notional, equity, "leverage", missing)
    efficiency = None if margin_used is None else _over_equity(margin_used, equity, "capital_efficiency", missing)
    return Balances(equity, debt_value, equity, leverage, efficiency, missing)


def _broker(account: Account, prices: Mapping[str, Decimal], lacking: Mapping[str, str]) -> Balances:
    why = _lack(lacking, tuple(position.asset for position in account.positions if position.quantity))
    if why:
        fields = ("collateral_value", "debt_value", "equity", "leverage", "capital_efficiency")
        return Balances(missing=dict.fromkeys(fields, why))
    missing: dict[str, str] = {}
    long_value, short_value = max(account.balance, ZERO), max(-account.balance, ZERO)
    for position in account.positions:
        if position.quantity > 0:
            long_value += position.quantity * prices[position.asset]
        elif position.quantity:
            short_value -= position.quantity * prices[position.asset]
    equity = long_value - short_value
    return Balances(
        long_value, short_value, equity, _over_equity(long_value, equity, "leverage", missing), None, missing
    )
