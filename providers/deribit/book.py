"""Deribit logins as accounts: one for each currency when they are segregated, one for all when they back each other.

Formulas: docs.deribit.com and its margin pages (read 2026-11). An account is liquidated when its margin balance falls
below its maintenance margin. What backs it is coins, which move with their price: the wallet is what is left of the
margin balance without unrealised profit, so that both together are the venue's figure at its own marks.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

from engine.accounts import Account, Collateral, Debt, MarginMode, VenueReport
from engine.accounts import Kind as AccountKind
from engine.prices import OraclePrice
from providers.deribit.legs import (
    DOLLARS,
    ONE,
    ZERO,
    Legs,
    Picture,
    coin_price,
    directions_of,
    legs_of,
    times,
    with_requirement,
)
from providers.deribit.signing import VENUE
from providers.deribit.wire import Held, MarginModel, Summary

_TOLERANCE = Decimal("0.02")


class _Why(StrEnum):
    """What makes distances estimates."""

    RATES = "the venue tells no margin tiers: each requirement is held at today's share of its position"
    OPTIONS = "options count as their net delta, their requirement is held at today's amount"
    SCAN = "portfolio margin: the venue's scan is held at today's amount"
    HAIRCUTS = "haircuts of the collateral are held at today's amount"


def accounts(name: str, picture: Picture) -> tuple[Account, ...]:
    """Return the accounts of one login: `name:CURRENCY` each when segregated, `name` when all back all."""
    if picture.model.is_cross:
        return (_cross(name, picture),)
    used = {held.name.currency for held in picture.held}
    currencies = [one for one, summary in picture.summaries.items() if one in used or not summary.is_empty]
    found = [_segregated(name, picture, one) for one in currencies]
    for currency in sorted(used - picture.summaries.keys()):
        found.append(_unexplained(f"{name}:{currency}", picture, currency))
    return tuple(found) or (Account(name, AccountKind.PERP, VENUE, mode=MarginMode.CROSS, venue=VENUE),)


def marks(found: Sequence[Account], at_ns: int) -> dict[str, OraclePrice]:
    """Return the mark price of every asset that a future is held in."""
    prices: dict[str, OraclePrice] = {}
    for account in found:
        for held in account.positions:
            if held.mark_price is not None:
                prices.setdefault(held.asset, OraclePrice(held.mark_price, at_ns, at_ns, source=f"{VENUE} mark"))
    return prices


def _segregated(name: str, picture: Picture, currency: str) -> Account:
    summary, degraded = picture.summaries[currency], list(picture.degraded)
    held = [each for each in picture.held if each.name.currency == currency]
    is_coin = currency not in DOLLARS
    price = coin_price(picture, currency, held, now=False) if is_coin else ONE
    if price is None:
        degraded.append(f"no price of {currency}: liquidation unknown")
    legs = legs_of(picture, summary.model, held, price or ONE, degraded)
    balance = summary.margin_balance
    if balance is None:
        degraded.append(f"margin balance in {currency} not reported: liquidation unknown")
    required = summary.maintenance_margin
    if required is None and held:
        degraded.append(f"maintenance margin in {currency} not reported: liquidation unknown")
    # In the standard model the value of options is no margin; in the portfolio model it is, and moves as their delta.
    worth = (summary.options_value or ZERO) if summary.model.is_portfolio else ZERO
    wallet = (balance or ZERO) - legs.profit - worth
    knows = balance is not None and price is not None and legs.is_known
    positions, extra = with_requirement(legs, summary.model, required, price or ONE, knows=knows)
    report = VenueReport(
        equity=times(balance, price),
        maintenance_requirement=times(required, price),
        status="",
        directions=directions_of(summary),
        tolerance=picture.tolerance(held, balance, _TOLERANCE),
    )
    return Account(
        f"{name}:{currency}",
        AccountKind.PERP,
        VENUE,
        mode=_mode(summary.model),
        quote="USD" if is_coin else currency,
        collateral=(Collateral(currency, wallet, ONE),) if is_coin and wallet > 0 else (),
        debt=(Debt(currency, -wallet),) if is_coin and wallet < 0 else (),
        balance=(ZERO if is_coin else wallet) + (worth + legs.profit) * (price or ONE) - legs.counted,
        positions=positions,
        oracles=_oracle(picture, currency, held) if is_coin else {},
        reported=report,
        degraded=tuple(dict.fromkeys((*degraded, *_unknown_model(summary.model)))),
        venue=f"{VENUE} {currency}",
        note=_note(summary.model),
        extra_requirement=extra,
        order_margin=times(legs.order_margin, price),
        initial_requirement=times(summary.initial_margin, price),
        trigger="mark",
        estimated=_estimated(legs, summary.model),
    )


def _cross(name: str, picture: Picture) -> Account:
    """Build the one account of all currencies; its balance closes the gap to the total that the venue reports.

    That gap is haircuts and the value of options: both are constant until the next reading.
    """
    model, degraded = picture.model, list(picture.degraded)
    total = _first(each.total_margin_balance for each in picture.summaries.values())
    required = _first(each.total_maintenance for each in picture.summaries.values())
    initial = _first(each.total_initial for each in picture.summaries.values())
    if total is None and any(not each.is_empty for each in picture.summaries.values()):
        degraded.append("total margin balance not reported: liquidation unknown")
    if required is None and picture.held:
        degraded.append("total maintenance margin not reported: liquidation unknown")
    collateral, debt, oracles, all_legs = [], [], dict[str, OraclePrice](), []
    explained, drift, order_margin = ZERO, ZERO, None
    for currency in sorted({*picture.summaries, *(held.name.currency for held in picture.held)}):
        held = [each for each in picture.held if each.name.currency == currency]
        summary = picture.summaries.get(currency, Summary(currency, model))
        if summary.is_empty and not held:
            continue
        price = coin_price(picture, currency, held, now=False)
        if price is None:
            degraded.append(f"no price of {currency}: what it is worth is held at today's amount")
            continue
        if summary.equity is None:
            degraded.append(f"equity in {currency} not reported: what it is worth is held at today's amount")
        legs = legs_of(picture, model, held, price, degraded)
        wallet = (summary.equity or ZERO) - (summary.options_value or ZERO) - legs.profit
        all_legs.append((legs, price))
        if wallet > 0:
            collateral.append(Collateral(currency, wallet, ONE))
        elif wallet < 0:
            debt.append(Debt(currency, -wallet))
        oracles |= _oracle(picture, currency, held)
        explained += wallet * price + legs.counted
        drift += picture.moved(held) * price
        if legs.order_margin is not None:
            order_margin = (order_margin or ZERO) + legs.order_margin * price
    merged = Legs(
        tuple(position for legs, _ in all_legs for position in legs.positions),
        ZERO,
        sum((legs.required * price for legs, price in all_legs), ZERO),
        any(legs.has_options for legs, _ in all_legs),
        order_margin,
        all(legs.is_known for legs, _ in all_legs),
    )
    knows = total is not None and merged.is_known
    positions, extra = with_requirement(merged, model, required, ONE, knows=knows)
    summaries = picture.summaries.values()
    directions = {key: value for each in summaries for key, value in directions_of(each).items()}
    return Account(
        name,
        AccountKind.PERP,
        VENUE,
        mode=_mode(model),
        quote="USD",
        collateral=tuple(collateral),
        debt=tuple(debt),
        balance=ZERO if total is None else total - explained,
        positions=positions,
        oracles=oracles,
        reported=VenueReport(
            equity=total,
            maintenance_requirement=required,
            directions=directions,
            tolerance=_TOLERANCE + (abs(drift / total) if total else ZERO),
        ),
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} cross",
        note=_note(model),
        extra_requirement=extra,
        order_margin=order_margin,
        initial_requirement=initial,
        trigger="mark",
        estimated="; ".join(dict.fromkeys((*_estimated(merged, model).split("; "), _Why.HAIRCUTS.value))).strip("; "),
    )


def _first(values: Iterable[Decimal | None]) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def _unexplained(name: str, picture: Picture, currency: str) -> Account:
    """Build the account of positions whose currency the venue did not summarise: known to exist, nothing more."""
    held = [each for each in picture.held if each.name.currency == currency]
    degraded = [*picture.degraded, f"no summary of {currency}: liquidation unknown"]
    legs = legs_of(picture, picture.model, held, ONE, degraded)
    positions, _ = with_requirement(legs, picture.model, None, ONE, knows=False)
    return Account(
        name,
        AccountKind.PERP,
        VENUE,
        mode=_mode(picture.model),
        positions=positions,
        degraded=tuple(dict.fromkeys(degraded)),
        venue=f"{VENUE} {currency}",
        trigger="mark",
    )


def _oracle(picture: Picture, currency: str, held: Sequence[Held]) -> dict[str, OraclePrice]:
    price = coin_price(picture, currency, held, now=True)
    if price is None:
        return {}
    is_mark = any(picture.mark_of(each) == price for each in held)
    return {currency: OraclePrice(price, source=f"{VENUE} {'mark' if is_mark else 'index'}")}


def _mode(model: MarginModel) -> MarginMode:
    return MarginMode.PORTFOLIO if model.is_portfolio else MarginMode.CROSS


def _note(model: MarginModel) -> str:
    return "" if model is MarginModel.UNKNOWN else f"margin model {model.value}"


def _unknown_model(model: MarginModel) -> tuple[str, ...]:
    return ("margin model of a new kind: taken as segregated",) if model is MarginModel.UNKNOWN else ()


def _estimated(legs: Legs, model: MarginModel) -> str:
    if not legs.positions:
        return ""
    first = _Why.SCAN if model.is_portfolio else _Why.RATES
    return "; ".join([first.value, *([_Why.OPTIONS.value] if legs.has_options else [])])
