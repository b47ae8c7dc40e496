"""Commands that read once and answer: `status`, `check`, `prices`, `alerts`."""

import asyncio
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

from desk.desk import Desk
from desk.snapshot import AssetState, Snapshot
from desk.view import assessed, source_answer
from desk.view import status as status_of
from engine.answers import envelope
from engine.assessment import Severity
from engine.oracle import divergence_in_thresholds
from engine.rendering import rounded
from marginline.commands.risk import put_assessed
from marginline.commands.setup import read_config
from marginline.compose import build_desk
from marginline.config import Config, default_path
from marginline.exits import Exit, nagios, worst_exit
from marginline.output import put, put_json, put_table, say
from marginline.words import urgency
from providers.errors import ConfigError, Unauthorised, Unreachable
from tui import numbers

DEFAULT_ASSETS = ("BTC", "ETH")


def status(path: Path | None, *, as_json: bool, timeout_s: float) -> Exit:
    """Read every account once and print it; 0 when one could be read, else 3 or 4 by what went wrong."""
    config = read_config(path)
    _require_accounts(config)
    snapshot = asyncio.run(_read(build_desk(config), timeout_s))
    if as_json:
        put_json(status_of(snapshot))
    else:
        put_assessed(assessed(snapshot))
    _say_what_is_wrong(snapshot)
    return _answered(snapshot)


def check(path: Path | None, *, fail_at: Severity, as_nagios: bool, as_json: bool, timeout_s: float) -> Exit | int:
    """Read every account once and say the worst by exit code; an account that could not be read is unknown."""
    config = read_config(path)
    _require_accounts(config)
    snapshot = asyncio.run(_read(build_desk(config), timeout_s))
    unread = [source.name for source in snapshot.sources if source.kind == "account" and source.updated_at_ns is None]
    severities = [state.assessment.severity for state in snapshot.accounts.values()]
    code = worst_exit([*severities, *(Severity.UNKNOWN for _ in unread)], fail_at)
    worst_first = sorted(assessed(snapshot), key=lambda pair: urgency(pair[1]))
    reasons = [f"{found.name} {found.severity.value}: {found.severity_because}" for _, found in worst_first]
    reasons = [*(f"{name} unknown: {_why_unread(snapshot, name)}" for name in unread), *reasons]
    if as_nagios:
        number, word = nagios(code)
        words = [reason.replace("|", "/") for reason in reasons]  # a bar would begin the performance data
        put(f"MARGINLINE {word} - {words[0] if words else 'no account'} | {_performance(snapshot)}")
        for reason in words[1:]:
            put(reason)
        return number
    if as_json:
        accounts = [
            {"name": found.name, "severity": found.severity.value, "severity_because": found.severity_because}
            for _, found in worst_first
        ]
        answer = envelope(
            "marginline.check/1",
            snapshot.taken_at_ns,
            snapshot.degraded,
            exit_code=int(code),
            unread=unread,
            accounts=accounts,
        )
        put_json(answer)
    else:
        for reason in reasons:
            put(reason)
    _say_what_is_wrong(snapshot)
    return code


def _performance(snapshot: Snapshot) -> str:
    """Return Nagios performance data, floored: health and distance of every account that owes; `U` when not known."""
    parts = []
    for name, state in snapshot.accounts.items():
        found = state.assessment
        if not found.has_debt:
            continue
        is_known = found.severity is not Severity.UNKNOWN
        nearest = found.liquidation.get(found.nearest) if found.nearest else None
        health = found.health_factor if is_known else None
        distance = nearest.distance if nearest and is_known else None
        parts.append(f"'{name} health'={_datum(health, 3)}")
        parts.append(f"'{name} distance'={_datum(None if distance is None else distance * 100, 2, '%')}")
    return " ".join(parts)


def _datum(value: Decimal | None, places: int, unit: str = "") -> str:
    return "U" if value is None else f"{numbers.round_exactly(value, places, ROUND_FLOOR):f}{unit}"


def alerts(path: Path | None, *, as_json: bool, timeout_s: float) -> Exit:
    """Read every account once and print the alerts that fire now, newest first."""
    config = read_config(path)
    _require_accounts(config)
    snapshot = asyncio.run(_read(build_desk(config), timeout_s))
    if as_json:
        rows = [
            {
                "key": alert.key,
                "rule": alert.rule.value,
                "subject": alert.subject,
                "severity": alert.severity.value,
                "text": alert.text,
                "phase": alert.phase.value,
            }
            for alert in snapshot.alerts
        ]
        put_json(envelope("marginline.alerts/1", snapshot.taken_at_ns, snapshot.degraded, alerts=rows))
    elif snapshot.alerts:
        put_table(
            ("SEVERITY", "SUBJECT", "WHAT"),
            [(alert.severity.value.upper(), alert.subject, alert.text) for alert in snapshot.alerts],
            left=3,
        )
    else:
        say("no alert fires now")
    _say_what_is_wrong(snapshot)
    return _answered(snapshot)


def prices(
    path: Path | None, wanted: Sequence[str], *, watch: bool, as_json: bool, jsonl: bool, timeout_s: float
) -> Exit:
    """Print quotes, consensus, oracle and divergence of `wanted` assets, or of those that the accounts hold."""
    config = _config_or_default(path)
    if not config.venues and not config.accounts:
        raise ConfigError(f"{config.path}: prices.venues is empty and there is no account; add a venue")
    assets = frozenset(wanted) or (frozenset() if config.accounts else frozenset(DEFAULT_ASSETS))
    desk = build_desk(config, assets=assets)
    if not watch:
        snapshot = asyncio.run(_read(desk, timeout_s))
        _put_prices(snapshot, wanted, as_json=as_json, compact=False)
        _say_what_is_wrong(snapshot)
        priced = any(state.consensus.price is not None or state.price.oracle for state in snapshot.prices.values())
        return Exit.OK if priced else Exit.NETWORK
    asyncio.run(_stream_prices(desk, wanted, as_json=as_json or jsonl, compact=jsonl))
    return Exit.OK


