"""Requirements as `requirement --json` answers them; numbers are strings, a null one has a reason beside it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from engine.answers import Answer, envelope
from engine.simulation.answers import figures
from engine.simulation.requirement import Netted, Reach, Required
from engine.simulation.rules import Rule

REQUIREMENT_SCHEMA = "marginline.requirement/1"


def backtest(rule: Rule, hours: float, chance: float) -> list[Mapping[str, Any]]:
    """Return the shipped back-test that bears on a rule, horizon and chance; empty when there is none."""
    said = json.loads(files("engine.simulation").joinpath("scores.json").read_bytes())
    wanted = {"vol-adjusted": "calibrated", "deribit-like": "fixed 16 %"}.get(rule.name)
    beside = "normal, 30 d" if wanted else None
    rows: list[Mapping[str, Any]] = [
        row
        for row in said["coverage"]
        if row["rule"] in (wanted, beside) and row["hours"] == hours and row["target"] == round(chance, 6)
    ]
    return [{**row, "period": said["period"]} for row in rows]


def requirement_answer(
    rule: Rule,
    hours: float,
    chance: float,
    alone: Sequence[Required],
    together: Netted,
    reach: Mapping[str, Reach | str],
    tested: Sequence[Mapping[str, Any]],
    as_of_ns: int,
    degraded: Sequence[str] = (),
) -> Answer:
    """Return the whole answer of one rule; a share of `chance` of horizons is expected to move further."""
    return envelope(
        REQUIREMENT_SCHEMA,
        as_of_ns,
        degraded,
        rule={
            "name": rule.name,
            "source": rule.source,
            "certainty": rule.certainty,
            "horizon_hours": figures(hours),
            "confidence": figures(1 - chance),
            "prices": 2 * rule.steps + 1,
            "volatilities": [figures(each) for each in rule.volatilities],
            "contingency": figures(rule.contingency),
            "contingency_source": rule.contingency_source,
            "slippage": figures(rule.slippage),
            "slippage_source": rule.slippage_source,
        },
        ranges={asset: _reach(each) for asset, each in reach.items()},
        accounts=[_account(each) for each in alone],
        netting={
            "separate": money(together.separate),
            "netted": money(together.netted),
            "saved": money(together.saved),
            "without_cross_asset_offset": money(together.by_asset),
            "breaks": list(together.breaks),
            "left_out": list(together.left_out),
        },
        backtest=[_tested(row) for row in tested],
    )


def money(value: float | None) -> str | None:
    """Return an estimate in quote currency to the cent."""
    return None if value is None else f"{value:.2f}"


def _reach(reach: Reach | str) -> Answer:
    if isinstance(reach, str):
        return {"down": None, "up": None, "because": reach}
    return {
        "down": figures(reach.down),
        "up": figures(reach.up),
        "floor": figures(reach.floor),
        "floored": reach.floored,
        "down_at_twice_the_volatility": figures(reach.doubled_down),
        "method": reach.method,
        "calibrated": reach.calibrated,
        "because": None,
    }


def _account(one: Required) -> Answer:
    worst = one.scanned
    return {
        "name": one.name,
        "equity": money(one.equity),
        "required": money(one.required),
        "covered": figures(one.covered),
        "protocol_required": money(one.protocol),
        "worst": None
        if worst is None
        else {
            "loss": money(worst.loss),
            "share_of_range": figures(worst.share),
            "volatility": figures(worst.volatility),
        },
        "contingency": money(one.contingency),
        "slippage": money(one.slippage),
        "thresholds": [
            {
                "asset": each.asset,
                "protocol": figures(each.protocol),
                "implied": figures(each.implied, 6),
                "note": each.note or None,
            }
            for each in one.thresholds
        ],
        "because": one.because or None,
    }


def _tested(row: Mapping[str, Any]) -> Answer:
    return {
        "asset": str(row["asset"]).upper(),
        "rule": row["rule"],
        "target": figures(row["target"]),
        "exceeded": figures(row["exceeded"]),
        "mean": figures(row["mean"]),
        "low": figures(row["low"]),
        "high": figures(row["high"]),
        "period": list(row["period"]),
    }
