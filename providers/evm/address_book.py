"""The bundled address book: chains by name, markets by chain, update rules of price feeds; from two JSON files."""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from engine.record import record
from providers.errors import ConfigError
from providers.ports import OracleRule

DEFAULT_POLL_S = 2.0


@record
class Chain:
    """What we know of a chain; `block_s` is its usual block time, `None` where blocks come on demand."""

    chain_id: int
    name: str
    block_s: float | None = None
    poll_s: float = DEFAULT_POLL_S
    sequencer_feed: str | None = None


@record
class Market:
    """A lending market: its addresses provider (lower case) names everything else on chain."""

    provider: str
    chain_id: int
    name: str
    short: str
    addresses_provider: str


def chain_of(name: str | None, chain_id: int | None, where: str) -> Chain:
    """Return the chain that the config names, by name, id or both; raises `ConfigError` when they contradict."""
    chains = _chains()
    named = None
    if name is not None:
        named = next((chain for names, chain in chains if name.lower() in names), None)
        if named is None:
            known = ", ".join(names[0] for names, _ in chains)
            raise ConfigError(f"{where}: unknown chain {name[:40]!r}; known: {known}; or give chain_id")
        if chain_id is not None and chain_id != named.chain_id:
            raise ConfigError(f"{where}: chain {name} is {named.chain_id}, chain_id says {chain_id}; drop one")
        return named
    if chain_id is None:
        raise ConfigError(f'{where}: chain (or chain_id) is missing, e.g. chain = "ethereum"')
    return next((chain for _, chain in chains if chain.chain_id == chain_id), Chain(chain_id, f"chain {chain_id}"))


def market_of(provider: str, chain: Chain, name: str | None, where: str) -> Market:
    """Return the bundled market of `provider` on `chain`, "core" unless named; raises `ConfigError` without one."""
    here = [market for market in _markets() if (market.provider, market.chain_id) == (provider, chain.chain_id)]
    wanted = (name or "core").lower()
    for market in here:
        if market.name == wanted:
            return market
    if here:
        raise ConfigError(
            f"{where}: no market {wanted[:40]!r} on {chain.name}; known: {', '.join(m.name for m in here)}"
        )
    raise ConfigError(f"{where}: no {provider} market of {chain.name} is bundled; give its addresses_provider")


def feed_rule(chain_id: int, feed: str) -> OracleRule | None:
    """Return a Chainlink feed's bundled update rule by its address; `None` when we know none."""
    return _rules().get((chain_id, feed.lower()))


@cache
def _book() -> Mapping[str, Any]:
    return _load("addresses.json")


@cache
def _chains() -> tuple[tuple[tuple[str, ...], Chain], ...]:
    return tuple(
        (
            tuple(raw["names"]),
            Chain(raw["chain_id"], raw["names"][0], raw["block_s"], float(raw["poll_s"]), raw.get("sequencer_feed")),
        )
        for raw in _book()["chains"]
    )


@cache
def _markets() -> tuple[Market, ...]:
    return tuple(
        Market(raw["provider"], raw["chain_id"], raw["market"], raw["short"], raw["addresses_provider"].lower())
        for raw in _book()["markets"]
    )


@cache
def _rules() -> Mapping[tuple[int, str], OracleRule]:
    return {
        (raw["chain_id"], raw["feed"].lower()): OracleRule(_figure(raw["deviation_bps"]), _figure(raw["heartbeat_s"]))
        for raw in _load("feeds.json")["feeds"]
    }


def _figure(raw: str | None) -> Decimal | None:
    return None if raw is None else Decimal(raw)


def _load(name: str) -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(files("providers.evm").joinpath(name).read_text(encoding="utf-8"))
    return loaded
