"""What forecasts and margin what-ifs stand on: accounts of a document or live, candles of a folder or a venue."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from desk.foresight import HOURS, SAME, arrays
from desk.snapshot import Snapshot
from engine.portfolio import Portfolio
from engine.record import record
from marginline.commands.readers import read_live
from marginline.commands.risk import read_portfolio
from marginline.commands.setup import read_config
from marginline.compose import build_feed, candle_source
from marginline.config import Config, default_path
from marginline.output import say
from providers.errors import ConfigError, ProviderError
from providers.ports import CandleSource

if TYPE_CHECKING:
    from engine.simulation.candles import Candles
    from engine.simulation.model import Model


@record
class Ground:
    """Where accounts, candles and coefficients are to come from, as the command line said."""

    portfolio: str | None
    candles: Path | None
    venue: str | None
    model: Path | None
    config: Path | None
    timeout_s: float


@record
class Held:
    """Accounts with their prices at one moment, and what is wrong with them."""

    portfolio: Portfolio
    degraded: tuple[str, ...] = ()
    config: Config | None = None


def held(ground: Ground) -> Held:
    """Return the accounts: of the document, or read live; raises `ConfigError`, or what kept every account unread."""
    if ground.portfolio is not None:
        return Held(read_portfolio(ground.portfolio))
    config = read_config(ground.config)
    snapshot: Snapshot = read_live(config, ground.timeout_s)
    from desk.view import portfolio

    return Held(portfolio(snapshot), tuple(snapshot.degraded), config)


def model_of(ground: Ground) -> "tuple[Model, str]":
    """Return the coefficients and where they come from; raises `ConfigError`."""
    from engine.simulation.candles import CandleError
    from engine.simulation.model import frozen, read_model

    if ground.model is None:
        return frozen(), "shipped"
    try:
        return read_model(ground.model), str(ground.model)
    except CandleError as error:
        raise ConfigError(str(error)) from error


def candles_of(ground: Ground, found: Held) -> "tuple[dict[str, Candles], list[str]]":
    """Return candles by asset, as many as can be had, and why others could not; raises `ConfigError`.

    A document is assessed offline: a venue is asked only when it is named. What a venue does not answer is a reason.
    """
    assets = _wanted(found.portfolio)
    if ground.candles is not None:
        return from_folder(ground.candles, assets), []
    if ground.venue is None and found.config is None:
        return {}, []
    source = source_of(ground.venue, found.config or config_or_default(ground.config))
    if source is None:
        return {}, ["no configured price venue has hourly candles; name a folder with --candles"]
    return asyncio.run(from_source(source, assets, HOURS, ground.timeout_s))


def _wanted(document: Portfolio) -> list[str]:
    """Return the volatile assets of all accounts, and the markets that their oracles follow."""
    from engine.simulation.following import leg_followed

    held = {asset for account in document.accounts for asset in account.assets}
    oracles = [document.prices[asset].oracle for asset in held if asset in document.prices]
    oracles += [oracle for account in document.accounts for oracle in account.oracles.values()]
    held |= {other for oracle in oracles if (other := leg_followed(oracle)) is not None}
    return sorted(held - {asset for asset, price in document.prices.items() if price.stable})


def from_folder(folder: Path, assets: Iterable[str]) -> "dict[str, Candles]":
    """Return the candles of those `assets` that have a file; raises `ConfigError` for a bad folder or file."""
    from engine.simulation.candles import CandleError, file_of, read_candles

    if not folder.is_dir():
        raise ConfigError(f"{folder}: is no folder; --candles names one with ASSET_1h.csv files")
    found: dict[str, Candles] = {}
    for asset in assets:
        path = file_of(folder, asset) or file_of(folder, SAME.get(asset, asset))
        if path is not None:
            try:
                found[asset] = read_candles(path)
            except CandleError as error:
                raise ConfigError(str(error)) from error
    return found


def source_of(venue: str | None, config: Config) -> CandleSource | None:
    """Return the named venue, or the first configured one, that has hourly candles; raises `ConfigError`."""
    from marginline.registry import FEED_MODULES

    if venue is not None and venue not in FEED_MODULES:
        raise ConfigError(f"--from-venue: unknown venue {venue[:40]!r}; known: {', '.join(FEED_MODULES)}")
    found = candle_source([build_feed(config, name) for name in ((venue,) if venue is not None else config.venues)])
    if found is None and venue is not None:
        raise ConfigError(f"--from-venue: {venue} gives no hourly candles; binance, bybit and coinbase do")
    return found


async def from_source(
    source: CandleSource, assets: Sequence[str], hours: int, timeout_s: float
) -> "tuple[dict[str, Candles], list[str]]":
    """Return the candles that a venue has of `assets`, and a reason for each that it does not give in time."""
    from engine.simulation.candles import CandleError

    found: dict[str, Candles] = {}
    reasons: list[str] = []

    async def read(asset: str) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                found[asset] = arrays(await source.hourly_candles(SAME.get(asset, asset), hours), asset)
        except (ProviderError, CandleError) as error:
            reasons.append(f"candles of {asset}: {error}")
        except TimeoutError:
            reasons.append(f"candles of {asset}: no answer within {timeout_s:g} s")

    await asyncio.gather(*map(read, assets))
    return found, sorted(reasons)


def config_or_default(path: Path | None) -> Config:
    """Return the config, or an empty one when none was named and none is there."""
    return Config(path=default_path()) if path is None and not default_path().exists() else read_config(path)


def say_all(reasons: Iterable[str]) -> None:
    """Tell people what is wrong, each reason once."""
    for reason in dict.fromkeys(reasons):
        say(reason)


def now_ns() -> int:
    """Return the clock."""
    return time.time_ns()
