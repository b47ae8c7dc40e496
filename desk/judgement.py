"""One account's reading turned into the state that a snapshot shows: judged by its ladder, unknown when it is stale."""

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite

from desk.roster import Market
from desk.snapshot import AccountState
from engine.accounts import Account
from engine.assess import TRIGGERS, trigger_side
from engine.assessment import Assessment, Severity
from engine.prices import AssetPrice, OraclePrice
from engine.record import replace
from engine.severity import Ladder, judge
from engine.solvency import gap, solvency_of, trigger_prices
from providers.ports import Reading

MARKET_TRIGGER = "consensus of venues"
"""Source of a trigger price that is the market itself, for want of an oracle."""


def with_marks(account: Account, reading: Reading) -> Account:
    """Return the account with the trigger prices that came along for legs that have none of their own."""
    marked = {position.asset for position in account.positions if position.mark_price is not None}
    came = {
        asset: reading.marks[asset]
        for asset in sorted(account.assets - marked - account.oracles.keys())
        if asset in reading.marks
    }
    return replace(account, oracles={**came, **account.oracles}) if came else account


def leans_on(account: Account) -> frozenset[str]:
    """Return the assets for which the account has no price of its own: the shared oracle or the market triggers it."""
    marked = {position.asset for position in account.positions if position.mark_price is not None}
    return account.assets - marked - _own_oracles(account).keys()


def with_market_triggers(account: Account, market: Market) -> Account:
    """Return the account triggered by the venues' consensus where nobody reports an oracle (a described OTC loan)."""
    own = _own_oracles(account)
    borrowed = {
        asset: OraclePrice(agreed.price, source=MARKET_TRIGGER)
        for asset in sorted(leans_on(account))
        if (shared := market.prices.get(asset)) is None or shared.oracle is None
        if (agreed := market.agreed.get(asset)) is not None and agreed.price is not None
    }
    if not borrowed and len(own) == len(account.oracles):
        return account
    return replace(account, oracles={**own, **borrowed})


def _own_oracles(account: Account) -> dict[str, OraclePrice]:
    return {asset: oracle for asset, oracle in account.oracles.items() if oracle.source != MARKET_TRIGGER}


def judged(
    account: Account, prices: Mapping[str, AssetPrice], now_ns: int, ladder: Ladder, previous: Severity | None
) -> Assessment:
    """Return the trigger side of the assessment; figures that break the arithmetic are unknown, with the reason."""
    known = None if previous is Severity.UNKNOWN else previous
    try:
        return trigger_side(account, prices, now_ns, ladder=ladder, previous=known, last_known=known)
    except (ValueError, ArithmeticError) as error:
        return unjudgeable(account, f"cannot be computed: {type(error).__name__}", known)


def plain_health(account: Account, prices: Mapping[str, AssetPrice]) -> Decimal | None:
    """Return the health factor at trigger prices by the plain formula, `None` where it can't be told; for charts."""
    known, lacking = trigger_prices(account, prices)
    if lacking or gap(account):
        return None
    try:
        return solvency_of(account).health_factor(known)
    except (ValueError, ArithmeticError):
        return None


def unjudgeable(account: Account, reason: str, last_known: Severity | None) -> Assessment:
    """Return an assessment that knows nothing, and why."""
    return Assessment(
        name=account.name,
        kind=account.kind,
        severity=Severity.UNKNOWN,
        severity_because=reason,
        trigger=TRIGGERS[account.kind],
        health_factor=None,
        health_factor_wad=None,
        collateral_value=None,
        debt_value=None,
        maintenance_requirement=None,
        equity=None,
        buffer=None,
        leverage=None,
        capital_efficiency=None,
        cost_of_debt=None,
        interest_only_days=None,
        liquidation={},
        uniform_shock=None,
        at_market=None,
        at_next_oracle=None,
        last_known=last_known,
        missing={"health_factor": reason},
        degraded=account.degraded,
    )


def last_known(assessment: Assessment) -> Severity | None:
    """Return its severity, or for an unknown one the last that was known."""
    return assessment.last_known if assessment.severity is Severity.UNKNOWN else assessment.severity


def unvouched(state: AccountState, because: str) -> AccountState:
    """Return the state with its figures kept and its severity unknown."""
    told = replace(
        state.assessment,
        severity=Severity.UNKNOWN,
        severity_because=because,
        last_known=last_known(state.assessment),
    )
    return replace(state, assessment=told, is_stale=True)


def severity_after_print(assessment: Assessment, ladder: Ladder) -> Severity:
    """Return the severity by health alone once every due oracle print is in; unknown when that health is."""
    upcoming = assessment.at_next_oracle
    return judge(ladder, None if upcoming is None else upcoming.health_factor)[0]


def chart_value(health: Decimal | None) -> float | None:
    """Return a health factor for a chart; `None` where there is none or it exceeds a float."""
    value = None if health is None else float(health)
    return value if value is not None and isfinite(value) else None
