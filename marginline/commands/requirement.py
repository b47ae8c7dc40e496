"""`marginline requirement`: what each account's margin would be under a rule, and what netting would save."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.answers import assess_portfolio
from marginline.commands.forecast import percent
from marginline.commands.ground import Ground, candles_of, held, model_of, say_all
from marginline.exits import Exit
from marginline.output import put, put_json, put_table
from providers.errors import ConfigError

if TYPE_CHECKING:
    from engine.simulation.requirement import Netted, Reach, Required
    from engine.simulation.rules import Rule


def requirement(
    ground: Ground,
    preset: str,
    *,
    horizon: str,
    confidence: float,
    contingency: float | None,
    slippage: float | None,
    as_json: bool,
) -> Exit:
    """Print what is required of every account and of all together; 0 when it answered. Raises `AppError`."""
    from engine.simulation.forecast import FITTED_ASSETS, Forecaster
    from engine.simulation.horizons import parse_horizon
    from engine.simulation.requirement import netted, ranges, required_of
    from engine.simulation.requirement_answer import backtest, requirement_answer
    from engine.simulation.rules import PRESETS

    if preset not in PRESETS:
        raise ConfigError(f"--preset: unknown rule {preset[:40]!r}; known: {', '.join(PRESETS)}")
    try:
        hours = parse_horizon(horizon)
    except ValueError as error:
        raise ConfigError(f"--horizon: {error}") from error
    rule = PRESETS[preset]
    if contingency is not None:
        rule = replace(rule, contingency=contingency, contingency_source="as asked")
    if slippage is not None:
        rule = replace(rule, slippage=slippage, slippage_source="as asked")
    chance = round(1 - confidence, 9)
    model, _ = model_of(ground)
    found = held(ground)
    candles, reasons = ({}, []) if rule.is_fixed else candles_of(ground, found)
    own = model.about.get("assets")
    forecaster = Forecaster(candles, model, FITTED_ASSETS if own is None else frozenset(map(str, own)))
    document = found.portfolio
    accounts = assess_portfolio(document)
    stable = {asset for asset, price in document.prices.items() if price.stable}
    assets = sorted({asset for account, _ in accounts for asset in account.assets} - stable)
    reach = ranges(rule, assets, forecaster, document.prices, document.as_of_ns, hours, chance)
    alone = [required_of(account, judged, document.prices, reach, rule) for account, judged in accounts]
    together = netted(accounts, alone, document.prices, reach, rule)
    tested = backtest(rule, hours, chance) if own is None else []
    degraded = [*found.degraded, *reasons]
    if as_json:
        put_json(requirement_answer(rule, hours, chance, alone, together, reach, tested, document.as_of_ns, degraded))
    else:
        _put(rule, alone, together, reach, tested)
    say_all(degraded)
    return Exit.OK


def _put(
    rule: "Rule",
    alone: Sequence["Required"],
    together: "Netted",
    reach: "Mapping[str, Reach | str]",
    tested: Sequence[Mapping[str, Any]],
) -> None:
    put_table(
        ("ACCOUNT", "LEG", "EQUITY", "REQUIRED", "COVERED", "PROTOCOL ASKS", "THRESHOLD", "IMPLIED"),
        [row for one in alone for row in _rows(one)],
        left=2,
    )
    put()
    put_table(
        ("ASSET", "FALL", "RISE", "FLOOR", "FALL AT 2x VOL", "METHOD"),
        [_range_row(asset, each) for asset, each in reach.items()],
        left=1,
    )
    put()
    put(
        f"all accounts: {together.separate:,.0f} apart, {together.netted:,.0f} netted, {together.saved:,.0f} saved; "
        f"{together.by_asset:,.0f} without offset between assets"
    )
    for line in together.breaks:
        put(f"  {line}")
    for row in tested:
        put(
            f"back-test {row['period'][0]} to {row['period'][1]}, {row['asset'].upper()}, {row['rule']}: exceeded in "
            f"{row['exceeded']:.2%} of hours (target {row['target']:.1%}), mean {row['mean']:.1%}"
        )
    say_all(
        [
            f"{rule.name}: {rule.source}",
            f"{rule.name}: {rule.certainty}",
            f"slippage {rule.slippage:.2%} of notional: {rule.slippage_source}",
            *(f"{one.name}: {one.because}" for one in alone if one.because),
            *(f"{one.name}: {each.asset}: {each.note}" for one in alone for each in one.thresholds if each.note),
            "a what-if: no protocol asks for this",
        ]
    )


def _rows(one: "Required") -> list[tuple[str, ...]]:
    whole = (
        _money(one.equity),
        "unknown" if one.required is None else _money(one.required),
        "" if one.covered is None else f"{one.covered:.2f}x",
        _money(one.protocol),
    )
    if not one.thresholds:
        return [(one.name, "", *whole, "", "")]
    return [
        (
            one.name if index == 0 else "",
            each.asset,
            *(whole if index == 0 else ("", "", "", "")),
            "" if each.protocol is None else percent(each.protocol),
            percent(each.implied),
        )
        for index, each in enumerate(one.thresholds)
    ]


def _range_row(asset: str, reach: "Reach | str") -> tuple[str, ...]:
    if isinstance(reach, str):
        return (asset, "unknown", "unknown", "", "", reach)
    floor = "" if reach.floor is None else percent(reach.floor) + (" holds" if reach.floored else "")
    doubled = "" if reach.doubled_down is None else percent(reach.doubled_down)
    return (asset, percent(reach.down), percent(reach.up), floor, doubled, reach.method)


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
