"""What `--json` answers: one envelope (schema, as_of, degraded), then the data; numbers that carry value are strings.

Beyond DESIGN 6 each account of a risk answer also says `nearest` (the asset nearest to liquidation), `sigma_days`,
`loss_at_liquidation`, `method`, `last_known`, `missing` (why a field is null) and `degraded`; totals say `missing` and
`assumed`. A number is null for want of input, never 0.

Where a venue or broker tells more there is also: `directions` (moves that liquidate a portfolio-margin account, by
name, signed fractions), `liquidation_note` (how it is liquidated where no price tells it), `estimated` (why distances
are estimates), `status` (the venue's word), `initial_requirement`, `excess` (= `buffer`), `margin_call` (`amount`,
`due`, `text`) and `session` (`is_open`, `opens`, `closes`); and in `cost_of_debt`: `predicted_per_day`, `next_funding`
(a time) and `funding_paid` (so far; negative: received).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from engine.accounts import Account, Kind
from engine.assess import assess
from engine.assessment import (
    Assessment,
    CostOfDebt,
    LiquidationPoint,
    MarketHealth,
    NextOracleHealth,
)
from engine.document import Portfolio, render_portfolio
from engine.rendering import RISK_SCHEMA, STATUS_SCHEMA, rounded, timestamp
from engine.severity import Ladder
from engine.totals import Totals, totals

if TYPE_CHECKING:
    from engine.rescue import Plan

Answer = dict[str, object]
Assessed = Sequence[tuple[Account, Assessment]]


def envelope(schema: str, as_of_ns: int, degraded: Sequence[str], **data: object) -> Answer:
    """Return the envelope of every JSON answer around `data`."""
    return {"schema": schema, "as_of": timestamp(as_of_ns), "degraded": list(degraded), **data}


def assess_portfolio(
    portfolio: Portfolio, ladders: Mapping[Kind, Ladder] | None = None
) -> list[tuple[Account, Assessment]]:
    """Return every account of `portfolio` with its assessment at the portfolio's own time."""
    return [
        (
            account,
            assess(
                account,
                portfolio.prices,
                portfolio.as_of_ns,
                ladder=None if ladders is None else ladders.get(account.kind),
            ),
        )
        for account in portfolio.accounts
    ]


def portfolio_answer(portfolio: Portfolio, ladders: Mapping[Kind, Ladder] | None = None) -> Answer:
    """Return the risk answer of a portfolio document: what `risk --json` prints."""
    assessed = assess_portfolio(portfolio, ladders)
    return risk_answer(portfolio.as_of_ns, assessed, totals(assessed, portfolio.prices))


def risk_answer(as_of_ns: int, assessed: Assessed, summed: Totals, degraded: Sequence[str] = ()) -> Answer:
    """Return `marginline.risk/1`; reasons why an account is degraded join `degraded` behind its name."""
    reasons = [
        *degraded,
        *(f"{assessment.name}: {reason}" for _, assessment in assessed for reason in assessment.degraded),
    ]
    accounts = [account_answer(assessment) for _, assessment in assessed]
    return envelope(
        RISK_SCHEMA, as_of_ns, list(dict.fromkeys(reasons)), accounts=accounts, totals=totals_answer(summed)
    )


def status_answer(
    portfolio: Portfolio,
    assessed: Assessed,
    summed: Totals,
    sources: Sequence[Mapping[str, object]] = (),
    degraded: Sequence[str] = (),
) -> Answer:
    """Return `marginline.status/1`: the sources' states, the portfolio as a document, and its risk answer."""
    risk = risk_answer(portfolio.as_of_ns, assessed, summed, degraded)
    said = risk["degraded"]
    return envelope(
        STATUS_SCHEMA,
        portfolio.as_of_ns,
        [str(reason) for reason in said] if isinstance(said, list) else [],
        sources=[dict(source) for source in sources],
        portfolio=render_portfolio(portfolio),
        assessment=risk,
    )


def plan_answer(plan: "Plan", as_of_ns: int, degraded: Sequence[str] = ()) -> Answer:
    """Return `marginline.plan/1`; `engine.plan_answers` says what is in it and reads it back."""
    from engine.plan_answers import plan_answer as answer  # only a rescue needs it

    return answer(plan, as_of_ns, degraded)


def parse_plan(text: str | bytes) -> "Plan":
    """Return the plan of a `marginline.plan/1` document; raises `DocumentError` naming the place that is wrong."""
    from engine.plan_answers import parse_plan as parse  # only a rescue needs it

    return parse(text)


