"""The config file: what it may say, and an error with file, line and remedy for everything else.

TOML in the user's config directory; a flag wins over a `MARGINLINE_*` variable, which wins over the file.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.accounts import Kind
from engine.record import record
from engine.severity import DEFAULT_LADDERS, Ladder
from marginline.secrets import SCHEMES, is_reference, resolve
from marginline.toml_table import Table, load_table
from providers.errors import ConfigError
from providers.ports import OracleRule

if TYPE_CHECKING:
    from marginline.cascade_wish import Wish

PRICE_VENUES = ("binance", "coinbase", "kraken", "okx", "bybit", "hyperliquid")
OPTION_VENUES = ("deribit",)
DEFAULT_STABLES = frozenset(
    {
        "USD",
        "USDC",
        "USDC.e",
        "USDT",
        "USDT0",
        "DAI",
        "USDS",
        "GHO",
        "LUSD",
        "FRAX",
        "PYUSD",
        "RLUSD",
        "FDUSD",
        "USDe",
        "USDbC",
        "crvUSD",
    }
)
_SECRET_KEYS = ("key", "secret", "passphrase", "signer")
_BY_PROVIDER = (
    "address",
    "chain",
    "chain_id",
    "market",
    "addresses_provider",
    "rpc_url",
    "rest_url",
    "ws_url",
    "key",
    "secret",
    "passphrase",
    "subaccount",
    "wallet",
    "file",
    "confirmations",
)
MOST_CONFIRMATIONS = 200
"""Beyond that the search for whoever used a nonce ends (`providers.evm.rescue.finding`), and nobody waits so long."""
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")
_KEYLIKE = re.compile(r"^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_-]{24,}$")


@record
class VenueConfig:
    """Overrides of one price venue; `None` keeps the adapter's default."""

    rest_url: str | None = None
    ws_url: str | None = None
    stale_after_s: float | None = None
    tls_ca: str | None = None


@record
class AccountConfig:
    """One `[[account]]` as written; URLs may still be references. `described` holds a manual account's own tables."""

    name: str
    provider: str
    where: str
    address: str | None = None
    chain: str | None = None
    chain_id: int | None = None
    market: str | None = None
    addresses_provider: str | None = None
    rpc_urls: tuple[str, ...] = ()
    submit_rpc_url: str | None = None
    rest_url: str | None = None
    ws_url: str | None = None
    poll_s: float | None = None
    stale_after_s: float | None = None
    tls_ca: str | None = None
    key: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    signer: str | None = None
    subaccount: str | None = None
    wallet: str | None = None
    file: str | None = None
    folder: Path = Path()
    ladder: Ladder | None = None
    oracle_rules: Mapping[str, OracleRule] = field(default_factory=dict)
    described: Mapping[str, object] = field(default_factory=dict)
    submit_fallback: bool = False
    max_topup_usd: Decimal | None = None
    confirmations: int | None = None


@record
class Limits:
    """Caps on money actions, in USD and minutes; `None` means not set. An account's own cap stands beside these."""

    max_topup_usd: Decimal | None = None
    max_per_day_usd: Decimal | None = None
    arm_minutes: int = 15


@record
class UiConfig:
    """How the dashboard looks."""

    theme: str | None = None
    ascii: bool | None = None
    mask: bool | None = None
    mouse: bool | None = None
    fps: int | None = None
    bell: bool | None = None


@record
class Config:
    """A whole, valid config. `cascades` are the lending markets to look at for cascades, by collateral."""

    path: Path
    accounts: tuple[AccountConfig, ...] = ()
    venues: tuple[str, ...] = PRICE_VENUES
    venue_options: Mapping[str, VenueConfig] = field(default_factory=dict)
    stables: frozenset[str] = DEFAULT_STABLES
    ladders: Mapping[Kind, Ladder] = field(default_factory=lambda: dict(DEFAULT_LADDERS))
    cooldown_s: int | None = None
    notify_urls: tuple[str, ...] = field(default=(), repr=False)
    limits: Limits = Limits()
    ui: UiConfig = UiConfig()
    journal: Path | None = None
    cascades: "Mapping[str, Wish]" = field(default_factory=dict)

    def journal_path(self) -> Path:
        """Return where the journal of actions is kept: as configured, else in the user's state directory."""
        if self.journal is not None:
            return self.journal
        from platformdirs import user_state_path

        return user_state_path("marginline", appauthor=False) / "journal.sqlite3"

    @property
    def signer_directory(self) -> Path:
        """Return where keystores lie: `signers` beside the config file."""
        return self.path.parent / "signers"


def default_path() -> Path:
    """Return where the config is looked for without `--config`: `MARGINLINE_CONFIG`, else the user config directory."""
    if named := os.environ.get("MARGINLINE_CONFIG"):
        return Path(named).expanduser()
    from platformdirs import user_config_path

    return user_config_path("marginline", appauthor=False) / "config.toml"


