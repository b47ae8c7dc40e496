"""What one means does to an account at this very moment: the arithmetic of a dry run where a venue offers none."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal

from engine.accounts import Account
from engine.market import health_at
from engine.plan_case import Case, Lever, after
from engine.rescue import Facility, Means, Target
from engine.solvency import gap, solvency_of, trigger_prices

_WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)
# Fine enough for every quantity that a venue takes; a venue's own step is the planner's business.
_DECIMALS = 18


def with_means(account: Account, means: Means, asset: str, amount: Decimal, price: Decimal) -> Account:
    """Return `account` after `amount` of `asset`, worth `price` each in its quote currency, was moved by `means`.

    For a reduction `amount` is of the position's quantity. Raises `ValueError` when a price of the account is lacking.
    """
    triggers, lacking = trigger_prices(account, {})
    if lacking:
        raise ValueError(next(iter(lacking.values())))
    case = Case(account, {}, {}, triggers, frozenset(), Target(health=Decimal(1)))
    lever = Lever(means, Facility(asset, frozenset({means}), decimals=_DECIMALS), price)
    return after(case, lever, int(_WIDE.scaleb(amount, _DECIMALS)), 0)


def health_now(account: Account, moved: Mapping[str, Decimal] | None = None) -> Decimal | None:
    """Return the health factor at the prices that came with the account; `None` when it can't be told."""
    triggers, lacking = trigger_prices(account, {})
    if gap(account) or lacking:
        return None
    return health_at(account, solvency_of(account), triggers, moved or {})
