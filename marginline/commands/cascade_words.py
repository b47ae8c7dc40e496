"""A cascade for people: tables of what `cascade --json` says."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.answers import Answer
from marginline.output import put, put_table


def put_parts(parts: Answer) -> None:
    """Print the parts of the answer as tables."""
    known: dict[str, Any] = dict(parts)
    book = known["book"]
    put(f"{book['loans']:,} loans, debt {_number(book['debt'])}, from {book['source'] or 'arrays'}")
    now = book["liquidatable_now"]
    put(f"liquidatable now: {now['loans']:,} loans, debt {_number(now['debt'])}; sold into {known['impact']}")
    put()
    _put_shocks(known["shocks"])
    if known["watch"] is not None:
        put()
        _put_watch(known["watch"])
    put()
    if known["dynamic"] is None:
        put(f"over time: not run; {known['dynamic_because']}")
    else:
        _put_dynamic(known["dynamic"])
    if known["account"] is not None:
        put()
        _put_account(known["account"])


def _put_shocks(rows: Sequence[Mapping[str, Any]]) -> None:
    put("where a shock ends (static: all that is liquidatable is sold at once)")
    cells = []
    for row in rows:
        static, rounds = row["static"], row["rounds"]
        shock = ", ".join(
            _percent(move) if len(row["shock"]) == 1 else f"{asset} {_percent(move)}"
            for asset, move in row["shock"].items()
        )
        cells.append(
            (
                f"  {shock}",
                "-" if static is None else _percent("-" + static["drop"]),
                "-" if static is None else _number(static["liquidated_debt"]),
                "-" if static is None else _number(static["bad_debt"]),
                "-" if rounds is None else ", ".join(map(_number, rounds["prices"].values())),
                "-" if rounds is None else _number(rounds["repaid"]),
                "-" if rounds is None else _number(rounds["bad_debt"]),
                "-" if rounds is None else str(rounds["rounds"]),
            )
        )
    headings = ("  SHOCK", "ENDS AT", "LIQUIDATED", "BAD DEBT", "ROUNDS END AT", "REPAID", "BAD DEBT", "ROUNDS")
    put_table(headings, cells)
    for why in dict.fromkeys(row["rounds_because"] for row in rows if row["rounds_because"]):
        put(f"  rounds: {why}")


def _put_watch(watch: Mapping[str, Any]) -> None:
    falls = ", ".join(f"{figure} at {_percent(shock)}" for shock, figure in watch["r0"].items())
    put(f"reproduction number R0: {falls} (from 1 on a fall feeds itself)")
    ratio = watch["throughput_over_replenishment"]
    put(f"throughput over replenishment: {ratio if ratio is not None else 'unknown: ' + watch['because']}")


def _put_dynamic(found: Mapping[str, Any]) -> None:
    put(
        f"over time: {found['paths']:,} paths of {found['steps']} steps of {found['step_minutes']} minutes, "
        f"{found['loans']:,} loans in {found['buckets']:,} buckets, seed {found['seed']}"
    )
    names = (
        ("exogenous_drawdown", "fall without liquidations", _percent),
        ("extra_drawdown", "deeper by liquidations", _percent),
        ("repaid", "debt repaid", _number),
        ("bad_debt", "bad debt", _number),
        ("unhealthy", "still unhealthy at the end", _number),
    )
    rows = [
        (f"  {words}", *(written(found[name][part]) for part in ("mean", "p50", "p95", "max")))
        for name, words, written in names
    ]
    put_table(("  PATHS", "MEAN", "HALF", "WORST 5 %", "WORST"), rows)


def _put_account(one: Mapping[str, Any]) -> None:
    put(
        f"{one['name']}: liquidated below {_number(one['liquidation_price'])}; number {one['rank']:,} of {one['of']:,} "
        f"in the queue, debt ahead {_number(one['debt_ahead'])}"
    )
    rows = [
        (f"  {words}", _percent(one[f"shock_{key}"]), _or(one[f"sigma_days_{key}"]), _chance(one[f"chance_{key}"]))
        for key, words in (("alone", "its price alone"), ("cascade", "the cascade reaches it"))
    ]
    put_table((f"  WITHIN {one['horizon']}", "SHOCK", "SIGMA-DAYS", "CHANCE"), rows)
    if one["chance_simulated"] is not None:
        error = _percent(one["chance_simulated_error"])
        put(f"  reached in {_percent(one['chance_simulated'])} of the paths (+/- {error})")
    view = one["liquidators"]
    for key, words in (("first", "first in line"), ("behind_the_queue", "behind the queue")):
        offer = view[key]
        put(
            f"  liquidators, {words}: repay {_number(offer['repay'])}, profit {_number(offer['profit'])} = bonus "
            f"{_number(offer['bonus_value'])} - slippage {_number(offer['slippage'])} - fee {_number(offer['fee'])} "
            f"- gas {_number(offer['gas'])} - latency {_number(offer['latency_cost'])}"
        )
    pays = view["profitable_from"]
    put(f"  pays from {_number(pays)}" if pays else f"  pays at no price down to {_number(view['searched_to'])}")
    if not view["raises_health"]:
        put("  a liquidation lowers its health: health <= threshold x (1 + bonus)")


def _percent(text: str) -> str:
    return f"{Decimal(text) * 100 or Decimal(0):.2f} %"  # a fall of nothing is no -0.00


def _chance(text: str | None) -> str:
    if text is None:
        return "?"
    share = Decimal(text) * 100
    return "<0.001 %" if share < Decimal("0.001") else f"{share:.3g} %"


def _or(text: str | None) -> str:
    return "?" if text is None else f"{Decimal(text):.2f}"


def _number(text: str) -> str:
    value = Decimal(text)
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.2f}"