def account_answer(assessment: Assessment) -> Answer:
    """Return one account of a risk answer."""
    wad = assessment.health_factor_wad
    return {
        "name": assessment.name,
        "kind": assessment.kind.value,
        "severity": assessment.severity.value,
        "severity_because": assessment.severity_because,
        "last_known": None if assessment.last_known is None else assessment.last_known.value,
        "trigger": assessment.trigger,
        "health_factor": rounded(assessment.health_factor),
        "health_factor_wad": None if wad is None else str(wad),
        "collateral_value": rounded(assessment.collateral_value),
        "debt_value": rounded(assessment.debt_value),
        "maintenance_requirement": rounded(assessment.maintenance_requirement),
        "equity": rounded(assessment.equity),
        "buffer": rounded(assessment.buffer),
        "leverage": rounded(assessment.leverage),
        "capital_efficiency": rounded(assessment.capital_efficiency),
        "cost_of_debt": _cost_answer(assessment.cost_of_debt),
        "interest_only_days": assessment.interest_only_days,
        "liquidation": {asset: _point_answer(point) for asset, point in assessment.liquidation.items()},
        "nearest": assessment.nearest,
        "sigma_days": rounded(assessment.sigma_days),
        "uniform_shock": rounded(assessment.uniform_shock),
        "loss_at_liquidation": rounded(assessment.loss_at_liquidation),
        "at_market": _market_answer(assessment.at_market),
        "at_next_oracle": _next_answer(assessment.at_next_oracle),
        "method": assessment.method.value,
        "missing": dict(assessment.missing),
        "degraded": list(assessment.degraded),
        **_told(assessment),
    }


def _told(assessment: Assessment) -> Answer:
    """Return what a venue or broker tells beyond DESIGN 6; nothing for an account that is told of nothing more."""
    call, session = assessment.margin_call, assessment.session
    told: Answer = {}
    if assessment.directions:
        told["directions"] = {name: rounded(move) for name, move in assessment.directions.items()}
    if assessment.estimated:
        told["estimated"] = assessment.estimated
    if assessment.status:
        told["status"] = assessment.status
    if assessment.initial_requirement is not None:
        told["initial_requirement"] = rounded(assessment.initial_requirement)
    if call is not None:
        told["margin_call"] = {"amount": rounded(call.amount), "due": _time(call.due_ns), "text": call.text}
    if session is not None:
        told["session"] = {
            "is_open": session.is_open,
            "opens": _time(session.opens_ns),
            "closes": _time(session.closes_ns),
        }
    if told and assessment.kind is Kind.BROKER:
        told["excess"] = rounded(assessment.buffer)
    if assessment.liquidation_note and (told or assessment.kind is not Kind.BROKER):
        told["liquidation_note"] = assessment.liquidation_note
    return told


def _time(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else timestamp(moment_ns)


def totals_answer(summed: Totals) -> Answer:
    """Return the totals of a risk answer."""
    first, net = summed.first_liquidated, summed.net_exposure
    return {
        "equity": rounded(summed.equity),
        "debt": rounded(summed.debt),
        "cost_per_day": rounded(summed.cost_per_day),
        "net_exposure": None if net is None else {asset: rounded(value) for asset, value in net.items()},
        "first_liquidated": None
        if first is None
        else {"account": first.account, "uniform_fall": rounded(first.uniform_fall)},
        "netting_saves": rounded(summed.netting_saves),
        "missing": dict(summed.missing),
        "assumed": list(summed.assumed),
    }


def _cost_answer(cost: CostOfDebt | None) -> Answer | None:
    if cost is None:
        return None
    told: Answer = {
        "annual_rate": rounded(cost.annual_rate),
        "per_day": rounded(cost.per_day),
        "net_carry": rounded(cost.net_carry),
    }
    if cost.predicted_per_day is not None:
        told["predicted_per_day"] = rounded(cost.predicted_per_day)
    if cost.next_funding_ns is not None:
        told["next_funding"] = timestamp(cost.next_funding_ns)
    if cost.funding_paid is not None:
        told["funding_paid"] = rounded(cost.funding_paid)
    return told


def _point_answer(point: LiquidationPoint) -> Answer:
    return {
        "price": rounded(point.price),
        "distance": rounded(point.distance),
        "direction": None if point.direction is None else point.direction.value,
    }


def _market_answer(market: MarketHealth | None) -> Answer | None:
    if market is None:
        return None
    return {
        "health_factor": rounded(market.health_factor),
        "divergence_bps": {asset: rounded(value) for asset, value in market.divergence_bps.items()},
        "assumed": list(market.assumed),
    }


def _next_answer(upcoming: NextOracleHealth | None) -> Answer | None:
    if upcoming is None:
        return None
    updates = {
        asset: {"due": update.due.value, "price": rounded(update.price)} for asset, update in upcoming.updates.items()
    }
    return {"health_factor": rounded(upcoming.health_factor), "updates": updates}
