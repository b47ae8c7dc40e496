"""What one means does to an account at this very moment: the arithmetic of a dry run where a venue offers none."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal

from engine.accounts import Account, Position
from engine.market import health_at
from engine.plan_case import Case, Lever, after
from engine.rescue import Facility, Means, Target
from engine.solvency import ZERO, gap, solvency_of, trigger_prices

_WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)
# Fine enough for every quantity that a venue takes; a venue's own step is the planner's business.
_DECIMALS = 18


def with_means(
    account: Account,
    means: Means,
    asset: str,
    amount: Decimal,
    price: Decimal,
    *,
    weight: Decimal | None = None,
    contract: str = "",
    side: str = "",
) -> Account:
    """Return `account` after `amount` of `asset`, worth `price` each in its quote currency, was moved by `means`.

    `weight` is that of a coin which the account has nothing of yet. For a reduction `amount` is of the position's
    quantity; `contract` and `side` ("long", "short") name the position where the asset has several. Raises
    `ValueError` when a price of the account is lacking, or there is no such position.
    """
    triggers, lacking = trigger_prices(account, {})
    if lacking:
        raise ValueError(next(iter(lacking.values())))
    case = Case(account, {}, {}, triggers, frozenset(), Target(health=Decimal(1)))
    facility = Facility(asset, frozenset({means}), decimals=_DECIMALS, liquidation_threshold=weight)
    held = _named(account, asset, contract, side) if contract or side else None
    lever = Lever(means, facility, price, cost=ZERO, held=held)
    return after(case, lever, int(_WIDE.scaleb(amount, _DECIMALS)), 0)


def _named(account: Account, asset: str, contract: str, side: str) -> Position:
    for each in account.positions:
        is_side = not side or (each.quantity > 0) == (side == "long")
        if each.quantity and each.asset == asset and contract in ("", each.contract) and is_side:
            return each
    raise ValueError(f"no {' '.join(word for word in (contract, side) if word)} position in {asset} any more")


def health_now(account: Account, moved: Mapping[str, Decimal] | None = None) -> Decimal | None:
    """Return the health factor at the prices that came with the account; `None` when it can't be told."""
    triggers, lacking = trigger_prices(account, {})
    if gap(account) or lacking:
        return None
    return health_at(account, solvency_of(account), triggers, moved or {})
