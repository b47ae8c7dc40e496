"""What a scenario does to each account: health, liquidated or not, what that costs, and who goes first.

Exact where money is exact: the engine's own solvency (for Aave the contract's integers) at the moved prices. Many
accounts times many scenarios go through `engine.simulation.arrays`, in floats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Context, Decimal

from engine.accounts import Account, Kind
from engine.market import health_at
from engine.prices import AssetPrice
from engine.record import record
from engine.shocks import FACTOR, ONE, ZERO, Market, Scenario, Step, by_beta
from engine.solvency import Solvency, gap, solvency_of, trigger_prices
from engine.triggers import coin_price, position_price

_WIDE = Context(prec=50)
_YEAR_D = Decimal(365)
_FINE = Decimal("0.0001")
_FAR = 80  # bisections in each direction of the market factor cover moves from -98 % to +5000 %


@record
class Outcome:
    """One account under one scenario.

    `health_factor` is the worst along the path, `None` when nothing is owed or `reason` says why it is unknown.
    `hours` is when it was liquidated, or reached that worst. `loss` is what the liquidation itself takes, in quote
    currency: the bonus on what may be repaid at once (loan), all equity that is left at the price that liquidates
    (perp), `None` where nobody can say (broker, unknown bonus). `at` is the fraction of the scenario's move at which it
    goes, for the order in which accounts go.
    """

    name: str
    health_factor: Decimal | None
    liquidated: bool | None
    loss: Decimal | None = None
    hours: int = 0
    at: Decimal | None = None
    reason: str = ""


@record
class FactorMove:
    """How far the market factor must move to liquidate an account; `None` with the reason when it never does."""

    name: str
    move: Decimal | None
    reason: str = ""


def market_of(accounts: Sequence[Account], prices: Mapping[str, AssetPrice], betas: Mapping[str, Decimal]) -> Market:
    """Return what a shock spreads over: the assets of all accounts; those that only brokers hold follow no coin."""
    assets = frozenset(asset for account in accounts for asset in account.assets)
    coins = frozenset(asset for account in accounts if account.kind is not Kind.BROKER for asset in account.assets)
    stable = frozenset(name for name in assets if name in prices and prices[name].stable)
    return Market(assets, stable, betas, assets - coins)


def stressed(account: Account, prices: Mapping[str, AssetPrice], scenario: Scenario) -> Outcome:
    """Return what becomes of `account` along `scenario`."""
    case = _case(account, prices, scenario)
    if isinstance(case, str):
        return Outcome(account.name, None, None, reason=case)
    worst: Decimal | None = None
    hours = 0
    before = Step(0, {})
    for step in scenario.steps:
        health = case.health(step.moves)
        if health is not None and (worst is None or health < worst):
            worst, hours = health, step.hours
        if health is not None and health < 1:
            at = case.crossing(before.moves, step.moves)
            lost, line = case.loss(_between(before.moves, step.moves, at)), _progress(scenario, step, at)
            return Outcome(account.name, health, True, lost, step.hours, line)
        before = step
    return Outcome(account.name, worst, False, hours=hours)


def first_to_go(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the names of the liquidated accounts in the order in which they go."""
    gone = [outcome for outcome in outcomes if outcome.liquidated]
    return [outcome.name for outcome in sorted(gone, key=lambda one: (one.at or ZERO, one.name))]


def factor_move(account: Account, prices: Mapping[str, AssetPrice], market: Market) -> FactorMove:
    """Return the move of the market factor nearest to 0 that liquidates, every asset following by its beta."""
    case = _case(account, prices, Scenario("", ()))
    if isinstance(case, str):
        return FactorMove(account.name, None, case)
    present = case.health({})
    if present is None:
        return FactorMove(account.name, None, "nothing is owed")
    if present < 1:
        return FactorMove(account.name, ZERO)
    if not any(market.beta(asset) for asset in account.assets):
        return FactorMove(account.name, None, f"does not move with {FACTOR}: all its assets have beta 0")
    mine = replace(market, assets=market.assets & account.assets)
    found = []
    for sign in (-1, 1):
        low = ZERO
        for step in range(1, _FAR + 1):
            high = _WIDE.exp(Decimal(sign * step) / 20) - ONE
            health = case.health(by_beta(high, mine)[0])
            if health is not None and health < 1:
                found.append(_bisected(case, low, high, mine))
                break
            low = high
    if not found:
        return FactorMove(account.name, None, f"no move of {FACTOR} from -98 % to +5000 % liquidates it")
    return FactorMove(account.name, min(found, key=abs))


def _bisected(case: "_Case", low: Decimal, high: Decimal, market: Market) -> Decimal:
    for _ in range(60):
        middle = (low + high) / 2
        health = case.health(by_beta(middle, market)[0])
        low, high = (low, middle) if health is not None and health < 1 else (middle, high)
    return high


