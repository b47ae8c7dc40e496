"""Follows the price source behind a lending reserve to its feeds: age, round, description, legs of a composite.

A source is one of: a Chainlink feed (`latestRoundData`); a price-capped adapter over one feed (a stablecoin,
`ASSET_TO_USD_AGGREGATOR`) or over a feed times an exchange ratio (a staked token, `BASE_TO_USD_AGGREGATOR`,
`getRatio`); a product of two feeds (`ASSET_TO_PEG`, `PEG_TO_BASE`); or something that only names a price, which then
has no age. Sources: docs.chain.link (feeds), bgd-labs/aave-capo and bgd-labs/cl-synchronicity-price-adapter (getters).
The price itself is always the market's own oracle's; nothing here replaces it.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from enum import StrEnum

from engine.prices import OracleLeg, OraclePrice
from engine.record import record
from providers.evm.abi import AbiError, address, encode_call, signed, text, uint, words
from providers.evm.address import shortened
from providers.evm.address_book import feed_rule
from providers.evm.multicall import Call
from providers.ports import OracleRule
from providers.text import inert

WIDE = Context(prec=78)
NS = 1_000_000_000
FUTURE_TOLERANCE_S = 120
_IN_USD = re.compile(r"\s*([A-Za-z0-9.]{1,16})\s*/\s*USD\b")
_NO_ADDRESS = "0x" + "0" * 40

_PROBES = (
    "latestRoundData()",
    "decimals()",
    "description()",
    "BASE_TO_USD_AGGREGATOR()",
    "ASSET_TO_USD_AGGREGATOR()",
    "ASSET_TO_PEG()",
    "PEG_TO_BASE()",
    "isCapped()",
)
_FEED_PROBES = _PROBES[:3]


class SourceKind(StrEnum):
    """How a source makes its price."""

    FEED = "feed"
    CAPPED_FEED = "capped feed"
    RATIO = "exchange rate"
    PAIR = "two feeds"
    BARE = "bare"


@record
class Feed:
    """One Chainlink-style feed; `asset` is what it prices in USD, `None` when in something else."""

    address: str
    decimals: int
    description: str
    has_rounds: bool = True

    @property
    def asset(self) -> str | None:
        """Return the asset that its description says it prices in USD, upper case; `None` when it does not."""
        match = _IN_USD.match(self.description)
        return match.group(1).upper() if match else None


@record
class Source:
    """The price source of one reserve, taken apart once; `calls` and `price` then read it at any block."""

    address: str
    kind: SourceKind
    feeds: tuple[Feed, ...] = ()
    description: str = ""
    has_cap: bool = False

    def calls(self) -> tuple[Call, ...]:
        """Return what must be asked in the block that is read."""
        rounds = tuple((feed.address, encode_call("latestRoundData()")) for feed in self.feeds if feed.has_rounds)
        return (*rounds, (self.address, encode_call("isCapped()"))) if self.has_cap else rounds


@record
class Round:
    """A feed's latest answer; `None` fields where it had none that can be believed."""

    price: Decimal | None = None
    updated_at_ns: int | None = None
    round_id: int | None = None


def probe_calls(sources: Sequence[str]) -> list[Call]:
    """Return the questions that tell what kind of source each address is."""
    return [(source, encode_call(probe)) for source in sources for probe in _PROBES]


def parse_probes(sources: Sequence[str], answers: Sequence[bytes | None]) -> dict[str, Source]:
    """Return each source by its address, from the answers to `probe_calls`; feeds behind an adapter are bare yet."""
    found: dict[str, Source] = {}
    for index, source in enumerate(sources):
        said = dict(zip(_PROBES, answers[index * len(_PROBES) : (index + 1) * len(_PROBES)], strict=True))
        described = _text(said["description()"])
        has_cap = _number(said["isCapped()"], 1) is not None
        base, asset = _address(said["BASE_TO_USD_AGGREGATOR()"]), _address(said["ASSET_TO_USD_AGGREGATOR()"])
        peg, pegged = _address(said["ASSET_TO_PEG()"]), _address(said["PEG_TO_BASE()"])
        kind, behind = SourceKind.BARE, tuple[str, ...]()
        if base is not None:
            kind, behind = SourceKind.RATIO, (base,)
        elif asset is not None:
            kind, behind = SourceKind.CAPPED_FEED, (asset,)
        elif peg is not None and pegged is not None:
            kind, behind = SourceKind.PAIR, (peg, pegged)
        elif said["latestRoundData()"] is not None:
            feed = _feed(source, said["latestRoundData()"], said["decimals()"], said["description()"])
            found[source] = Source(source, SourceKind.FEED, (feed,), described)
            continue
        found[source] = Source(
            source, kind, tuple(Feed(one, 0, "", has_rounds=False) for one in behind), described, has_cap
        )
    return found


def feed_calls(sources: Sequence[Source]) -> list[Call]:
    """Return the questions about the feeds behind adapters."""
    return [
        (feed.address, encode_call(probe))
        for source in sources
        if source.kind is not SourceKind.FEED
        for feed in source.feeds
        for probe in _FEED_PROBES
    ]


def parse_feeds(sources: Sequence[Source], answers: Sequence[bytes | None]) -> dict[str, Source]:
    """Return the sources by address with their feeds known, from the answers to `feed_calls`."""
    left = iter(answers)
    known: dict[str, Source] = {}
    for source in sources:
        feeds = source.feeds
        if source.kind is not SourceKind.FEED:
            feeds = tuple(_feed(feed.address, next(left), next(left), next(left)) for feed in source.feeds)
        known[source.address] = Source(source.address, source.kind, feeds, source.description, source.has_cap)
    return known


