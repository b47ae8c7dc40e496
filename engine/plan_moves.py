"""What moving something does to an account by the plain formulas of DESIGN 2 and 6: pure, one means at a time."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from engine.accounts import Account, Collateral, Kind, Position
from engine.plan_lever import WIDE, Lever
from engine.solvency import ONE, ZERO
from engine.triggers import coin_price, face_or_market_value, own_mark

YEAR_S = Decimal(31_536_000)


def grown(account: Account, triggers: Mapping[str, Decimal], later_s: int) -> Account:
    """Return `account` with the interest of `later_s` that is against its owner; what it earns is left out."""
    if later_s <= 0:
        return account
    years = Decimal(later_s) / YEAR_S
    debt = account.debt
    if debt:
        debt = tuple(replace(leg, amount=leg.amount * _growth(leg.borrow_rate, years)) for leg in debt)
    if account.kind is Kind.LOAN:
        return replace(account, debt=debt)
    paid = ZERO
    for position in account.positions:
        rate = position.funding_rate or ZERO
        mark = own_mark(account, position) or triggers.get(position.asset, ZERO)
        value = face_or_market_value(position, mark)
        # A broker's fee is on the short side; funding is paid by a long and received by a short.
        paid += (value if account.kind is Kind.PERP else min(value, ZERO) * -1) * rate * years
    if account.kind is Kind.BROKER and account.balance < 0:
        paid -= account.balance * (account.cash_rate or ZERO) * years
    return replace(account, debt=debt, balance=account.balance - max(paid, ZERO))


def _growth(rate: Decimal | None, years: Decimal) -> Decimal:
    """Return at least e^(rate x years) for a small positive exponent, 1 for a rate that is not positive or unknown."""
    x = max((rate or ZERO) * years, ZERO)
    return ONE + x + x * x


def added(account: Account, lever: Lever, units: int) -> Account:
    """Return `account` with money paid in: a coin that backs it goes to its leg, at its weight; the rest is balance.

    A coin that backs nothing but is owed pays that debt, as far as it goes.
    """
    amount = lever.tokens(units)
    if account.kind is Kind.PERP and lever.asset != account.quote:
        backs = any(leg.asset == lever.asset for leg in account.collateral)
        if backs or lever.facility.liquidation_threshold is not None:
            return supplied(account, lever, amount)
        owed = sum((leg.amount for leg in account.debt if leg.asset == lever.asset), ZERO)
        paid = min(owed, amount)
        if paid:
            rest = WIDE.multiply(amount - paid, lever.price)
            return replace(repaid(account, lever.asset, paid), balance=account.balance + rest)
    return replace(account, balance=account.balance + lever.value(units))


def supplied(account: Account, lever: Lever, amount: Decimal) -> Account:
    """Return `account` with `amount` more (less, when negative) of a collateral, which counts from then on."""
    weight = lever.facility.liquidation_threshold
    legs = []
    left = amount
    for leg in account.collateral:
        if leg.asset == lever.asset and left:
            now = max(leg.amount + left, ZERO)
            left -= now - leg.amount
            counted = leg.liquidation_threshold or (weight or ZERO if amount > 0 else ZERO)
            legs.append(replace(leg, amount=now, liquidation_threshold=counted))
        else:
            legs.append(leg)
    if left > 0:
        legs.append(Collateral(lever.asset, left, weight or ZERO))
    return replace(account, collateral=tuple(legs))


def repaid(account: Account, asset: str, amount: Decimal) -> Account:
    """Return `account` with `amount` less owed of `asset`, at most all of it."""
    legs, left = [], amount
    for leg in account.debt:
        paid = min(left, leg.amount) if leg.asset == asset else ZERO
        left -= paid
        legs.append(replace(leg, amount=leg.amount - paid))
    return replace(account, debt=tuple(legs))


def reduced(account: Account, lever: Lever, amount: Decimal, triggers: Mapping[str, Decimal]) -> Account:
    """Return `account` with `amount` of a position closed at its mark, the cost paid on what is closed.

    A linear contract realises into the balance; an inverse one into the coin that backs it, where it has one.
    """
    positions: list[Position] = []
    left = amount
    cash, coins = ZERO, ZERO
    has_coin = any(leg.asset == lever.asset for leg in account.collateral)
    for position in account.positions:
        closed = min(left, abs(position.quantity)) if left and lever.closes(position) else ZERO
        if not closed:
            positions.append(position)
            continue
        left -= closed
        signed = closed if position.quantity > 0 else -closed
        mark = own_mark(account, position) or triggers.get(position.asset, lever.price)
        entry = position.entry_price if account.kind is Kind.PERP and position.entry_price is not None else ZERO
        sold = closed * (position.entry_price or mark if position.inverse else mark)
        gained = signed * (mark - entry) - sold * lever.cost
        if position.inverse and has_coin:
            coins += gained / mark
        else:
            cash += gained
        positions.append(replace(position, quantity=position.quantity - signed))
    left_over = replace(account, balance=account.balance + cash, positions=tuple(positions))
    return _realised(left_over, lever.asset, coins, triggers) if coins else left_over


def _realised(account: Account, asset: str, coins: Decimal, triggers: Mapping[str, Decimal]) -> Account:
    """Return `account` with coins gained or lost; a loss beyond what it holds of the coin is taken off the balance."""
    legs, left = [], coins
    for leg in account.collateral:
        now = max(leg.amount + left, ZERO) if leg.asset == asset and left else leg.amount
        left -= now - leg.amount
        legs.append(replace(leg, amount=now) if now != leg.amount else leg)
    short = left * coin_price(account, asset, triggers) if left else ZERO
    return replace(account, collateral=tuple(legs), balance=account.balance + short)