@record
class _Case:
    """An account ready to be asked at moved prices."""

    account: Account
    triggers: Mapping[str, Decimal]
    solvency: Solvency
    behind: Decimal

    def health(self, moves: Mapping[str, Decimal]) -> Decimal | None:
        """Return the health factor with every trigger price moved, and behind the market where an oracle lags."""
        moved = {
            asset: self.triggers[asset] * self._factor(move) for asset, move in moves.items() if asset in self.triggers
        }
        return health_at(self.account, self.solvency, self.triggers, moved)

    def _factor(self, move: Decimal) -> Decimal:
        """Return 1 + move, held back by what the oracle has not printed yet; never on the other side of 1."""
        if not self.behind or self.account.kind is not Kind.LOAN:
            return ONE + move
        lagged = (ONE + move) * (ONE + self.behind if move < 0 else ONE - self.behind)
        return min(lagged, ONE) if move < 0 else max(lagged, ONE)

    def crossing(self, before: Mapping[str, Decimal], after: Mapping[str, Decimal]) -> Decimal:
        """Return the least part of the way between two steps at which health is below 1, to 0.0001."""
        low, high = ZERO, ONE
        while high - low > _FINE:
            middle = (low + high) / 2
            health = self.health(_between(before, after, middle))
            low, high = (low, middle) if health is not None and health < 1 else (middle, high)
        return high

    def loss(self, moves: Mapping[str, Decimal]) -> Decimal | None:
        """Return what the liquidation takes at these moves, in quote currency."""
        prices = {asset: price * self._factor(moves.get(asset, ZERO)) for asset, price in self.triggers.items()}
        account = self.account
        match account.kind:
            case Kind.BROKER:
                return None
            case Kind.PERP:
                return max(self.solvency.cover(prices), ZERO)
            case Kind.LOAN:
                return _bonus_paid(account, prices)


def _bonus_paid(account: Account, prices: Mapping[str, Decimal]) -> Decimal | None:
    """Return debt x close factor x the largest bonus, at most the collateral (Aave, "Liquidations")."""
    if account.close_factor is None:
        return None
    bonuses = [leg.liquidation_bonus for leg in account.collateral if leg.amount and leg.liquidation_threshold]
    if any(bonus is None for bonus in bonuses):
        return None
    debt = sum((leg.amount * prices[leg.asset] for leg in account.debt), ZERO)
    collateral = sum((leg.amount * prices[leg.asset] for leg in account.collateral), ZERO)
    return min(debt * account.close_factor * max((bonus for bonus in bonuses if bonus), default=ZERO), collateral)


def _between(before: Mapping[str, Decimal], after: Mapping[str, Decimal], part: Decimal) -> dict[str, Decimal]:
    names = dict.fromkeys((*before, *after))
    return {name: before.get(name, ZERO) + (after.get(name, ZERO) - before.get(name, ZERO)) * part for name in names}


def _progress(scenario: Scenario, step: Step, part: Decimal) -> Decimal:
    """Return how much of the whole path is behind, in steps."""
    index = scenario.steps.index(step)
    return (index + part) / len(scenario.steps)


def _case(account: Account, prices: Mapping[str, AssetPrice], scenario: Scenario) -> _Case | str:
    """Return the account ready to be moved, or why it cannot be told."""
    triggers, lacking = trigger_prices(account, prices)
    why = gap(account) or next(iter(lacking.values()), "")
    if why:
        return why
    if scenario.rate_add or scenario.days:
        aged = _aged(account, triggers, scenario)
        if isinstance(aged, str):
            return aged
        account = aged
    return _Case(account, triggers, solvency_of(account, triggers), scenario.oracle_behind)


def _aged(account: Account, triggers: Mapping[str, Decimal], scenario: Scenario) -> Account | str:
    """Return the account after `days` at its rates plus `rate_add`, or which rate is unknown; no income counts."""
    years = scenario.days / _YEAR_D
    if account.kind is Kind.LOAN:
        unknown = [leg.asset for leg in account.debt if leg.amount and leg.borrow_rate is None]
        if unknown:
            return f"borrow rate of {', '.join(unknown)} unknown"
        debt = tuple(
            replace(leg, amount=leg.amount * _WIDE.exp(((leg.borrow_rate or ZERO) + scenario.rate_add) * years))
            for leg in account.debt
        )
        # The contract's own integers know only the rates it has now.
        return replace(account, debt=debt, ledger=None)
    paid = ZERO
    for position in account.positions:
        if not position.quantity:
            continue
        value = position.quantity * position_price(account, position, triggers)
        if account.kind is Kind.PERP:
            if position.funding_rate is None:
                return f"funding rate of {position.asset} unknown"
            paid += value * position.funding_rate + abs(value) * scenario.rate_add
        elif value < 0:
            paid -= value * ((position.funding_rate or ZERO) + scenario.rate_add)
    for leg in account.debt:
        paid += leg.amount * coin_price(account, leg.asset, triggers) * ((leg.borrow_rate or ZERO) + scenario.rate_add)
    if account.kind is Kind.BROKER and account.balance < 0:
        if account.cash_rate is None:
            return "rate on borrowed cash unknown"
        paid -= account.balance * (account.cash_rate + scenario.rate_add)
    return replace(account, balance=account.balance - max(paid, ZERO) * years)
