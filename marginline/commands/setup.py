"""Set-up and diagnosis: `init`, `doctor`, `providers`, `config`, `notify test`."""

import asyncio
import re
import shutil
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.accounts import Kind
from marginline.config import AccountConfig, Config, default_path, load_config, require_config
from marginline.exits import Exit
from marginline.output import put, put_json, put_table, say
from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider, account_module, all_infos
from providers.errors import ConfigError
from providers.ports import ProviderInfo

_CHAINS = ("ethereum", "arbitrum", "base", "optimism", "polygon", "avalanche")
_ON_CHAIN = ("aave-v3", "spark")


def read_config(path: Path | None) -> Config:
    """Return the config at `path` or the default place; raises `ConfigError`."""
    return load_config(require_config(path), SettingsByProvider(), DESCRIBED_IN_CONFIG)


def config_path(path: Path | None) -> Exit:
    """Print where the config is looked for."""
    put(str(path or default_path()))
    return Exit.OK


def config_check(path: Path | None) -> Exit:
    """Say that the config is valid, or raise `ConfigError`."""
    config = read_config(path)
    accounts = ", ".join(account.name for account in config.accounts) or "none"
    put(f"{config.path}: valid; accounts: {accounts}; price venues: {', '.join(config.venues) or 'none'}")
    if not config.accounts:
        say("there is no [[account]] yet: nothing will be watched")
    return Exit.OK


def config_show(path: Path | None, *, as_json: bool) -> Exit:
    """Print the effective config; references stay references, so no secret can appear."""
    config = read_config(path)
    ladders = {kind.value: _ladder(config, kind) for kind in Kind}
    shown: dict[str, Any] = {
        "path": str(config.path),
        "accounts": [_account(account) for account in config.accounts],
        "prices": {"venues": list(config.venues), "stables": sorted(config.stables)},
        "alerts": {**ladders, "cooldown_s": config.cooldown_s},
        "notify": {"urls": list(config.notify_urls)},
        "limits": {
            "max_topup_usd": _amount(config.limits.max_topup_usd),
            "max_per_day_usd": _amount(config.limits.max_per_day_usd),
            "arm_minutes": config.limits.arm_minutes,
        },
        "journal": {"path": str(config.journal_path())},
        "cascade": _cascades(config),
    }
    if as_json:
        put_json({"schema": "marginline.config/1", **shown})
        return Exit.OK
    put(f"# {config.path}")
    for account in shown["accounts"]:
        put("[[account]]")
        for key, value in account.items():
            put(f"  {key} = {value}")
    put(f"[prices] venues = {', '.join(config.venues)}")
    for name, ladder in ladders.items():
        put(f"[alerts.{name}] {ladder}")
    put(f"[notify] urls = {', '.join(config.notify_urls) or 'none'}")
    put(f"[limits] {shown['limits']}")
    put(f"[journal] path = {shown['journal']['path']}")
    for asset, market in shown["cascade"].items():
        put(f"[cascade.{asset}] {', '.join(f'{key} = {value}' for key, value in market.items())}")
    return Exit.OK


def _cascades(config: Config) -> dict[str, dict[str, str]]:
    """Return what was configured of every market, as it was written."""
    if not config.cascades:
        return {}
    from marginline.cascade_wish import as_written

    return {asset: as_written(market) for asset, market in config.cascades.items()}


def _account(account: AccountConfig) -> dict[str, Any]:
    values = {
        "name": account.name,
        "provider": account.provider,
        "chain": account.chain,
        "chain_id": account.chain_id,
        "market": account.market,
        "addresses_provider": account.addresses_provider,
        "address": account.address,
        "rpc_url": list(account.rpc_urls) or None,
        "rest_url": account.rest_url,
        "ws_url": account.ws_url,
        "signer": account.signer,
        "submit_rpc_url": account.submit_rpc_url,
        "submit_fallback": account.submit_fallback or None,
        "max_topup_usd": _amount(account.max_topup_usd),
        "confirmations": account.confirmations,
        "key": account.key,
        "secret": account.secret,
    }
    return {key: value for key, value in values.items() if value is not None}


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _ladder(config: Config, kind: Kind) -> dict[str, list[str]]:
    ladder = config.ladders[kind]
    pairs = {"health": ladder.health, "distance": ladder.distance}
    return {name: [str(step) for step in steps] for name, steps in pairs.items() if steps}


