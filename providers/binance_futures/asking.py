"""What plain and portfolio margin accounts read alike: brackets and funding, one by one or all that the venue lists."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from engine.accounts import Tier
from providers.binance_futures.client import Client
from providers.binance_futures.wire import Funding, parse_brackets, parse_premiums

T = TypeVar("T")
_SINGLY = 5
"""Up to so many symbols are asked for one by one; above, for all that the venue lists at once."""


async def parsed(raw: Awaitable[bytes], parse: Callable[[bytes], T]) -> T:
    """Return the reply as `parse` reads it; raises `ProviderError`."""
    return parse(await raw)


async def brackets(client: Client, path: str, symbols: Sequence[str]) -> Mapping[str, tuple[Tier, ...]]:
    """Return the maintenance tiers of `symbols` as this account has them; raises `ProviderError`."""
    found: dict[str, tuple[Tier, ...]] = {}
    for fields in _asked(symbols):
        found |= parse_brackets(await client.signed(path, fields))
    return {symbol: tiers for symbol, tiers in found.items() if symbol in symbols}


async def premiums(futures: Client, symbols: Sequence[str]) -> Mapping[str, Funding]:
    """Return marks and next funding of `symbols`; raises `ProviderError`."""
    found: dict[str, Funding] = {}
    for fields in _asked(symbols):
        raw = await futures.public("/fapi/v1/premiumIndex", fields, weight=1 if fields else 10)
        found |= parse_premiums(raw)
    return {symbol: each for symbol, each in found.items() if symbol in symbols}


def _asked(symbols: Sequence[str]) -> Sequence[Mapping[str, str]]:
    return [{"symbol": symbol} for symbol in symbols] if len(symbols) <= _SINGLY else [{}]
