"""Every way of hedging one account to one price: options, an opposite perp, repaying, adding, reducing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

from engine.accounts import Account, Collateral, Kind, Position
from engine.hedge_case import Comparison, Hedge, Part, Protection
from engine.hedge_options import DOLLARS, options
from engine.hedge_words import beyond, figure, line_of, percent, perp_cannot
from engine.plan_lever import Lever
from engine.plan_moves import reduced, repaid, supplied
from engine.rescue import Facility, Means
from engine.shocks import FOLLOWS
from engine.solvency import ZERO
from engine.threat import Threat

MAINTENANCE = Decimal("0.01")
"""What an opposite perp's own venue is taken to ask of its notional."""
_UNIT = Decimal("1e-8")


def ways(made: Comparison, account: Account, wish: Protection, now_ns: int, parts: Sequence[Part]) -> Comparison:
    """Return the comparison with its ways: options, cheapest first, a perp, then what the account itself can do."""
    threat, protected = made.threat, made.protected_to
    if threat is None or protected is None:
        return made
    if not made.missing:
        where = f"stands at {figure(protected)} without a hedge; its line is at {line_of(threat)}"
        return replace(made, because=where)
    if account.quote not in DOLLARS:
        reason = f"the account is valued in {account.quote}, options and perps in dollars"
        return replace(made, because=reason)
    found = [
        *_whole([row for part in parts for row in options(part, account, wish, now_ns)]),
        *(_perp(part, account, wish) for part in parts),
        *_own_means(threat, protected, account),
    ]
    return replace(made, hedges=tuple(found))


def _whole(rows: list[Hedge]) -> list[Hedge]:
    """Return the rows of options, those of a basket that lacks one saying that they are no hedge without it."""
    lacking = [row.asset for row in rows if row.quantity is None and row.share < 1]
    warning = f"without an option on {', '.join(lacking)} it is no hedge: the others do not pay for that share"
    return [replace(row, cannot=(warning, *row.cannot)) if lacking and row.cannot else row for row in rows]


def _perp(part: Part, account: Account, wish: Protection) -> Hedge:
    """Return the perp whose gain from now on holds the account, with a margin that outlives the mirror move."""
    threat, protected = part.threat, part.protected
    quantity = threat.quantity(threat.price, protected) * part.share
    mirror = threat.price * threat.price / protected
    margin = quantity * (abs(mirror - threat.price) + MAINTENANCE * mirror)
    rate, said = _funding(threat, account, wish)
    notional = quantity * threat.price
    paid = None if rate is None else notional * (-rate if threat.falls else rate)
    name = f"{threat.underlying} perp {'short' if threat.falls else 'long'}"
    room = f"{figure(margin)} of margin carry it to {figure(mirror)} ({figure(notional / margin)}x leverage): {said}"
    return Hedge(
        "perp",
        name,
        threat.underlying,
        quantity,
        money=margin,
        protected_to=protected,
        cost_per_year=paid,
        cannot=perp_cannot(account, threat, protected, room),
        share=part.share,
        margin=margin,
        liquidation_price=mirror,
    )


def _funding(threat: Threat, account: Account, wish: Protection) -> tuple[Decimal | None, str]:
    """Return the annual rate that a long pays, and in words what is known of it."""
    if wish.funding is not None:
        return wish.funding, f"funding as asked, {percent(wish.funding)} a year paid by a long; it can turn"
    for each in account.positions if account.kind is Kind.PERP else ():
        if FOLLOWS.get(each.asset, each.asset) == threat.underlying and each.funding_rate is not None:
            return (
                each.funding_rate,
                f"funding of this account's venue, {percent(each.funding_rate)} a year; it can turn",
            )
    return None, "its funding is not known; write --funding 8% for what a long pays a year"


def _own_means(threat: Threat, protected: Decimal, account: Account) -> list[Hedge]:
    """Return what the account itself can do to stand at the protected price: repay, add, reduce."""
    found: list[Hedge] = []
    if account.kind is Kind.LOAN:
        owed = [leg for leg in account.debt if leg.amount]
        if owed:
            debt = max(owed, key=lambda leg: leg.amount * threat.known[leg.asset])
            found.append(_repay(threat, protected, account, debt.asset, debt.amount, debt.borrow_rate))
    elif account.kind is Kind.BROKER or account.balance or not account.collateral:
        means = Means.DEPOSIT if account.kind is Kind.BROKER else Means.ADD_MARGIN
        found.append(_pay_in(threat, protected, account, means))
    found += [_supply(threat, protected, account, leg) for leg in _collaterals(threat, account)]
    if account.kind is not Kind.LOAN:
        held = [
            each
            for each in account.positions
            if each.asset in threat.moving and each.quantity and (each.quantity > 0) is threat.falls
        ]
        if held:
            largest = max(held, key=lambda each: abs(each.quantity) * threat.known[each.asset])
            found.append(_reduce(threat, protected, account, largest))
    return found