def providers(*, as_json: bool) -> Exit:
    """Print what every adapter reads and does, as the adapters themselves say."""
    infos = all_infos()
    if as_json:
        rows = [
            {
                "name": info.name,
                "title": info.title,
                "kinds": sorted(kind.value for kind in info.kinds),
                "prices": info.prices,
                "reads": list(info.reads),
                "rescues": list(info.rescues),
                "required": sorted(info.required),
                "settings": sorted(info.settings),
                "live": info.live,
                "permissions": dict(info.permissions),
                "depth": info.depth,
                "options": info.options,
            }
            for info in infos
        ]
        put_json({"schema": "marginline.providers/1", "providers": rows})
        return Exit.OK
    put_table(
        ("PROVIDER", "KIND", "READS", "RESCUES BY", "NEEDS", "LIVE", "KEY MAY"),
        [
            (
                info.name,
                "prices" if info.prices else " ".join(sorted(kind.value for kind in info.kinds)),
                ", ".join(info.reads),
                ", ".join(info.rescues),
                " ".join(sorted(info.required)) or "nothing",
                info.live,
                "; ".join(f"{purpose}: {right}" for purpose, right in info.permissions.items()),
            )
            for info in infos
        ],
        left=7,
    )
    return Exit.OK


def init(
    path: Path | None, *, provider: str | None, address: str | None, chain: str | None, name: str, force: bool
) -> Exit:
    """Write a first config with one account; asks on a terminal for what is missing; overwrites only with --force."""
    target = path or default_path()
    if target.exists() and not force:
        raise ConfigError(f"{target}: exists already; edit it, or use --force (the old file is kept as a copy)")
    provider = provider or _ask(f"Provider ({', '.join(SettingsByProvider())})", "aave-v3")
    if provider not in SettingsByProvider():
        raise ConfigError(f'--provider: unknown provider "{provider[:40]}"; known: {", ".join(SettingsByProvider())}')
    lines = ["# marginline: what to watch. `marginline doctor` tests it.", "", "[[account]]"]
    lines += [f'name = "{name}"', f'provider = "{provider}"']
    variables: list[str] = []
    if provider in _ON_CHAIN:
        chain = chain or _ask(f"Chain ({', '.join(_CHAINS)})", "ethereum")
        if chain not in _CHAINS:
            raise ConfigError(f'--chain: unknown chain "{chain[:40]}"; known: {", ".join(_CHAINS)}')
        variable = f"{'ETH' if chain == 'ethereum' else chain.upper()}_RPC_URL"
        lines += [f'chain = "{chain}"', f'rpc_url = "env:{variable}"']
        variables.append(variable)
    if provider in DESCRIBED_IN_CONFIG:
        lines += [
            'kind = "broker"',
            'quote = "USD"',
            "cash = -20000",
            'positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]',
        ]
    info: ProviderInfo = account_module(provider).INFO
    if "address" in info.required:
        address = address or _ask("Public address", "")
        lines.append(f'address = "{address}"')
    secrets = [part for part in ("key", "secret", "passphrase") if part in info.required]
    lines += _key_lines(info, name, secrets)
    variables += [_variable(name, part) for part in secrets]
    lines += ["", "[prices]", 'venues = ["binance", "coinbase", "kraken", "okx", "bybit", "hyperliquid"]', ""]
    lines += ["# [notify]", '# urls = ["env:NTFY_URL"]   # Apprise URLs; then: marginline notify test', ""]
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.new")
    draft.write_text("\n".join(lines), encoding="utf-8")
    try:
        config = load_config(draft, SettingsByProvider(), DESCRIBED_IN_CONFIG)
        _try_address(config)
    except ConfigError as error:
        draft.unlink()
        raise ConfigError(str(error).replace(str(draft), str(target))) from error
    if target.exists():
        kept = target.with_name(f"{target.name}.{time.strftime('%Y%m%d-%H%M%S')}")
        shutil.copy2(target, kept)
        say(f"kept the old file as {kept}")
    draft.replace(target)
    put(str(target))
    if variables:
        say(f"next: export {' and '.join(variables)} (or another reference), then: marginline doctor")
    else:
        say("next: marginline doctor")
    return Exit.OK


def _variable(name: str, part: str) -> str:
    """Return the environment variable in which a part of an account's key is looked for."""
    word = re.sub("[^A-Z0-9]", "_", name.upper())
    return f"{word if not word[0].isdigit() else f'_{word}'}_{part.upper()}"


def _key_lines(info: ProviderInfo, name: str, parts: Sequence[str]) -> list[str]:
    """Return the references to a venue's key, and what the key must be allowed; nothing where none is needed."""
    rights = [f"#   to {purpose}: {right}" for purpose, right in info.permissions.items()]
    if not parts:
        return [f"# needed {right.removeprefix('#   ')}" for right in rights]
    head = "# The key never stands here, only where it is: env:NAME, cmd:COMMAND, keyring:SERVICE/USER or file:PATH."
    return [
        head,
        *(f'{part} = "env:{_variable(name, part)}"' for part in parts),
        "# What the key must be allowed at the venue; never give it the right to withdraw:",
        *rights,
    ]


def _try_address(config: Config) -> None:
    """Let the adapter judge what was entered, without reading anything and without needing the RPC variable."""
    from dataclasses import replace

    from marginline.compose import build_source

    for account in config.accounts:
        if account.key is not None:
            continue  # what the references name may not be there yet; the config's own rules have been checked
        urls = ("http://127.0.0.1:1",) if account.rpc_urls else ()
        build_source(replace(account, rpc_urls=urls), time.time_ns)