def load_config(path: Path, providers: Mapping[str, frozenset[str]], described_by: frozenset[str]) -> Config:
    """Return the config at `path`; raises `ConfigError` naming file, line and key.

    `providers` maps each provider name to the settings it takes; `described_by` are providers whose account is
    written out in the config itself.
    """
    root = load_table(path)
    accounts = tuple(_account(table, providers, described_by) for table in root.tables("account"))
    seen: dict[str, AccountConfig] = {}
    for table, account in zip(root.tables("account"), accounts, strict=True):
        if account.name in seen:
            raise table.error("name", f'"{account.name}" is already used by another account; names must differ')
        seen[account.name] = account
    prices = root.table("prices")
    venues = prices.texts("venues") if "venues" in prices.data else PRICE_VENUES
    for venue in venues:
        if venue not in PRICE_VENUES:
            raise prices.error("venues", f'unknown venue "{venue[:40]}"; known: {", ".join(PRICE_VENUES)}')
    stables = DEFAULT_STABLES | frozenset(prices.texts("stables"))
    prices.finish()
    alerts = root.table("alerts")
    ladders = {kind: _ladder(alerts.table(kind.value), DEFAULT_LADDERS[kind]) for kind in Kind}
    cooldown = alerts.whole("cooldown_s", 0, 86_400)
    alerts.finish()
    config = Config(
        path=path,
        accounts=accounts,
        venues=tuple(dict.fromkeys(venues)),
        venue_options=_venues(root.table("venues")),
        stables=stables,
        ladders=ladders,
        cooldown_s=cooldown,
        notify_urls=_notify(root.table("notify")),
        limits=_limits(root.table("limits")),
        ui=_ui(root.table("ui")),
        journal=_journal(root.table("journal"), path),
        cascades=_cascades(root.table("cascade"), accounts),
    )
    root.finish()
    return config


def _account(table: Table, providers: Mapping[str, frozenset[str]], described_by: frozenset[str]) -> AccountConfig:
    name = table.required("name", '"main"')
    if not _NAME.match(name):
        raise table.error("name", "must be 1-40 letters, digits, '.', '_' or '-', starting with a letter or digit")
    table.title = name
    provider = table.required("provider", '"aave-v3"')
    if provider not in providers:
        raise table.error("provider", f'unknown provider "{provider[:40]}"; known: {", ".join(sorted(providers))}')
    secrets = {key: _secret(table, key) for key in _SECRET_KEYS}
    rules = {asset: _oracle_rule(rule) for asset, rule in table.table("oracles").children()}
    ladder = _ladder(table.table("alerts"), None) if "alerts" in table.data else None
    limits = table.table("limits")
    own_cap = limits.number("max_topup_usd")
    limits.finish()
    described: dict[str, object] = {}
    if provider in described_by:
        for key in (
            "kind",
            "quote",
            "mode",
            "balance",
            "cash",
            "cash_rate",
            "collateral",
            "debt",
            "positions",
            "prices",
            "close_factor",
        ):
            if (value := table.raw(key)) is not None:
                described[key] = value
        table.raw("as_of")
    account = AccountConfig(
        name=name,
        provider=provider,
        where=f"{table.file}: account {name}",
        address=table.text("address"),
        chain=table.text("chain"),
        chain_id=table.whole("chain_id", 1, 2**53),
        market=table.text("market"),
        addresses_provider=table.text("addresses_provider"),
        rpc_urls=tuple(_url(table, "rpc_url", url, ("http", "https")) for url in table.texts("rpc_url")),
        submit_rpc_url=_one_url(table, "submit_rpc_url", ("http", "https")),
        rest_url=_one_url(table, "rest_url", ("http", "https")),
        ws_url=_one_url(table, "ws_url", ("ws", "wss")),
        poll_s=_seconds(table, "poll_s"),
        stale_after_s=_seconds(table, "stale_after_s"),
        tls_ca=table.text("tls_ca"),
        **secrets,
        subaccount=table.text("subaccount"),
        wallet=table.text("wallet"),
        file=table.text("file"),
        folder=table.file.parent,
        ladder=ladder,
        oracle_rules=rules,
        described=described,
        submit_fallback=bool(table.flag("submit_fallback")),
        max_topup_usd=own_cap,
        confirmations=table.whole("confirmations", 1, MOST_CONFIRMATIONS),
    )
    table.finish()
    if account.submit_fallback and account.submit_rpc_url is None:
        raise table.error("submit_fallback", "says what to do when submit_rpc_url fails, but that is not set")
    takes = providers[provider]
    if account.signer is not None and "key" in takes:
        raise table.error("signer", f"provider {provider} takes none: rescues are signed with the account's own key")
    for key in _BY_PROVIDER:
        if key in table.data and key not in takes:
            raise table.error(key, f"provider {provider} does not take it; it takes: {', '.join(sorted(takes))}")
    return account


