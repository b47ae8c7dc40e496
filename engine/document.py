"""The portfolio document `marginline.portfolio/1`: what is read from a stranger, and written from live state.

DESIGN 6 shows the shape. Beyond its example these keys are optional, so that live accounts survive a round trip:

- `prices.*`: `source`, `round_id`, `legs` (a composite oracle, whose price is the product of its legs: `price`,
  `asset`, `age_s`, `heartbeat_s`, `deviation_bps`, `description`).
- `accounts[]`: `quote`, `prices` (this account's own oracles by asset, same keys as above; they win over the shared
  ones), `close_factor` (loan), `cash_rate` (perp, broker).
- `collateral[]`: `liquidation_bonus`. `positions[]`: `fee_rate`, `funding_rate`, `margin_used`,
  `venue_liquidation_price`, and `maintenance_rate` as shorthand for one tier from 0. A tier without `deduction` joins
  the one before it.

Numbers are JSON strings or numbers and stay exact. Ages count back from `as_of`. A document carries what an account
holds, never what a venue or a chain says of it (`reported`, `ledger`, `degraded`): once edited, that would be false.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, MarginMode, Position, Tier
from engine.portfolio import Portfolio, render_portfolio
from engine.prices import AssetPrice, OracleLeg, OraclePrice, Quote
from engine.reading import SECOND_NS, DocumentError, Node, read_json
from engine.rendering import PORTFOLIO_SCHEMA, plain

__all__ = ["PORTFOLIO_SCHEMA", "DocumentError", "Portfolio", "parse_portfolio", "render_portfolio"]

MAX_ACCOUNTS = 10_000
MAX_ASSETS = 10_000
MAX_LEGS = 1_000
MAX_QUOTES = 100
MAX_TIERS = 200
MAX_AGE_S = Decimal(10) ** 10
JOIN_TOLERANCE = Decimal("0.000001")

_ZERO, _ONE = Decimal(0), Decimal(1)
_FRACTION_HINT = "write 83 % as 0.83"
_RATE_LIMIT = Decimal(100)
_ORACLE_KEYS = frozenset({"oracle", "oracle_age_s", "heartbeat_s", "deviation_bps", "legs", "source", "round_id"})
_PRICE_KEYS = _ORACLE_KEYS | {"quotes", "volatility", "stable"}
_LEG_KEYS = frozenset({"price", "asset", "age_s", "heartbeat_s", "deviation_bps", "description"})
_COMMON_KEYS = frozenset({"name", "kind", "provider", "chain_id", "quote", "prices"})
_ACCOUNT_KEYS: Mapping[Kind, frozenset[str]] = {
    Kind.LOAN: _COMMON_KEYS | {"collateral", "debt", "close_factor"},
    Kind.PERP: _COMMON_KEYS | {"mode", "balance", "cash_rate", "positions"},
    Kind.BROKER: _COMMON_KEYS | {"cash", "cash_rate", "positions"},
}
_COLLATERAL_KEYS = frozenset(
    {"asset", "amount", "liquidation_threshold", "max_ltv", "supply_rate", "liquidation_bonus"}
)
_POSITION_KEYS = frozenset(
    {
        "asset",
        "quantity",
        "entry_price",
        "mark_price",
        "tiers",
        "maintenance_rate",
        "fee_rate",
        "funding_rate",
        "margin_used",
        "venue_liquidation_price",
    }
)


def parse_portfolio(text: str | bytes) -> Portfolio:
    """Return the portfolio that `text` describes; raises `DocumentError` naming the first place that is wrong."""
    root = read_json(text)
    root.keys(("schema", "as_of", "prices", "accounts"))
    schema = root.required("schema")
    if schema.text() != PORTFOLIO_SCHEMA:
        raise schema.fail(f"must be {PORTFOLIO_SCHEMA}")
    as_of_ns = root.required("as_of").moment_ns()
    entries = root.child("prices")
    prices: dict[str, AssetPrice] = {}
    if entries is not None:
        prices = {asset: _asset_price(entry, as_of_ns) for asset, entry in entries.members(MAX_ASSETS)}
    accounts: list[Account] = []
    seen: dict[str, str] = {}
    for node in root.required("accounts").items(MAX_ACCOUNTS):
        account = _account(node, as_of_ns)
        if account.name in seen:
            raise node.required("name").fail(f"{seen[account.name]} has the same name; account names must differ")
        seen[account.name] = node.path
        _require_prices(node, account, prices)
        accounts.append(account)
    return Portfolio(as_of_ns, prices, tuple(accounts))


def _require_prices(node: Node, account: Account, prices: Mapping[str, AssetPrice]) -> None:
    marked = {position.asset for position in account.positions if position.mark_price is not None}
    for asset in sorted(account.assets - marked - account.oracles.keys()):
        if asset not in prices or prices[asset].oracle is None:
            raise DocumentError(f"prices.{asset}.oracle", f"is required; {node.path} holds {asset}; add its price")


def _optional(node: Node, key: str, low: Decimal, high: Decimal, hint: str = "") -> Decimal | None:
    found = node.child(key)
    return None if found is None else found.within(low, high, hint)


def _positive(node: Node, key: str) -> Decimal | None:
    found = node.child(key)
    return None if found is None else found.positive()


def _rate(node: Node, key: str) -> Decimal | None:
    return _optional(node, key, -_RATE_LIMIT, _RATE_LIMIT, "rates are annual fractions: write 5 % as 0.05")


def _age_ns(node: Node, key: str, as_of_ns: int) -> int | None:
    found = node.child(key)
    return None if found is None else as_of_ns - int(found.within(_ZERO, MAX_AGE_S) * SECOND_NS)


def _asset_price(node: Node, as_of_ns: int) -> AssetPrice:
    node.keys(_PRICE_KEYS)
    quotes = node.child("quotes")
    stable = node.child("stable")
    volatility = _positive(node, "volatility")
    if volatility is not None and volatility > _RATE_LIMIT:
        raise node.required("volatility").fail(f"{volatility} is above {_RATE_LIMIT}; write 62 % a year as 0.62")
    if node.child("oracle") is None:
        _refuse_oracle_keys(node)
    return AssetPrice(
        None if node.child("oracle") is None else _oracle(node, as_of_ns),
        () if quotes is None else tuple(_quote(each, as_of_ns) for each in quotes.items(MAX_QUOTES)),
        volatility,
        stable is not None and stable.boolean(),
    )


def _refuse_oracle_keys(node: Node) -> None:
    for key in sorted(_ORACLE_KEYS - {"oracle"}):
        found = node.child(key)
        if found is not None:
            raise found.fail(f"has no meaning without {node.path}.oracle; add the oracle's price")


def _oracle(node: Node, as_of_ns: int) -> OraclePrice:
    legs = node.child("legs")
    read = () if legs is None else tuple(_oracle_leg(each, as_of_ns) for each in legs.items(MAX_QUOTES))
    updated_at_ns = _age_ns(node, "oracle_age_s", as_of_ns)
    aged = updated_at_ns is not None or any(leg.updated_at_ns is not None for leg in read)
    source, round_id = node.child("source"), node.child("round_id")
    return OraclePrice(
        node.required("oracle").positive(),
        updated_at_ns,
        as_of_ns if aged else None,
        _positive(node, "heartbeat_s"),
        _positive(node, "deviation_bps"),
        read,
        "" if source is None else source.text(),
        None if round_id is None else round_id.whole(),
    )


def _oracle_leg(node: Node, as_of_ns: int) -> OracleLeg:
    node.keys(_LEG_KEYS)
    asset, description = node.child("asset"), node.child("description")
    return OracleLeg(
        node.required("price").positive(),
        None if asset is None else asset.name(),
        _age_ns(node, "age_s", as_of_ns),
        _positive(node, "heartbeat_s"),
        _positive(node, "deviation_bps"),
        "" if description is None else description.text(),
    )


def _quote(node: Node, as_of_ns: int) -> Quote:
    node.keys(("venue", "bid", "ask", "age_s"))
    return Quote(
        node.required("venue").name(),
        node.required("bid").positive(),
        node.required("ask").positive(),
        _age_ns(node, "age_s", as_of_ns),
    )


def _account(node: Node, as_of_ns: int) -> Account:
    kind = Kind(node.required("kind").choice([each.value for each in Kind]))
    node.keys(_ACCOUNT_KEYS[kind])
    provider, chain_id, quote = node.child("provider"), node.child("chain_id"), node.child("quote")
    own = node.child("prices")
    oracles: dict[str, OraclePrice] = {}
    if own is not None:
        for asset, entry in own.members(MAX_LEGS):
            entry.keys(_ORACLE_KEYS)
            oracles[asset] = _oracle(entry, as_of_ns)
    mode = node.child("mode")
    account = Account(
        name=node.required("name").name(),
        kind=kind,
        provider=None if provider is None else provider.name(),
        chain_id=None if chain_id is None else chain_id.whole(),
        mode=None if mode is None else MarginMode(mode.choice([each.value for each in MarginMode])),
        quote="USD" if quote is None else quote.name(),
        collateral=tuple(_collateral(each) for each in _list(node, "collateral")),
        debt=tuple(_debt(each) for each in _list(node, "debt")),
        balance=_balance(node, kind),
        cash_rate=_rate(node, "cash_rate"),
        positions=tuple(_position(each, kind) for each in _list(node, "positions")),
        oracles=oracles,
        close_factor=_optional(node, "close_factor", _ZERO, _ONE, "write 50 % as 0.5"),
    )
    if account.mode is MarginMode.ISOLATED and len(account.positions) != 1:
        raise DocumentError(
            f"{node.path}.positions", f"an isolated account has one position, not {len(account.positions)}; split it"
        )
    _require_one_mark(node, account)
    return account


def _list(node: Node, key: str) -> list[Node]:
    found = node.child(key)
    return [] if found is None else found.items(MAX_LEGS)


def _balance(node: Node, kind: Kind) -> Decimal:
    match kind:
        case Kind.LOAN:
            return _ZERO
        case Kind.PERP:
            return node.required("balance").number()
        case Kind.BROKER:
            return node.required("cash").number()


def _require_one_mark(node: Node, account: Account) -> None:
    marks: dict[str, Decimal | None] = {}
    for index, position in enumerate(account.positions):
        if marks.setdefault(position.asset, position.mark_price) != position.mark_price:
            raise DocumentError(
                f"{node.path}.positions[{index}].mark_price",
                f"differs from another {position.asset} position's; use one",
            )


def _collateral(node: Node) -> Collateral:
    node.keys(_COLLATERAL_KEYS)
    return Collateral(
        node.required("asset").name(),
        node.required("amount").at_least(_ZERO),
        node.required("liquidation_threshold").within(_ZERO, _ONE, _FRACTION_HINT),
        _optional(node, "max_ltv", _ZERO, _ONE, _FRACTION_HINT),
        _rate(node, "supply_rate"),
        _optional(node, "liquidation_bonus", _ZERO, _ONE, "write 5 % as 0.05"),
    )


def _debt(node: Node) -> Debt:
    node.keys(("asset", "amount", "borrow_rate"))
    return Debt(node.required("asset").name(), node.required("amount").at_least(_ZERO), _rate(node, "borrow_rate"))


def _position(node: Node, kind: Kind) -> Position:
    node.keys(_POSITION_KEYS)
    margin_used = node.child("margin_used")
    return Position(
        node.required("asset").name(),
        node.required("quantity").number(),
        _tiers(node),
        node.required("entry_price").positive() if kind is Kind.PERP else _positive(node, "entry_price"),
        _positive(node, "mark_price"),
        _optional(node, "fee_rate", _ZERO, _ONE, "write 0.05 % as 0.0005"),
        _rate(node, "funding_rate"),
        None if margin_used is None else margin_used.at_least(_ZERO),
        _positive(node, "venue_liquidation_price"),
    )


def _tiers(node: Node) -> tuple[Tier, ...]:
    flat, tiers = node.child("maintenance_rate"), node.child("tiers")
    if flat is not None and tiers is not None:
        raise flat.fail("stands beside tiers; keep one of them")
    if flat is not None:
        return (Tier(_ZERO, flat.within(_ZERO, Decimal(5), "write 25 % as 0.25")),)
    if tiers is None:
        raise DocumentError(f"{node.path}.tiers", "is required; add tiers or maintenance_rate")
    found: list[Tier] = []
    for each in tiers.items(MAX_TIERS):
        found.append(_tier(each, found[-1] if found else None))
    if not found:
        raise tiers.fail("is empty; add a tier or write maintenance_rate")
    return tuple(found)


def _tier(node: Node, before: Tier | None) -> Tier:
    """Return one tier; it must start where the one before leaves off: maintenance at its floor is the same in both."""
    node.keys(("notional_floor", "maintenance_rate", "deduction"))
    floor_node, rate_node = node.required("notional_floor"), node.required("maintenance_rate")
    floor, rate = floor_node.at_least(_ZERO), rate_node.within(_ZERO, Decimal(5), "write 1 % as 0.01")
    if before is None and floor != 0:
        raise floor_node.fail(f"{floor} must be 0: the first tier starts at nothing")
    if before is not None and floor <= before.notional_floor:
        raise floor_node.fail(f"{floor} does not rise above {before.notional_floor}; sort the tiers")
    joined = _ZERO if before is None else before.deduction + floor * (rate - before.maintenance_rate)
    given = node.child("deduction")
    if given is None:
        return Tier(floor, rate, joined)
    deduction = given.number()
    if abs(deduction - joined) > JOIN_TOLERANCE * floor * rate:
        raise given.fail(f"{deduction} does not join the tier before it; at this floor it must be {plain(joined)}")
    return Tier(floor, rate, deduction)