def _ask(question: str, default: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError(f"{question}: not given; use the options of `marginline init --help`")
    say(f"{question}{f' [{default}]' if default else ''}: ")
    answer = sys.stdin.readline().strip() or default
    if not answer:
        raise ConfigError(f"{question}: nothing was entered")
    return answer


def notify_test(path: Path | None, *, as_json: bool) -> Exit:
    """Send one message through every configured channel; 0 when all took it, 4 when one did not."""
    from functools import partial

    from desk.notify import Notifier
    from marginline.config import resolved

    config = read_config(path)
    if not config.notify_urls:
        raise ConfigError(f'{config.path}: notify.urls is empty; add for example: [notify] urls = ["env:NTFY_URL"]')
    where = f"{config.path}: notify.urls"
    for url in config.notify_urls:
        resolved(url, where)  # a missing variable is a config error, not a failed delivery
    notifier = Notifier([partial(_resolved_url, url, where) for url in config.notify_urls])
    result = asyncio.run(notifier.test())
    if as_json:
        put_json({"schema": "marginline.notify/1", "ok": result.ok, "detail": result.detail})
    else:
        put(f"{'ok' if result.ok else 'failed'}: {result.detail}")
    return Exit.OK if result.ok else Exit.NETWORK


def _resolved_url(reference: str, where: str) -> str:
    from marginline.config import resolved

    return resolved(reference, where) or ""


def doctor(path: Path | None, *, as_json: bool, timeout_s: float) -> Exit:
    """Check config, sources, clock, channels and terminal; 0 when nothing is wrong, 4 when a source is."""
    config = read_config(path)
    put_now = not as_json
    checks = [("config", "ok", str(config.path))]
    checks += asyncio.run(_source_checks(config, timeout_s))
    count = len(config.notify_urls)
    checks.append(("notify", "ok" if count else "none", f"{count} channels; prove them: marginline notify test"))
    checks += terminal_checks()
    wrong = [name for name, state, _ in checks if state in ("down", "stale", "degraded", "wrong")]
    if put_now:
        put_table(("CHECK", "STATE", "DETAIL"), checks, left=3)
        say(f"{len(wrong)} of {len(checks)} checks need a look: {', '.join(wrong)}" if wrong else "all is well")
    else:
        rows = [{"check": name, "state": state, "detail": detail} for name, state, detail in checks]
        put_json({"schema": "marginline.doctor/1", "ok": not wrong, "checks": rows})
    return Exit.NETWORK if wrong else Exit.OK


async def _source_checks(config: Config, timeout_s: float) -> list[tuple[str, str, str]]:
    from marginline.compose import build_desk

    snapshot = await build_desk(config).read_once(timeout_s)
    checks = []
    for source in snapshot.sources:
        age = (snapshot.taken_at_ns - source.updated_at_ns) / 1e9 if source.updated_at_ns is not None else None
        words = f"{age:.1f} s old" if age is not None else "no data"
        checks.append(
            (f"{source.kind} {source.name}", source.state.value, ", ".join(filter(None, (words, source.detail))))
        )
        checks += [(f"{source.kind} {source.name}", "warned", warning) for warning in source.warnings]
    blocks = {state.source: state for state in snapshot.accounts.values() if state.block_time_ns is not None}
    for name, state in blocks.items():
        behind_s = (state.observed_at_ns - (state.block_time_ns or 0)) / 1e9
        verdict = "wrong" if behind_s < -5 or behind_s > 300 else "ok"
        words = f"block {state.block_number} is {behind_s:.0f} s behind this machine's clock"
        if behind_s < -5:
            words = f"block {state.block_number} is {-behind_s:.0f} s ahead of this machine's clock: set the clock"
        checks.append((f"clock {name}", verdict, words))
    return checks


def terminal_checks() -> list[tuple[str, str, str]]:
    """Return what this terminal can show: type, size, colours, glyphs, and whether it is remote."""
    import os

    size = shutil.get_terminal_size(fallback=(0, 0))
    term = os.environ.get("TERM", "")
    colours = "none (NO_COLOR)" if os.environ.get("NO_COLOR") else os.environ.get("COLORTERM") or term or "unknown"
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    utf8 = "utf-8" in locale.lower() or "utf8" in locale.lower()
    remote = [name for name in ("SSH_CONNECTION", "TMUX", "STY") if os.environ.get(name)]
    if not sys.stdout.isatty():
        where = ("terminal", "none", "standard output is not a terminal")
    else:
        state = "ok" if size.columns >= 80 and size.lines >= 24 else "small"
        where = ("terminal", state, f"{term} {size.columns}x{size.lines}, colours: {colours}")
    return [
        where,
        (
            "glyphs",
            "ok" if utf8 else "ascii",
            f"locale {locale or 'not set'}{'' if utf8 else ': ASCII glyphs are used'}",
        ),
        ("remote", "ok", ", ".join(remote) or "local"),
    ]