def oracle_price(
    asset: str,
    price: Decimal,
    source: Source,
    answers: Sequence[bytes | None],
    *,
    chain_id: int,
    block_time_ns: int,
    override: OracleRule | None = None,
) -> OraclePrice:
    """Return the trigger price of `asset` with its provenance, from the answers to `source.calls()` at a block.

    `price` is what the market's oracle says. A source that cannot be followed has no age, and `source` says so.
    """
    left = iter(answers)
    rounds = [
        parse_round(next(left), feed.decimals, block_time_ns) if feed.has_rounds else Round() for feed in source.feeds
    ]
    is_capped = source.has_cap and _number(next(left), 1) == 1
    legs = _legs(asset, price, source, rounds, chain_id, override, is_capped=is_capped)
    rules = [_rule(chain_id, feed, override) for feed in source.feeds]
    ages = [one.updated_at_ns for one in rounds if one.updated_at_ns is not None]
    is_whole = bool(rounds) and len(ages) == len(rounds)
    single = source.kind in (SourceKind.FEED, SourceKind.CAPPED_FEED, SourceKind.RATIO) and len(rules) == 1
    return OraclePrice(
        price=price,
        updated_at_ns=min(ages) if is_whole else None,
        as_of_ns=block_time_ns,
        heartbeat_s=rules[0].heartbeat_s if single else None,
        deviation_bps=rules[0].deviation_bps if single else None,
        legs=legs,
        source=_told(source, is_whole=is_whole, is_capped=is_capped),
        round_id=rounds[0].round_id if rounds else None,
    )


def parse_round(answer: bytes | None, decimals: int, block_time_ns: int) -> Round:
    """Return the answer to `latestRoundData`; without age when it claims a time of 0 or after the block's."""
    if answer is None:
        return Round()
    try:
        round_id, raw, _, updated_at, _ = words(answer, 5)
    except AbiError:
        return Round()
    value = signed(raw)
    if value <= 0 or round_id >> 80:
        return Round()
    price = WIDE.scaleb(Decimal(value), -decimals)
    if updated_at == 0 or updated_at * NS > block_time_ns + FUTURE_TOLERANCE_S * NS:
        return Round(price, None, round_id)
    return Round(price, min(updated_at * NS, block_time_ns), round_id)


def overdue(prices: Mapping[str, OraclePrice]) -> tuple[str, ...]:
    """Return one line per price whose feed has missed its heartbeat by a tenth and two minutes."""
    late = []
    for asset, price in prices.items():
        age_s, heartbeat_s = price.age_s, price.heartbeat_s
        if age_s is not None and heartbeat_s is not None and age_s > heartbeat_s * Decimal("1.1") + 120:
            late.append(f"oracle {asset}: last print {age_s:.0f} s before the block, heartbeat {heartbeat_s:.0f} s")
    return tuple(late)


def _legs(
    asset: str,
    price: Decimal,
    source: Source,
    rounds: Sequence[Round],
    chain_id: int,
    override: OracleRule | None,
    *,
    is_capped: bool,
) -> tuple[OracleLeg, ...]:
    """Return the factors of the price; empty for one feed of the asset itself, or when a feed's price is unknown."""
    known = [one.price for one in rounds if one.price is not None]
    if not rounds or len(known) != len(rounds):
        return ()
    legs = tuple(
        OracleLeg(value, feed.asset, one.updated_at_ns, rule.heartbeat_s, rule.deviation_bps, feed.description)
        for feed, one, value in zip(source.feeds, rounds, known, strict=True)
        for rule in (_rule(chain_id, feed, override),)
    )
    if source.kind is SourceKind.RATIO:
        words_for = "exchange rate, held by its cap" if is_capped else "exchange rate"
        return (*legs, OracleLeg(WIDE.divide(price, known[0]), description=words_for))
    if source.kind is SourceKind.PAIR:
        return legs
    if is_capped or (source.kind is SourceKind.CAPPED_FEED and known[0] != price):
        return (*legs, OracleLeg(WIDE.divide(price, known[0]), description="price cap"))
    followed = source.feeds[0].asset
    return legs if followed is not None and followed != asset.upper() else ()


def _rule(chain_id: int, feed: Feed, override: OracleRule | None) -> OracleRule:
    bundled = feed_rule(chain_id, feed.address) or OracleRule()
    if override is None:
        return bundled
    return OracleRule(
        bundled.deviation_bps if override.deviation_bps is None else override.deviation_bps,
        bundled.heartbeat_s if override.heartbeat_s is None else override.heartbeat_s,
    )


def _told(source: Source, *, is_whole: bool, is_capped: bool) -> str:
    if source.address == _NO_ADDRESS:
        return "the market's fallback oracle; no age"
    name = source.description or (source.feeds[0].description if source.feeds else "")
    told = f"{name or 'unnamed source'} {shortened(source.address)}"
    if is_capped:
        told += ", capped now"
    return told if is_whole else f"{told}; no age"


def _feed(at: str, latest: bytes | None, decimals: bytes | None, described: bytes | None) -> Feed:
    places = _number(decimals, 8)
    usable = latest is not None and len(latest) >= 5 * 32 and places is not None and places <= 36
    return Feed(at, places if usable and places is not None else 0, _text(described), has_rounds=usable)


def _number(answer: bytes | None, bits: int) -> int | None:
    if answer is None or len(answer) != 32:
        return None
    try:
        return uint(answer, bits)
    except AbiError:
        return None


def _address(answer: bytes | None) -> str | None:
    if answer is None or len(answer) != 32:
        return None
    try:
        found = address(words(answer, 1)[0])
    except AbiError:
        return None
    return None if found == _NO_ADDRESS else found


def _text(answer: bytes | None) -> str:
    try:
        return inert(text(answer), 40) if answer is not None else ""
    except AbiError:
        return ""
