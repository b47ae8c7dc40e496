"""What a plan is computed from, and an account after one lever was pulled: pure, exact where the protocol is known.

Loans known by their protocol's integers move in them (`AaveLedger.changed`); every other account moves by the plain
formulas of DESIGN 2 and 6, its interest of the waiting time added.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from engine.aave import AaveReserve
from engine.aave_change import cautious_health_wad
from engine.aave_ledger import AaveLedger
from engine.aave_math import BPS, RAY, WAD, AaveVersion
from engine.accounts import Account, Collateral, Debt, Kind, Position
from engine.market import health_at
from engine.prices import AssetPrice, Consensus
from engine.record import record
from engine.rescue import Facility, Funds, Means, Target
from engine.solvency import ZERO, Exposure, Solvency, solvency_of

WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)
ONE = Decimal(1)
LANDING_S = 120
YEAR_S = Decimal(31_536_000)
# A reserve that the user has nothing in is in no eMode bitmap under this id; its facility tells the weight in force.
_NO_BIT = 4_096


@record
class Case:
    """One account at one moment. `triggers` are the prices that liquidate, `stable` the assets that do not fall.

    `base` is the account now, `later` the same when the rescue has landed: interest has run, nothing else changed.
    `quiet_s` is how much later than its block a chain account is looked at; 0 for every other.
    """

    account: Account
    prices: Mapping[str, AssetPrice]
    consensus_of: Mapping[str, Consensus]
    triggers: Mapping[str, Decimal]
    stable: frozenset[str]
    target: Target
    quiet_s: int = 0

    @property
    def landing_s(self) -> int:
        """Return seconds of interest until the rescue has certainly landed."""
        return self.quiet_s + LANDING_S


@record
class Lever:
    """One thing that can be done: with which asset, out of which funds, and on which leg.

    `price` is in the account's quote currency. `other` is the debt that a deleverage repays, or the position that a
    reduction closes. `cost` is the fraction of what is sold that is lost on the way.
    """

    means: Means
    facility: Facility
    price: Decimal
    funds: Funds | None = None
    other: str = ""
    other_decimals: int = 18
    cost: Decimal = ZERO

    @property
    def asset(self) -> str:
        """Return the asset that is moved."""
        return self.facility.asset

    def tokens(self, units: int) -> Decimal:
        """Return smallest units as whole tokens, exactly."""
        return WIDE.scaleb(Decimal(units), -self.facility.decimals)

    def units(self, tokens: Decimal) -> int:
        """Return whole tokens in smallest units, rounded down."""
        return int(WIDE.scaleb(tokens, self.facility.decimals).to_integral_value(ROUND_FLOOR, WIDE))

    def value(self, units: int) -> Decimal:
        """Return what an amount is worth in quote currency at its trigger price."""
        return WIDE.multiply(self.tokens(units), self.price)


def after(case: Case, lever: Lever | None, units: int, later_s: int) -> Account:
    """Return the account `later_s` on, `units` of the lever having moved at that moment; `None` moves nothing."""
    account = case.account
    if isinstance(account.ledger, AaveLedger):
        return _with_ledger(account, _moved_ledger(case, account.ledger, lever, units, later_s))
    grown = _grown(account, case.triggers, later_s - case.quiet_s)
    if lever is None or units == 0:
        return grown
    match lever.means:
        case Means.SUPPLY:
            return _supplied(grown, lever, lever.tokens(units))
        case Means.REPAY:
            return _repaid(grown, lever.asset, lever.tokens(units))
        case Means.DELEVERAGE:
            sold = _supplied(grown, lever, -lever.tokens(units))
            return _repaid(sold, lever.other, deleveraged(case, lever, units))
        case Means.ADD_MARGIN | Means.DEPOSIT:
            return replace(grown, balance=grown.balance + lever.value(units))
        case Means.REDUCE:
            return _reduced(grown, lever, lever.tokens(units))


def deleveraged(case: Case, lever: Lever, units: int) -> Decimal:
    """Return how much of the debt `other` is repaid by selling `units` of collateral, in whole tokens."""
    if lever.asset == lever.other:
        return lever.tokens(units)
    gained = WIDE.multiply(lever.value(units), ONE - lever.cost)
    return WIDE.divide(gained, case.triggers[lever.other])


def health(account: Account, triggers: Mapping[str, Decimal], moved: Mapping[str, Decimal]) -> Decimal | None:
    """Return the health factor of `account` with `moved` prices; `None` when nothing is owed."""
    return health_at(account, solvency_of(account), triggers, moved)


def cautious_health(case: Case, account: Account) -> Decimal | None:
    """Return a health at trigger prices that holds while the rescue is on its way; `None` when nothing is owed."""
    if isinstance(account.ledger, AaveLedger):
        wad = cautious_health_wad(account.ledger)
        return None if wad is None else WIDE.scaleb(Decimal(wad), -18)
    return health(account, case.triggers, {})


def reaches(case: Case, account: Account) -> bool:
    """Return whether `account` is at or above the target; an account that owes nothing always is."""
    if case.target.health is not None:
        found = cautious_health(case, account)
        return found is None or found >= case.target.health
    least = least_margin(solvency_of(account), case.triggers, case.stable, case.target.distance or ZERO)
    if least < 0:
        return False
    return not isinstance(account.ledger, AaveLedger) or _ledger_holds(case, account.ledger)


def least_margin(
    solvency: Solvency, prices: Mapping[str, Decimal], stable: frozenset[str], distance: Decimal
) -> Decimal:
    """Return the least cover less requirement while any one asset moves by up to `distance` either way.

    Stable assets stay, unless the account has no other. The margin is piecewise linear in each price, so its least
    value is at an end or where a maintenance tier begins.
    """
    margins = {each.asset: each.margin(prices[each.asset]) for each in solvency.exposures}
    total = sum(margins.values(), solvency.rest)
    moving = [each for each in solvency.exposures if each.asset not in stable] or list(solvency.exposures)
    least = total
    for exposure in moving:
        rest = total - margins[exposure.asset]
        for price in _corners(exposure, prices[exposure.asset], distance):
            least = min(least, rest + exposure.margin(price))
    return least


def _corners(exposure: Exposure, price: Decimal, distance: Decimal) -> list[Decimal]:
    low, high = price * max(ONE - distance, ZERO), price * (ONE + distance)
    floors = [tier.notional_floor / curve.size for curve in exposure.curves for tier in curve.tiers]
    return [low, high, *(floor for floor in floors if low < floor < high)]


def _ledger_holds(case: Case, ledger: AaveLedger) -> bool:
    """Return whether the contract would refuse to liquidate at both ends of the distance, asset by asset."""
    distance = case.target.distance or ZERO
    # Up to 3.4 the average threshold is cut to whole basis points, so that health jumps as prices move.
    weights = [leg.liquidation_threshold_bps for leg in ledger.legs if leg.counts and leg.liquidation_threshold_bps]
    spare = WAD // min(weights) if weights and ledger.user.version < AaveVersion.V3_5 else 0
    owned = [leg.reserve.asset for leg in ledger.legs if leg.owed or (leg.counts and leg.supplied)]
    moving = [asset for asset in owned if asset not in case.stable] or owned
    for asset in moving:
        price = case.triggers[asset]
        for moved in (price * max(ONE - distance, ZERO), price * (ONE + distance)):
            wad = ledger.health_factor_wad({asset: moved})
            if wad is not None and wad < WAD + spare:
                return False
    return True


def _moved_ledger(case: Case, ledger: AaveLedger, lever: Lever | None, units: int, later_s: int) -> AaveLedger:
    if lever is None or units == 0:
        return ledger.changed(later_s=later_s)
    asset = lever.asset
    match lever.means:
        case Means.SUPPLY:
            known = {holding.reserve.asset for holding in ledger.user.holdings}
            listed = () if asset in known else (_reserve(ledger, lever),)
            return ledger.changed(supplied={asset: units}, later_s=later_s, enabled=(asset,), listed=listed)
        case Means.REPAY:
            return ledger.changed(repaid={asset: units}, later_s=later_s)
        case Means.DELEVERAGE:
            repaid = WIDE.scaleb(deleveraged(case, lever, units), lever.other_decimals)
            paid = int(repaid.to_integral_value(ROUND_FLOOR, WIDE))
            return ledger.changed(repaid={lever.other: paid}, withdrawn={asset: units}, later_s=later_s)
        case _:
            raise ValueError(f"{lever.means} is not something one does to a loan")


def _reserve(ledger: AaveLedger, lever: Lever) -> AaveReserve:
    """Return a reserve that the user has nothing in yet, as far as weights and price go; its index does not matter."""
    threshold = int(WIDE.multiply(lever.facility.liquidation_threshold or ZERO, Decimal(BPS)))
    price = ledger.price_units(lever.price)
    return AaveReserve(
        lever.asset, _NO_BIT, lever.facility.decimals, price, threshold, threshold, BPS, RAY, RAY, 0, 0, 0
    )


def _with_ledger(account: Account, ledger: AaveLedger) -> Account:
    """Return `account` with the legs of `ledger`, for the plain formulas that are asked of it too."""
    held = {leg.asset: leg for leg in account.collateral}
    owed = {leg.asset: leg for leg in account.debt}
    collateral, debt = [], []
    for leg in ledger.legs:
        asset, decimals = leg.reserve.asset, leg.reserve.decimals
        if leg.supplied:
            amount = WIDE.scaleb(Decimal(leg.supplied), -decimals)
            weight = WIDE.scaleb(Decimal(leg.liquidation_threshold_bps if leg.counts else 0), -4)
            known = held.get(asset, Collateral(asset, amount, weight))
            collateral.append(replace(known, amount=amount, liquidation_threshold=weight))
        if leg.owed:
            amount = WIDE.scaleb(Decimal(leg.owed), -decimals)
            debt.append(replace(owed.get(asset, Debt(asset, amount)), amount=amount))
    return replace(account, collateral=tuple(collateral), debt=tuple(debt), ledger=ledger, reported=None)


def _grown(account: Account, triggers: Mapping[str, Decimal], later_s: int) -> Account:
    """Return `account` with the interest of `later_s` that is against its owner; what it earns is left out."""
    if later_s <= 0:
        return account
    years = Decimal(later_s) / YEAR_S
    if account.kind is Kind.LOAN:
        debt = tuple(replace(leg, amount=leg.amount * _growth(leg.borrow_rate, years)) for leg in account.debt)
        return replace(account, debt=debt)
    paid = ZERO
    for position in account.positions:
        rate = position.funding_rate or ZERO
        price = triggers.get(position.asset, ZERO)
        # A broker's fee is on the short side; funding is paid by a long and received by a short.
        size = position.quantity if account.kind is Kind.PERP else min(position.quantity, ZERO) * -1
        paid += size * price * rate * years
    if account.kind is Kind.BROKER and account.balance < 0:
        paid -= account.balance * (account.cash_rate or ZERO) * years
    return replace(account, balance=account.balance - max(paid, ZERO))


def _growth(rate: Decimal | None, years: Decimal) -> Decimal:
    """Return at least e^(rate x years) for a small positive exponent, 1 for a rate that is not positive or unknown."""
    x = max((rate or ZERO) * years, ZERO)
    return ONE + x + x * x


def _supplied(account: Account, lever: Lever, amount: Decimal) -> Account:
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


def _repaid(account: Account, asset: str, amount: Decimal) -> Account:
    legs, left = [], amount
    for leg in account.debt:
        paid = min(left, leg.amount) if leg.asset == asset else ZERO
        left -= paid
        legs.append(replace(leg, amount=leg.amount - paid))
    return replace(account, debt=tuple(legs))


def _reduced(account: Account, lever: Lever, amount: Decimal) -> Account:
    """Return `account` with `amount` of a position closed at its mark, the cost paid from the balance."""
    positions: list[Position] = []
    balance, left = account.balance, amount
    for position in account.positions:
        closed = min(left, abs(position.quantity)) if position.asset == lever.asset else ZERO
        if not closed:
            positions.append(position)
            continue
        left -= closed
        signed = closed if position.quantity > 0 else -closed
        entry = position.entry_price if account.kind is Kind.PERP and position.entry_price is not None else ZERO
        balance += signed * (lever.price - entry) - closed * lever.price * lever.cost
        positions.append(replace(position, quantity=position.quantity - signed))
    return replace(account, balance=balance, positions=tuple(positions))
