"""What loans hold and owe per asset, as the statement can say it: one price and one threshold for each asset.

Rounding goes against the owner: collateral and thresholds down, debt up. Of several thresholds the lowest counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from engine.accounts import Account, Kind
from engine.prices import AssetPrice, OraclePrice
from engine.reading import DocumentError, read_json
from engine.record import record
from engine.rendering import plain
from marginline.solvency.statement import BPS, PRICE_SCALE, STANDARD, ListedAsset
from providers.errors import ConfigError

ASSETS_SCHEMA = "marginline.assets/1"
MAX_NAME = 40
MAX_ACCOUNTS = 1000
MAX_PRICE = Decimal(10) ** 12
PRICE_TOLERANCE = Decimal("0.01")
_WIDE = Context(prec=200)
_ZERO = Decimal(0)
_WHY_NOT = {
    Kind.PERP: "what a perp account must keep depends on the sign, entry price and tier of every position",
    Kind.BROKER: "what a broker account must keep depends on its cash and on the sign of every position",
}


@record
class Holding:
    """One asset over all accounts; `threshold` is `None` where it backs nothing, `oracle` the price that liquidates."""

    asset: str
    oracle: OraclePrice
    collateral: Decimal = _ZERO
    debt: Decimal = _ZERO
    threshold: Decimal | None = None


@record
class Wanted:
    """One entry of a public asset list; `price` is `None` where the reading's own is taken."""

    asset: str
    threshold: Decimal
    price: Decimal | None = None


def holdings(accounts: Sequence[Account], prices: Mapping[str, AssetPrice]) -> dict[str, Holding]:
    """Return what the accounts hold and owe together, by asset; raises `ConfigError` for what no sum can express."""
    found: dict[str, Holding] = {}
    if len(accounts) > MAX_ACCOUNTS:
        raise ConfigError(f"{len(accounts)} accounts are too many for a statement; {MAX_ACCOUNTS} can be summed")
    for account in accounts:
        if account.kind is not Kind.LOAN:
            raise ConfigError(f"{account.name}: only loans can be attested; {_WHY_NOT[account.kind]}")
        _require_text(account.quote, "the currency")
        if account.quote != accounts[0].quote:
            raise ConfigError(f"{account.name}: counts in {account.quote}, {accounts[0].name} in {accounts[0].quote}")
        for leg in account.collateral:
            held = _holding(found, account, leg.asset, prices)
            if leg.liquidation_threshold > 0 and leg.amount > 0:
                known = held.threshold
                least = leg.liquidation_threshold if known is None else min(known, leg.liquidation_threshold)
                held = replace(held, collateral=_WIDE.add(held.collateral, leg.amount), threshold=least)
            found[leg.asset] = held
        for owed in account.debt:
            held = _holding(found, account, owed.asset, prices)
            found[owed.asset] = replace(held, debt=_WIDE.add(held.debt, owed.amount))
    return found


def _holding(found: Mapping[str, Holding], account: Account, asset: str, prices: Mapping[str, AssetPrice]) -> Holding:
    shared = prices.get(asset)
    oracle = account.oracles.get(asset) or (None if shared is None else shared.oracle)
    if oracle is None:
        raise ConfigError(f"{account.name}: the oracle price of {asset} is unknown")
    held = found.get(asset, Holding(asset, oracle))
    if held.oracle.price != oracle.price:
        raise ConfigError(f"{account.name}: {asset} has another price than in the accounts before; attest it apart")
    return held


def parse_assets(text: str | bytes) -> tuple[Wanted, ...]:
    """Return a public asset list (`marginline.assets/1`); raises `DocumentError` naming the key that is wrong."""
    root = read_json(text)
    root.keys(("schema", "assets"))
    schema = root.required("schema")
    if schema.value != ASSETS_SCHEMA:
        raise schema.fail(f"must be {ASSETS_SCHEMA}")
    found: list[Wanted] = []
    for node in root.required("assets").items(STANDARD.assets):
        node.keys(("asset", "liquidation_threshold", "price"))
        price = node.child("price")
        found.append(
            Wanted(
                node.required("asset").name(),
                node.required("liquidation_threshold").within(_ZERO, Decimal(1), "write 83 % as 0.83"),
                None if price is None else price.positive(),
            )
        )
    if len({entry.asset for entry in found}) != len(found) or not found:
        raise DocumentError("assets", "must name at least one asset, none of them twice")
    if len({entry.price is None for entry in found}) > 1:
        raise DocumentError("assets", "must state every price or none: else the list shows what is held")
    return tuple(found)