def _secret(table: Table, key: str) -> str | None:
    value = table.text(key)
    if value is None:
        return None
    allowed = (*SCHEMES, "keystore") if key == "signer" else SCHEMES
    if value.partition(":")[0] not in allowed or ":" not in value:
        forms = ", ".join(f"{scheme}:..." for scheme in allowed)
        raise table.error(key, f"a secret must not stand in the file; write where it is instead: {forms}")
    return value


def _one_url(table: Table, key: str, schemes: tuple[str, ...]) -> str | None:
    value = table.text(key)
    return None if value is None else _url(table, key, value, schemes)


def _url(table: Table, key: str, value: str, schemes: tuple[str, ...]) -> str:
    if is_reference(value):
        return value
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise table.error(key, "is not a valid URL") from error
    if url.scheme not in schemes or not host:
        raise table.error(key, f"must be a URL starting with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    tokens = re.split(r"[/=&?]", f"{url.path}?{url.query}")
    if url.username or url.password or any(_KEYLIKE.match(token) for token in tokens):
        raise table.error(key, "seems to hold an API key; put the URL in a variable and write: env:NAME")
    return value


def _seconds(table: Table, key: str) -> float | None:
    value = table.number(key, Decimal("0.05"), 86_400)
    return None if value is None else float(value)


def _oracle_rule(table: Table) -> OracleRule:
    rule = OracleRule(table.number("deviation_bps", 0, 10_000), table.number("heartbeat_s", 1, 10**8))
    table.finish()
    return rule


def _ladder(table: Table, default: Ladder | None) -> Ladder:
    health = table.numbers("health", 3)
    distance = table.numbers("distance", 3, high=1)
    for key, steps, floor in (("health", health, Decimal(1)), ("distance", distance, Decimal(0))):
        if steps and not (steps[0] > steps[1] > steps[2] > 0 and steps[2] >= floor):
            raise table.error(
                key, f"must fall from watch to danger and stay at {floor} or above, e.g. [2.0, 1.5, 1.15]"
            )
    table.finish()
    if default is None:
        return Ladder(health=health, distance=distance)
    return Ladder(health=health or default.health, distance=distance or default.distance)


def _venues(table: Table) -> dict[str, VenueConfig]:
    options = {}
    for name, venue in table.children():
        if name not in (*PRICE_VENUES, *OPTION_VENUES):
            raise table.error(name, f"unknown venue; known: {', '.join((*PRICE_VENUES, *OPTION_VENUES))}")
        options[name] = VenueConfig(
            rest_url=_one_url(venue, "rest_url", ("http", "https")),
            ws_url=_one_url(venue, "ws_url", ("ws", "wss")),
            stale_after_s=_seconds(venue, "stale_after_s"),
            tls_ca=venue.text("tls_ca"),
        )
        venue.finish()
    return options


def _notify(table: Table) -> tuple[str, ...]:
    urls = table.texts("urls")
    for url in urls:
        if not is_reference(url):
            raise table.error("urls", 'an Apprise URL holds secrets; put it in a variable and write: "env:NAME"')
    table.finish()
    return urls


def _limits(table: Table) -> Limits:
    minutes = table.whole("arm_minutes", 1, 720)
    limits = Limits(table.number("max_topup_usd"), table.number("max_per_day_usd"), 15 if minutes is None else minutes)
    table.finish()
    return limits


def _journal(table: Table, config: Path) -> Path | None:
    """Return the journal's path; a relative one starts at the config's directory."""
    written = table.text("path")
    table.finish()
    return None if written is None else config.parent / Path(written).expanduser()


def _cascades(table: Table, accounts: tuple[AccountConfig, ...]) -> "dict[str, Wish]":
    if not table.data:
        return {}
    from marginline.cascade_wish import configured

    return configured(table, {account.name: account.provider for account in accounts})


def _ui(table: Table) -> UiConfig:
    ui = UiConfig(
        theme=table.text("theme"),
        ascii=table.flag("ascii"),
        mask=table.flag("mask"),
        mouse=table.flag("mouse"),
        fps=table.whole("fps", 1, 60),
        bell=table.flag("bell"),
    )
    table.finish()
    return ui


def resolved(reference: str | None, where: str) -> str | None:
    """Return a value with its reference, if it is one, looked up; raises `ConfigError`."""
    if reference is None or not is_reference(reference):
        return reference
    return resolve(reference, where)


def require_config(path: Path | None) -> Path:
    """Return the config file to read; raises `ConfigError` that says how to make one when there is none."""
    chosen = path or default_path()
    if not chosen.exists():
        raise ConfigError(
            f"{chosen}: there is no such file; write one with `marginline init`, or look at `marginline demo`"
        )
    return chosen
