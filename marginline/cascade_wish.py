"""What a cascade is asked for: by the command line, by `[cascade.ASSET]` of the config, or by one over the other."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from decimal import Decimal

from engine.record import record
from marginline.toml_table import Table

PRIOR, CHAIN = "prior", "chain:"
CHAIN_PROVIDERS = ("aave-v3", "spark")
PATHS_ON_SCREEN = 512
"""Paths of a configured market when it does not say how many: some seconds of work, once a minute."""
ABSORBERS = ("pools", "depth", "depth_of")


@record
class Wish:
    """What is asked for, as it was written. `asset` is the collateral of a book that names none, and of a prior.

    `rounds` says whether a book is also walked loan by loan, which takes seconds for some thousand loans.
    """

    book: str
    asset: str = "ETH"
    since: int = 0
    prices: tuple[str, ...] = ()
    shocks: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    depth: str | None = None
    depth_of: str | None = None
    cross: tuple[str, ...] = ()
    threshold: float | None = None
    bonus: float | None = None
    borrowers: int = 10_000
    debt: float = 1e9
    fee: float = 0.003
    gas: float = 20.0
    latency_s: float = 12.0
    close_factor: float = 0.5
    volatility: float | None = None
    paths: int = 1000
    steps: int = 144
    step_minutes: float = 10.0
    throughput: float | None = None
    heal: float = 0.02
    oracle: str = "instant"
    buckets: int = 3000
    seed: int = 1
    account: str | None = None
    horizon: str = "24h"
    scheduler: str | None = None
    rounds: bool = True


_NUMBERS = {
    "debt": ("debt", Decimal("0.01"), Decimal("1e18")),
    "threshold": ("threshold", Decimal("1e-9"), Decimal(1)),
    "bonus": ("bonus", Decimal(0), Decimal(1)),
    "fee": ("fee", Decimal(0), Decimal("0.5")),
    "gas": ("gas", Decimal(0), Decimal("1e15")),
    "latency": ("latency_s", Decimal(0), Decimal(86_400)),
    "close_factor": ("close_factor", Decimal("1e-6"), Decimal(1)),
    "volatility": ("volatility", Decimal("1e-6"), Decimal(20)),
    "throughput": ("throughput", Decimal("0.01"), Decimal("1e18")),
    "heal": ("heal", Decimal(0), Decimal(1)),
}
"""By key of the config, named for the command's option: the field, and its bounds."""
_WHOLES = {"borrowers": (1, 5_000_000), "seed": (0, 2**63), "since": (0, 2**53), "paths": (0, 1_000_000)}


def configured(table: Table, providers: Mapping[str, str]) -> dict[str, Wish]:
    """Return the market of every `[cascade.ASSET]`; `providers` are those of the accounts, by account name.

    Raises `ConfigError` naming file, line and key.
    """
    return {asset: _market(asset, market, providers) for asset, market in table.children()}


def _market(asset: str, table: Table, providers: Mapping[str, str]) -> Wish:
    book = table.required("book", f'"prior", a CSV or JSON file, or "{CHAIN}ACCOUNT"')
    if book.startswith(CHAIN):
        if providers.get(book.removeprefix(CHAIN)) not in CHAIN_PROVIDERS:
            named = ", ".join(name for name, each in providers.items() if each in CHAIN_PROVIDERS) or "none"
            raise table.error(
                "book", f"{CHAIN} must name an aave-v3 or spark account of this config; there are: {named}"
            )
    elif book != PRIOR:
        book = str(table.file.parent / book)
    pool = table.number("pool", Decimal("1e-9"), Decimal("1e18"))
    depth, depth_of = table.text("depth"), table.text("depth_of")
    if sum(each is not None for each in (pool, depth, depth_of)) != 1:
        raise table.error(
            "", 'needs what absorbs sales, in one way: pool = UNITS, depth = "FILE" or depth_of = "ACCOUNT:CONTRACT"'
        )
    if depth_of is not None and (not depth_of.partition(":")[2] or depth_of.partition(":")[0] not in providers):
        raise table.error("depth_of", f"must be ACCOUNT:CONTRACT, of an account of this config: {', '.join(providers)}")
    numbers = {field: table.number(key, low, high) for key, (field, low, high) in _NUMBERS.items()}
    wholes = {key: table.whole(key, *bounds) for key, bounds in _WHOLES.items()}
    oracle = table.text("oracle")
    try:
        oracle_rule(oracle or "instant")
    except ValueError as error:
        raise table.error("oracle", str(error)) from error
    table.finish()
    given = {
        **{field: float(number) for field, number in numbers.items() if number is not None},
        **{key: number for key, number in wholes.items() if number is not None},
        **({} if oracle is None else {"oracle": oracle}),
    }
    wish = Wish(
        book,
        asset,
        pools=() if pool is None else (str(pool),),
        depth=None if depth is None else str(table.file.parent / depth),
        depth_of=depth_of,
        paths=PATHS_ON_SCREEN,
    )
    return replace(wish, **given)  # type: ignore[arg-type]  # fields by name, of the types of their tables


def as_written(market: Wish) -> dict[str, str]:
    """Return a configured market by the keys of its table; what is as usual is left out."""
    keys = {field: key for key, (field, _, _) in _NUMBERS.items()}
    keys["pools"] = "pool"
    told = {one.name: getattr(market, one.name) for one in fields(Wish) if getattr(market, one.name) != one.default}
    told.pop("asset", None)
    return {
        keys.get(name, name): ", ".join(each) if isinstance(each, tuple) else str(each) for name, each in told.items()
    }


def over(market: Wish, wish: Wish, said: Collection[str]) -> Wish:
    """Return the configured `market` with those fields of `wish` that were `said` on the command line."""
    if any(name in said for name in ABSORBERS):
        market = replace(market, pools=(), depth=None, depth_of=None)
    return replace(market, **{name: getattr(wish, name) for name in said if name != "book"})


def oracle_rule(text: str) -> tuple[str, float, int]:
    """Return (rule, deviation, delay) of instant, deviation:0.5% or delayed:3; raises `ValueError`."""
    from engine.shocks import parse_fraction

    rule, _, figure = text.partition(":")
    if rule == "instant" and not figure:
        return rule, 0.0, 0
    if rule == "deviation":
        deviation = float(parse_fraction(figure, text))
        if 0 <= deviation <= 1 and math.isfinite(deviation):
            return rule, deviation, 0
    if rule == "delayed" and figure.isdigit() and int(figure) <= 10_000:
        return rule, 0.0, int(figure)
    raise ValueError(f"{text[:30]!r} is none; write instant, deviation:0.5% or delayed:STEPS")
