"""The portfolio document `marginline.portfolio/1`: what is read from a stranger, and written from live state.

DESIGN 6 shows the shape. Beyond its example these keys are optional, so that live accounts survive a round trip:

- `prices.*`: `source`, `round_id`, `legs` (a composite oracle, whose price is the product of its legs: `price`,
  `asset`, `age_s`, `heartbeat_s`, `deviation_bps`, `description`).
- `accounts[]`: `quote`, `prices` (this account's own oracles by asset, same keys as above; they win over the shared
  ones), `close_factor` (loan), `cash_rate` (perp, broker).
- `accounts[]` that are perps: `mode` "portfolio"; `collateral` (coins that back it: `liquidation_threshold` is the
  weight that the venue gives the coin) and `debt` (coins borrowed). A coin in the quote currency itself needs no price.
- `accounts[]` that are perps or brokers: `extra_requirement` (maintenance that no position explains),
  `liquidation_multiple` (the equity over maintenance at which the venue takes over), `order_margin` (locked in open
  orders), `initial_requirement`, `trigger` (whose price liquidates), `estimated` (why its distances are estimates),
  `margin_call` (`amount`, `due`, `text`) and `session` (`is_open`, `opens`, `closes`); times are RFC 3339 in UTC.
- `collateral[]`: `liquidation_bonus`. `positions[]`: `fee_rate`, `funding_rate`, `margin_used`,
  `venue_liquidation_price`, `inverse` (its face value in quote currency is `quantity` x `entry_price`, and constant),
  `margin_at_entry` (its maintenance is asked of `quantity` x `entry_price` at any price), `contract`, `adl_rank` (1 to
  5), `predicted_funding_rate`, `next_funding` (a time), `funding_paid`, and `maintenance_rate` as shorthand for one
  tier from 0. A tier without `deduction` joins the one before it. Positions of one asset may have marks of their own;
  one without any goes by the account's own price, else by the largest's mark.

Numbers are JSON strings or numbers and stay exact. Ages count back from `as_of`. A document carries what an account
holds, never what a venue or a chain says of it (`reported`, `ledger`, `degraded`): once edited, that would be false.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, MarginMode
from engine.document_legs import (
    ONE,
    RATE_LIMIT,
    ZERO,
    amount,
    collateral,
    debt,
    margin_call,
    number,
    optional,
    position,
    positive,
    rate,
    session,
    words,
)
from engine.portfolio import Portfolio, render_portfolio
from engine.prices import AssetPrice, OracleLeg, OraclePrice, Quote
from engine.reading import SECOND_NS, DocumentError, Node, read_json
from engine.rendering import PORTFOLIO_SCHEMA

__all__ = ["PORTFOLIO_SCHEMA", "DocumentError", "Portfolio", "parse_portfolio", "render_portfolio"]

MAX_ACCOUNTS = 10_000
MAX_ASSETS = 10_000
MAX_LEGS = 1_000
MAX_QUOTES = 100
MAX_AGE_S = Decimal(10) ** 10

_ORACLE_KEYS = frozenset({"oracle", "oracle_age_s", "heartbeat_s", "deviation_bps", "legs", "source", "round_id"})
_PRICE_KEYS = _ORACLE_KEYS | {"quotes", "volatility", "stable"}
_LEG_KEYS = frozenset({"price", "asset", "age_s", "heartbeat_s", "deviation_bps", "description"})
_COMMON_KEYS = frozenset({"name", "kind", "provider", "chain_id", "quote", "prices"})
_MARGIN_KEYS = frozenset(
    {
        "cash_rate",
        "positions",
        "extra_requirement",
        "liquidation_multiple",
        "order_margin",
        "initial_requirement",
        "trigger",
        "estimated",
        "margin_call",
        "session",
    }
)
_ACCOUNT_KEYS: Mapping[Kind, frozenset[str]] = {
    Kind.LOAN: _COMMON_KEYS | {"collateral", "debt", "close_factor"},
    Kind.PERP: _COMMON_KEYS | _MARGIN_KEYS | {"mode", "balance", "collateral", "debt"},
    Kind.BROKER: _COMMON_KEYS | _MARGIN_KEYS | {"cash"},
}


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
    priced = {each.asset for each in account.positions if each.mark_price is not None} | account.oracles.keys()
    if account.kind is not Kind.LOAN:
        priced.add(account.quote)
    for asset in sorted(account.assets - priced):
        if asset not in prices or prices[asset].oracle is None:
            raise DocumentError(f"prices.{asset}.oracle", f"is required; {node.path} holds {asset}; add its price")


def _age_ns(node: Node, key: str, as_of_ns: int) -> int | None:
    found = node.child(key)
    return None if found is None else as_of_ns - int(found.within(ZERO, MAX_AGE_S) * SECOND_NS)


def _asset_price(node: Node, as_of_ns: int) -> AssetPrice:
    node.keys(_PRICE_KEYS)
    quotes = node.child("quotes")
    stable = node.child("stable")
    volatility = positive(node, "volatility")
    if volatility is not None and volatility > RATE_LIMIT:
        raise node.required("volatility").fail(f"{volatility} is above {RATE_LIMIT}; write 62 % a year as 0.62")
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
        positive(node, "heartbeat_s"),
        positive(node, "deviation_bps"),
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
        positive(node, "heartbeat_s"),
        positive(node, "deviation_bps"),
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
        collateral=tuple(collateral(each) for each in _list(node, "collateral")),
        debt=tuple(debt(each) for each in _list(node, "debt")),
        balance=_balance(node, kind),
        cash_rate=rate(node, "cash_rate"),
        positions=tuple(position(each, kind) for each in _list(node, "positions")),
        oracles=oracles,
        close_factor=optional(node, "close_factor", ZERO, ONE, "write 50 % as 0.5"),
        extra_requirement=number(node, "extra_requirement") or ZERO,
        liquidation_multiple=positive(node, "liquidation_multiple") or ONE,
        order_margin=amount(node, "order_margin"),
        initial_requirement=amount(node, "initial_requirement"),
        trigger=words(node, "trigger"),
        estimated=words(node, "estimated"),
        margin_call=margin_call(node),
        session=session(node),
    )
    if account.mode is MarginMode.ISOLATED and len(account.positions) != 1:
        raise DocumentError(
            f"{node.path}.positions", f"an isolated account has one position, not {len(account.positions)}; split it"
        )
    return account


def _list(node: Node, key: str) -> list[Node]:
    found = node.child(key)
    return [] if found is None else found.items(MAX_LEGS)


def _balance(node: Node, kind: Kind) -> Decimal:
    match kind:
        case Kind.LOAN:
            return ZERO
        case Kind.PERP:
            return node.required("balance").number()
        case Kind.BROKER:
            return node.required("cash").number()