def read_live(config: Config, timeout_s: float) -> Snapshot:
    """Return one reading of every configured account; raises `ConfigError` without any, or what kept all unread."""
    _require_accounts(config)
    snapshot = asyncio.run(_read(build_desk(config), timeout_s))
    if _answered(snapshot) is not Exit.OK:
        source = next(source for source in snapshot.sources if source.kind == "account")
        raise (Unauthorised if source.is_unauthorised else Unreachable)(source.name, source.detail or "no answer")
    return snapshot


async def _read(desk: Desk, timeout_s: float) -> Snapshot:
    try:
        return await desk.read_once(timeout_s)
    finally:
        await desk.aclose()


async def _stream_prices(desk: Desk, wanted: Sequence[str], *, as_json: bool, compact: bool) -> None:
    """Print the newest prices at most once a second until interrupted."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(desk.run())
        shown: dict[str, AssetState] = {}
        try:
            async for snapshot in desk.snapshots():
                if snapshot.prices and snapshot.prices != shown:
                    shown = dict(snapshot.prices)
                    _put_prices(snapshot, wanted, as_json=as_json, compact=compact)
                await asyncio.sleep(1)  # the pace of the output, not a wait for anything
        finally:
            running.cancel()


def _put_prices(snapshot: Snapshot, wanted: Sequence[str], *, as_json: bool, compact: bool) -> None:
    states = [state for asset, state in sorted(snapshot.prices.items()) if not wanted or asset in wanted]
    if as_json:
        rows = {state.asset: price_answer(state, snapshot.taken_at_ns) for state in states}
        sources = [source_answer(source, snapshot.taken_at_ns) for source in snapshot.sources]
        answer = envelope("marginline.prices/1", snapshot.taken_at_ns, snapshot.degraded, sources=sources, prices=rows)
        put_json(answer, compact=compact)
        return
    put_table(
        ("ASSET", "ORACLE", "AGE", "MARKET", "DIV bps", "VENUES", "LEFT OUT"),
        [_price_row(state) for state in states],
        left=1,
    )


def _price_row(state: AssetState) -> tuple[str, ...]:
    oracle = state.price.oracle
    places = numbers.price_places(oracle.price if oracle else state.consensus.price)
    age = oracle.age_s if oracle else None
    return (
        state.asset,
        numbers.price(oracle.price, places) if oracle else "",
        numbers.age(None if age is None else int(age * 1_000_000_000)) if oracle else "",
        numbers.price(state.consensus.price, places),
        numbers.basis_points(state.divergence_bps) if oracle else "",
        " ".join(state.consensus.venues) or "none",
        ", ".join(f"{venue}: {why}" for venue, why in state.consensus.excluded.items()) or state.consensus.reason,
    )


def price_answer(state: AssetState, now_ns: int) -> dict[str, object]:
    """Return one asset for JSON: oracle, consensus with who was left out and why, every quote with its age."""
    oracle = state.price.oracle
    return {
        "oracle": None
        if oracle is None
        else {
            "price": rounded(oracle.price),
            "age_s": rounded(oracle.age_s),
            "heartbeat_s": rounded(oracle.heartbeat_s),
            "deviation_bps": rounded(oracle.deviation_bps),
            "source": oracle.source or None,
        },
        "consensus": {
            "price": rounded(state.consensus.price),
            "venues": list(state.consensus.venues),
            "excluded": dict(state.consensus.excluded),
            "single_venue": state.consensus.single_venue,
            "reason": state.consensus.reason or None,
        },
        "divergence_bps": rounded(state.divergence_bps),
        "divergence_in_thresholds": rounded(_in_thresholds(state)),
        "volatility": rounded(state.price.volatility),
        "quotes": [
            {
                "venue": quote.venue,
                "bid": rounded(quote.bid),
                "ask": rounded(quote.ask),
                "age_s": None if quote.observed_at_ns is None else round((now_ns - quote.observed_at_ns) / 1e9, 3),
            }
            for quote in state.price.quotes
        ],
    }


def _in_thresholds(state: AssetState) -> Decimal | None:
    """Return the divergence in multiples of the feed's threshold (1 = a print is due); `None` where one is unknown."""
    oracle, market = state.price.oracle, state.consensus.price
    return None if oracle is None or market is None else divergence_in_thresholds(market, oracle)


def _config_or_default(path: Path | None) -> Config:
    """Return the config, or one without accounts when none was named and none is there: prices need no account."""
    if path is None and not default_path().exists():
        return Config(path=default_path())
    return read_config(path)


def _require_accounts(config: Config) -> None:
    if not config.accounts:
        raise ConfigError(f"{config.path}: there is no [[account]]; add one, or run: marginline init --force")


def _why_unread(snapshot: Snapshot, name: str) -> str:
    return next((source.detail for source in snapshot.sources if source.name == name and source.detail), "no answer")


def _say_what_is_wrong(snapshot: Snapshot) -> None:
    for reason in snapshot.degraded:
        say(reason)
    for source in snapshot.sources:
        for warning in source.warnings:
            say(f"{source.name}: {warning}")


def _answered(snapshot: Snapshot) -> Exit:
    """Return 0 when any account was read, else what kept all of them: authentication or network."""
    sources = [source for source in snapshot.sources if source.kind == "account"]
    if not sources or any(source.updated_at_ns is not None for source in sources):
        return Exit.OK
    return Exit.AUTH if any(source.is_unauthorised for source in sources) else Exit.NETWORK
