"""The composition root: from a config to a desk with its sources, feeds and channels."""

import time
from collections.abc import Callable, Sequence
from functools import cache, partial

from desk.desk import Desk
from desk.notify import Notifier
from desk.settings import DeskSettings, NotifyUrl
from engine.accounts import Kind
from engine.alerts import AlertPolicy
from engine.severity import Ladder
from marginline.config import AccountConfig, Config, resolved
from marginline.described import describer
from marginline.registry import DESCRIBED_IN_CONFIG, OPTION_MODULES, account_module, feed_module, option_module
from marginline.secrets import resolve
from providers.credentials import Credentials
from providers.errors import ConfigError
from providers.ports import (
    AccountOptions,
    CandleSource,
    HistorySource,
    OptionChain,
    PositionSource,
    PriceFeed,
    VenueOptions,
)


def build_desk(
    config: Config,
    *,
    assets: frozenset[str] = frozenset(),
    with_notifications: bool = False,
    clock: Callable[[], int] = time.time_ns,
    sources: Sequence[PositionSource] | None = None,
) -> Desk:
    """Return a desk on the configured accounts and venues; `assets` are priced beside those of the accounts.

    References to secrets are looked up here, so a missing variable is a `ConfigError` before anything starts. `sources`
    replace those of the configured accounts, for a caller that uses them too.
    """
    feeds = tuple(build_feed(config, venue) for venue in config.venues)
    if sources is None:
        sources = tuple(build_source(account, clock) for account in config.accounts)
    urls = tuple(partial(_notify_url, config, url) for url in config.notify_urls) if with_notifications else ()
    return Desk(
        sources,
        feeds,
        desk_settings(config, assets=assets, notify_urls=urls),
        history=_history(feeds),
        candles=candle_source(feeds),
        notifier=Notifier(urls) if urls else None,
        clock=clock,
    )


def desk_settings(
    config: Config, *, assets: frozenset[str] = frozenset(), notify_urls: tuple[NotifyUrl, ...] = ()
) -> DeskSettings:
    """Return how a desk judges the configured accounts, and when it calls something stale."""
    cooldown = config.cooldown_s
    return DeskSettings(
        ladders=config.ladders,
        account_ladders=account_ladders(config),
        venues=config.venues,
        stables=config.stables,
        assets=assets,
        alerts=AlertPolicy() if cooldown is None else AlertPolicy(cooldown_ns=cooldown * 1_000_000_000),
        notify_urls=notify_urls,
        price_stale_after_s={
            venue: options.stale_after_s
            for venue, options in config.venue_options.items()
            if options.stale_after_s is not None
        },
    )


def build_feed(config: Config, venue: str) -> PriceFeed:
    """Return the price feed of one configured venue."""
    feed: PriceFeed = feed_module(venue).feed(venue_options(config, venue))
    return feed


def build_chain(config: Config, venue: str) -> OptionChain:
    """Return the listed options of one venue; raises `ConfigError` for one that lists none."""
    if venue not in OPTION_MODULES:
        raise ConfigError(
            f"--from-venue: {venue[:40]!r} lists no options that are read; known: {', '.join(OPTION_MODULES)}"
        )
    chain: OptionChain = option_module(venue).option_chain(venue_options(config, venue))
    return chain


def venue_options(config: Config, venue: str) -> VenueOptions:
    """Return what the adapter of a venue is told, references looked up; raises `ConfigError`."""
    options = config.venue_options.get(venue)
    if options is None:
        return VenueOptions()
    where = f"{config.path}: venues.{venue}"
    return VenueOptions(
        rest_url=resolved(options.rest_url, f"{where}.rest_url"),
        ws_url=resolved(options.ws_url, f"{where}.ws_url"),
        stale_after_s=options.stale_after_s,
        tls_ca=options.tls_ca,
    )


def build_source(account: AccountConfig, clock: Callable[[], int]) -> PositionSource:
    """Return the source behind one `[[account]]`; raises `ConfigError` for what the provider cannot use."""
    options = account_options(account, clock)
    if options.credentials is not None:
        options.credentials.load()
    source: PositionSource = account_module(account.provider).source(options)
    return source


def account_options(account: AccountConfig, clock: Callable[[], int] = time.time_ns) -> AccountOptions:
    """Return what the adapter of one `[[account]]` is told, references looked up; raises `ConfigError`."""
    manual = describer(account, clock) if account.provider in DESCRIBED_IN_CONFIG else None
    return AccountOptions(
        name=account.name,
        provider=account.provider,
        address=resolved(account.address, f"{account.where}: address"),
        chain=account.chain,
        chain_id=account.chain_id,
        market=account.market,
        addresses_provider=account.addresses_provider,
        rpc_urls=tuple(resolved(url, f"{account.where}: rpc_url") or "" for url in account.rpc_urls),
        rest_url=resolved(account.rest_url, f"{account.where}: rest_url"),
        ws_url=resolved(account.ws_url, f"{account.where}: ws_url"),
        poll_s=account.poll_s,
        stale_after_s=account.stale_after_s,
        tls_ca=account.tls_ca,
        oracle_rules=account.oracle_rules,
        manual=manual,
        submit_rpc_url=resolved(account.submit_rpc_url, f"{account.where}: submit_rpc_url"),
        submit_fallback=account.submit_fallback,
        credentials=credentials_of(account),
        subaccount=account.subaccount,
        wallet=account.wallet,
        file=account.file,
        confirmations=1 if account.confirmations is None else account.confirmations,
    )


def credentials_of(account: AccountConfig) -> Credentials | None:
    """Return the account's API key, looked up when it is first needed; `None` when the config names none.

    The same account gets the same object, so that a command behind a reference is run once.
    """
    if not (account.key or account.secret or account.passphrase):
        return None
    return _credentials(account.where, account.key, account.secret, account.passphrase)


@cache
def _credentials(where: str, key: str | None, secret: str | None, passphrase: str | None) -> Credentials:
    parts = {"key": key, "secret": secret, "passphrase": passphrase}
    reveals = {
        name: partial(resolve, reference, f"{where}: {name}")
        for name, reference in parts.items()
        if reference is not None
    }
    return Credentials(where, **reveals)


def account_ladders(config: Config) -> dict[str, Ladder]:
    """Return the ladders of accounts that state their own, by account name."""
    return {account.name: ladder for account in config.accounts if (ladder := _ladder(config, account))}


def _ladder(config: Config, account: AccountConfig) -> Ladder | None:
    """Return the account's own ladder, completed by its kind's."""
    if account.ladder is None:
        return None
    kinds = account_module(account.provider).INFO.kinds
    named = str(account.described.get("kind", ""))
    kind = Kind(named) if named in set(Kind) else next(iter(sorted(kinds)), Kind.LOAN)
    base = config.ladders[kind]
    return Ladder(health=account.ladder.health or base.health, distance=account.ladder.distance or base.distance)


def _notify_url(config: Config, reference: str) -> str:
    return resolved(reference, f"{config.path}: notify.urls") or ""


def candle_source(feeds: Sequence[PriceFeed]) -> CandleSource | None:
    """Return the first configured venue that has hourly candles."""
    for feed in feeds:
        if hasattr(feed, "hourly_candles"):
            return feed  # type: ignore[return-value]  # checked by the attribute on the line above
    return None


def _history(feeds: tuple[PriceFeed, ...]) -> HistorySource | None:
    """Return the first configured venue that has past prices."""
    for feed in feeds:
        if hasattr(feed, "daily_closes"):
            return feed  # type: ignore[return-value]  # checked by the attribute on the line above
    return None
