"""Shocks to prices and rates: what a scenario moves, which assets follow which, and by how much.

A move is a fraction of today's price (-0.2 = a fall of 20 %). A staked or wrapped token follows the asset it stands for
unless it is moved by itself. Betas are of log returns: an asset of beta b is multiplied by (1 + move)^b.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from decimal import Context, Decimal

from engine.record import record

ZERO, ONE = Decimal(0), Decimal(1)
WIDE = Context(prec=50)

FOLLOWS: Mapping[str, str] = {
    **dict.fromkeys(("WETH", "stETH", "wstETH", "rETH", "cbETH", "weETH", "ezETH", "rsETH", "WBETH", "osETH"), "ETH"),
    **dict.fromkeys(("WBTC", "cbBTC", "tBTC", "LBTC", "FBTC"), "BTC"),
    **dict.fromkeys(("mSOL", "jitoSOL", "bSOL", "WSOL"), "SOL"),
}
"""Tokens that stand for another asset: the whole of a move passes on to them."""
STAKED = frozenset(name for name in FOLLOWS if name not in ("WETH", "WSOL") and FOLLOWS[name] != "BTC")
MAJORS = frozenset({"BTC", "ETH", "SOL", "BNB", "XRP"})
CLASSES = ("stables", "staked", "majors", "all")
BETAS: Mapping[str, Decimal] = {"ETH": ONE, "BTC": Decimal("0.75"), "SOL": Decimal("1.25")}
"""Log betas to ETH where none is given; every other asset that is no stable is taken at `OTHER_BETA`."""
OTHER_BETA = Decimal("1.25")
FACTOR = "ETH"


@record
class Step:
    """Where prices stand some hours into a path: moves from the start, by asset."""

    hours: int
    moves: Mapping[str, Decimal]


@record
class Scenario:
    """One what-if. `steps` are walked in order, and one that liquidates is the end of an account.

    `rate_add` is added to every rate that is paid, as an annual fraction, for `days`. `oracle_behind` is how far a
    protocol's price stays behind the market's, as a fraction of it. `assumed` says what was taken for granted.
    """

    name: str
    steps: tuple[Step, ...]
    rate_add: Decimal = ZERO
    days: Decimal = ZERO
    oracle_behind: Decimal = ZERO
    source: str = ""
    assumed: tuple[str, ...] = ()


@record
class Market:
    """What decides how a shock spreads: all assets, which of them are stable, and log betas to `FACTOR`.

    `unrelated` assets (a broker's stocks) have no beta to a coin unless one is given.
    """

    assets: frozenset[str]
    stable: frozenset[str] = frozenset()
    betas: Mapping[str, Decimal] = field(default_factory=dict)
    unrelated: frozenset[str] = frozenset()

    def beta(self, asset: str) -> Decimal:
        """Return the log beta of `asset`: as given, of what it stands for, or assumed."""
        if asset in self.betas:
            return self.betas[asset]
        if asset in self.stable or asset in self.unrelated:
            return ZERO
        base = FOLLOWS.get(asset, asset)
        return self.betas.get(base, BETAS.get(base, OTHER_BETA))


def spread(
    moves: Mapping[str, Decimal], market: Market, *, alone: bool = False
) -> tuple[dict[str, Decimal], list[str]]:
    """Return moves by asset of `market` from moves of assets and classes, and what was assumed.

    The most particular move wins: an asset's own, that of what it stands for, its class, `all` (assets that are not
    stable). With `alone` nothing follows. Raises `ValueError` for a name that is neither an asset nor a class.
    """
    for name in moves:
        if name not in CLASSES and name not in market.assets and name not in FOLLOWS.values():
            known = ", ".join((*sorted(market.assets), *CLASSES))
            raise ValueError(f"no asset {name[:24]!r} here; there are: {known}")
    found: dict[str, Decimal] = {}
    assumed: list[str] = []
    for asset in sorted(market.assets):
        base = FOLLOWS.get(asset)
        if asset in moves:
            found[asset] = moves[asset]
        elif base is not None and base in moves and not alone:
            found[asset] = moves[base]
            assumed.append(f"{asset} follows {base}")
        elif asset in STAKED and "staked" in moves:
            found[asset] = moves["staked"]
        elif (base or asset) in MAJORS and "majors" in moves:
            found[asset] = moves["majors"]
        elif asset in market.stable:
            if "stables" in moves:
                found[asset] = moves["stables"]
        elif "all" in moves:
            found[asset] = moves["all"]
    return found, assumed


def by_beta(move: Decimal, market: Market) -> tuple[dict[str, Decimal], list[str]]:
    """Return the moves of all assets when `FACTOR` moves by `move`: (1 + move)^beta - 1, and what was assumed."""
    log = WIDE.ln(ONE + move)
    moves = {asset: WIDE.exp(log * market.beta(asset)) - ONE for asset in sorted(market.assets) if market.beta(asset)}
    assumed = [
        f"beta of {asset} taken as {market.beta(asset)}"
        for asset in sorted(market.assets - market.stable)
        if asset not in market.betas and FOLLOWS.get(asset, asset) != FACTOR and asset not in market.unrelated
    ]
    assumed += [f"{asset} does not move with {FACTOR}" for asset in sorted(market.unrelated - market.betas.keys())]
    return moves, assumed


def parse_move(text: str) -> tuple[str, Decimal]:
    """Return (name, fraction) of "ETH=-20%" or "ETH=-0.2"; raises `ValueError` saying what is wrong."""
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if not (equals and name and value):
        raise ValueError(f"{text[:40]!r} is not NAME=MOVE, as in ETH=-20%")
    return name, parse_fraction(value, text)


def parse_fraction(value: str, where: str) -> Decimal:
    """Return the fraction of "-20%" or "-0.2", above -1; raises `ValueError`."""
    try:
        fraction = Decimal(value.removesuffix("%"))
    except ArithmeticError:
        raise ValueError(f"{where[:40]!r}: {value[:20]!r} is not a number") from None
    if not fraction.is_finite():
        raise ValueError(f"{where[:40]!r}: {value[:20]!r} is not a number")
    if value.endswith("%"):
        fraction = fraction / 100
    if not -1 < fraction <= 1000:
        percent = f"{(fraction * 100).normalize():f}"
        raise ValueError(f"{where[:40]!r}: a price cannot move by {percent} %; write -20% for a fall of a fifth")
    return fraction


def scenario(name: str, moves: Mapping[str, Decimal], assumed: Iterable[str] = (), *, hours: int = 0) -> Scenario:
    """Return a scenario of one step."""
    return Scenario(name, (Step(hours, dict(moves)),), assumed=tuple(assumed))