def _collaterals(threat: Threat, account: Account) -> list[Collateral]:
    """Return the largest collateral that counts and, where it goes with the move, the largest that stays."""
    counted = [leg for leg in account.collateral if leg.amount and leg.liquidation_threshold]
    by_value = sorted(counted, key=lambda leg: -leg.amount * threat.known[leg.asset])
    resting = [leg for leg in by_value if leg.asset not in threat.moving]
    return list({leg.asset: leg for leg in (*by_value[:1], *resting[:1])}.values())


def _repay(
    threat: Threat, protected: Decimal, account: Account, asset: str, owed: Decimal, rate: Decimal | None
) -> Hedge:
    amount = least(threat, protected, lambda tokens: repaid(account, asset, tokens), owed)
    if amount is None:
        because = f"repaying all {asset} does not bring it to {figure(protected)}; other debts or lines remain"
        return Hedge(Means.REPAY.value, asset, asset, None, because=because)
    value = amount * threat.known[asset]
    return Hedge(
        Means.REPAY.value,
        asset,
        asset,
        amount,
        money=value,
        protected_to=protected,
        cost_per_year=None if rate is None else -rate * value,
        cannot=("it takes the money now, and the position with it stays smaller", beyond(threat, protected)),
    )


def _supply(threat: Threat, protected: Decimal, account: Account, leg: Collateral) -> Hedge:
    asset = leg.asset
    lever = Lever(Means.SUPPLY, Facility(asset, frozenset({Means.SUPPLY})), threat.known[asset])
    amount = least(threat, protected, lambda tokens: supplied(account, lever, tokens), None)
    if amount is None:
        because = f"no amount of {asset} brings it to {figure(protected)}"
        return Hedge(Means.SUPPLY.value, asset, asset, None, because=because)
    value = amount * threat.known[asset]
    falls = f"{asset} loses with the move: more of it is lost the further it goes"
    cannot = [falls] if asset in threat.moving else []
    cannot += [
        f"only {percent(leg.liquidation_threshold)} of it counts, and all of it can be seized",
        "it is tied up until the debt is smaller; caps and freezes of the protocol are not looked at here: see plan",
        beyond(threat, protected),
    ]
    return Hedge(
        Means.SUPPLY.value,
        asset,
        asset,
        amount,
        money=value,
        protected_to=protected,
        cost_per_year=None if leg.supply_rate is None else -leg.supply_rate * value,
        cannot=tuple(cannot),
    )


def _pay_in(threat: Threat, protected: Decimal, account: Account, means: Means) -> Hedge:
    amount = least(threat, protected, lambda money: replace(account, balance=account.balance + money), None)
    return Hedge(
        means.value,
        account.quote,
        account.quote,
        amount,
        money=amount,
        protected_to=None if amount is None else protected,
        cannot=("it is tied up, and lost with the position beyond the protected price", beyond(threat, protected)),
    )


def _reduce(threat: Threat, protected: Decimal, account: Account, held: Position) -> Hedge:
    facility = Facility(held.asset, frozenset({Means.REDUCE}))
    lever = Lever(Means.REDUCE, facility, threat.known[held.asset], held=held)
    amount = least(threat, protected, lambda closed: reduced(account, lever, closed, threat.known), abs(held.quantity))
    name = held.contract or held.asset
    if amount is None:
        because = f"closing all of {name} does not bring it to {figure(protected)}"
        return Hedge(Means.REDUCE.value, name, held.asset, None, because=because)
    return Hedge(
        Means.REDUCE.value,
        name,
        held.asset,
        amount,
        money=ZERO,
        protected_to=protected,
        cannot=(
            "what is closed gains nothing when the price turns back; fees and slippage are not counted",
            beyond(threat, protected),
        ),
    )


def least(
    threat: Threat, protected: Decimal, change: Callable[[Decimal], Account], most: Decimal | None
) -> Decimal | None:
    """Return the least amount, to 1e-8, with which the changed account stands to `protected`; `None` if none does."""

    def stands(units: int) -> bool:
        return not threat.after(change(units * _UNIT)).missing(protected)

    high = 1 if most is None else int((most / _UNIT).to_integral_value(ROUND_CEILING))
    for _ in range(140 if most is None else 0):
        if stands(high):
            break
        high *= 2
    if not stands(high):
        return None
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if stands(middle) else (middle, high)
    return high * _UNIT if most is None else min(high * _UNIT, most)