def asset_list(
    held: Mapping[str, Holding], wanted: Sequence[Wanted] | None, prices: Mapping[str, AssetPrice]
) -> tuple[ListedAsset, ...]:
    """Return the public list: `wanted`, or what is held when nothing is wanted; raises `ConfigError`."""
    if wanted is None:
        entries = [_listed(each.asset, each.oracle, each.threshold or _ZERO) for _, each in sorted(held.items())]
    else:
        entries = _wanted_list(held, wanted, prices)
    if len(entries) > STANDARD.assets:
        raise ConfigError(f"the accounts hold {len(entries)} assets; a statement has places for {STANDARD.assets}")
    if not entries:
        raise ConfigError("the accounts hold nothing and owe nothing")
    return tuple(entries)


def _wanted_list(
    held: Mapping[str, Holding], wanted: Sequence[Wanted], prices: Mapping[str, AssetPrice]
) -> list[ListedAsset]:
    missing = sorted(held.keys() - {entry.asset for entry in wanted})
    if missing:
        raise ConfigError(f"--assets: does not list {', '.join(missing)}, which the accounts hold or owe")
    entries = []
    rounds: list[bool] = []
    for entry in wanted:
        own = held.get(entry.asset)
        shared = prices.get(entry.asset)
        oracle = own.oracle if own is not None else (None if shared is None else shared.oracle)
        if entry.price is not None:
            if own is not None and abs(entry.price - own.oracle.price) > PRICE_TOLERANCE * own.oracle.price:
                raise ConfigError(f"--assets: the price of {entry.asset} is more than 1 % from the account's oracle")
            oracle = OraclePrice(entry.price)
        if oracle is None:
            raise ConfigError(f"--assets: the price of {entry.asset} is unknown; state the price of every asset there")
        if own is not None and own.threshold is not None and entry.threshold > own.threshold:
            raise ConfigError(f"--assets: the threshold of {entry.asset} is above the account's")
        entries.append(_listed(entry.asset, oracle, entry.threshold))
        rounds.append(oracle.round_id is not None)
    return entries if all(rounds) else [replace(entry, round_id=None) for entry in entries]


def _listed(asset: str, oracle: OraclePrice, threshold: Decimal) -> ListedAsset:
    """Return one place of the list, in the finest parts for which its price stays below 10**12."""
    _require_text(asset, "the name of an asset")
    if oracle.round_id is not None and oracle.round_id >= 2**128:
        raise ConfigError(f"{asset}: its oracle's round is too large for a statement")
    decimals = 0
    while (price := parts_price(oracle.price, decimals)) >= MAX_PRICE:
        decimals += 1
        if decimals > 2 * PRICE_SCALE:
            raise ConfigError(f"{asset}: its price {plain(oracle.price)} is too large for a statement")
    return ListedAsset(
        asset,
        decimals,
        int((threshold * BPS).to_integral_value(ROUND_FLOOR)),
        int(price.to_integral_value(ROUND_FLOOR)),
        int(price.to_integral_value(ROUND_CEILING)),
        oracle.round_id,
    )


def _require_text(text: str, what: str) -> None:
    if len(text) > MAX_NAME or not all(" " <= sign <= "~" for sign in text):
        raise ConfigError(f"{text[:60]!a}: {what} must be at most {MAX_NAME} printable ASCII characters in a statement")


def parts_price(price: Decimal, decimals: int) -> Decimal:
    """Return a price as the statement counts it: 1e-18 of the unit per 10**-decimals of the asset."""
    return _WIDE.scaleb(price, PRICE_SCALE - decimals)


def amounts(held: Mapping[str, Holding], assets: Iterable[ListedAsset]) -> tuple[list[int], list[int]]:
    """Return collateral (rounded down) and debt (up) by place, in parts; raises `ConfigError` for 2**64 or more."""
    collateral, debt = [], []
    for entry in assets:
        own = held.get(entry.asset)
        has, owes = (_ZERO, _ZERO) if own is None else (own.collateral, own.debt)
        collateral.append(int(_WIDE.scaleb(has, entry.decimals).to_integral_value(ROUND_FLOOR)))
        debt.append(int(_WIDE.scaleb(owes, entry.decimals).to_integral_value(ROUND_CEILING)))
        if max(collateral[-1], debt[-1]) >= 1 << STANDARD.amount_bits:
            raise ConfigError(f"{entry.asset}: an amount is too large for a statement")
    return collateral, debt
