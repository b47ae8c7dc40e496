"""The legs of an account in a portfolio document, and what its venue or broker tells beside them; `engine.document`."""

from decimal import Decimal

from engine.accounts import Collateral, Debt, Kind, MarginCall, Position, Session, Tier
from engine.reading import DocumentError, Node
from engine.rendering import plain

MAX_TIERS = 200
MAX_TEXT = 400
JOIN_TOLERANCE = Decimal("0.000001")
ZERO, ONE = Decimal(0), Decimal(1)
FRACTION_HINT = "write 83 % as 0.83"
RATE_LIMIT = Decimal(100)
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
        "inverse",
        "margin_at_entry",
        "contract",
        "adl_rank",
        "predicted_funding_rate",
        "next_funding",
        "funding_paid",
    }
)


def optional(node: Node, key: str, low: Decimal, high: Decimal, hint: str = "") -> Decimal | None:
    """Return a number from `low` to `high`, `None` when it is not there; `hint` is added to the error."""
    found = node.child(key)
    return None if found is None else found.within(low, high, hint)


def positive(node: Node, key: str) -> Decimal | None:
    """Return a number above 0, `None` when it is not there."""
    found = node.child(key)
    return None if found is None else found.positive()


def amount(node: Node, key: str) -> Decimal | None:
    """Return a number not below 0, `None` when it is not there."""
    found = node.child(key)
    return None if found is None else found.at_least(ZERO)


def words(node: Node, key: str) -> str:
    """Return printable text, empty when it is not there."""
    found = node.child(key)
    return "" if found is None else found.text(MAX_TEXT)


def moment(node: Node, key: str) -> int | None:
    """Return a time in UTC as epoch nanoseconds, `None` when it is not there."""
    found = node.child(key)
    return None if found is None else found.moment_ns()


def number(node: Node, key: str) -> Decimal | None:
    """Return a number of either sign, `None` when it is not there."""
    found = node.child(key)
    return None if found is None else found.number()


def rate(node: Node, key: str) -> Decimal | None:
    """Return an annual fraction of either sign, `None` when it is not there."""
    return optional(node, key, -RATE_LIMIT, RATE_LIMIT, "rates are annual fractions: write 5 % as 0.05")


def collateral(node: Node) -> Collateral:
    """Return an asset that backs a loan, or a coin that backs a perp account."""
    node.keys(_COLLATERAL_KEYS)
    return Collateral(
        node.required("asset").name(),
        node.required("amount").at_least(ZERO),
        node.required("liquidation_threshold").within(ZERO, ONE, FRACTION_HINT),
        optional(node, "max_ltv", ZERO, ONE, FRACTION_HINT),
        rate(node, "supply_rate"),
        optional(node, "liquidation_bonus", ZERO, ONE, "write 5 % as 0.05"),
    )


def debt(node: Node) -> Debt:
    """Return what is owed of one asset."""
    node.keys(("asset", "amount", "borrow_rate"))
    return Debt(node.required("asset").name(), node.required("amount").at_least(ZERO), rate(node, "borrow_rate"))


def position(node: Node, kind: Kind) -> Position:
    """Return a position; one of a perp account, and any whose margin is constant, needs its entry price."""
    node.keys(_POSITION_KEYS)
    inverse, rank = node.child("inverse"), node.child("adl_rank")
    is_inverse = inverse is not None and inverse.boolean()
    at_entry = node.child("margin_at_entry")
    is_at_entry = at_entry is not None and at_entry.boolean()
    needs_entry = is_inverse or is_at_entry or kind is Kind.PERP
    if rank is not None and not 1 <= rank.whole() <= 5:
        raise rank.fail(f"{rank.whole()} is outside 1 to 5; 5 is deleveraged first")
    return Position(
        node.required("asset").name(),
        node.required("quantity").number(),
        _tiers(node),
        node.required("entry_price").positive() if needs_entry else positive(node, "entry_price"),
        positive(node, "mark_price"),
        optional(node, "fee_rate", ZERO, ONE, "write 0.05 % as 0.0005"),
        rate(node, "funding_rate"),
        amount(node, "margin_used"),
        positive(node, "venue_liquidation_price"),
        is_inverse,
        words(node, "contract"),
        None if rank is None else rank.whole(),
        rate(node, "predicted_funding_rate"),
        moment(node, "next_funding"),
        number(node, "funding_paid"),
        is_at_entry,
    )


def margin_call(node: Node) -> MarginCall | None:
    """Return the call for money that the account `node` has, `None` without one."""
    found = node.child("margin_call")
    if found is None:
        return None
    found.keys(("amount", "due", "text"))
    return MarginCall(found.required("amount").at_least(ZERO), moment(found, "due"), words(found, "text"))


def session(node: Node) -> Session | None:
    """Return whether the market of the account `node` is open, `None` when it does not say."""
    found = node.child("session")
    if found is None:
        return None
    found.keys(("is_open", "opens", "closes"))
    return Session(found.required("is_open").boolean(), moment(found, "opens"), moment(found, "closes"))


def _tiers(node: Node) -> tuple[Tier, ...]:
    flat, tiers = node.child("maintenance_rate"), node.child("tiers")
    if flat is not None and tiers is not None:
        raise flat.fail("stands beside tiers; keep one of them")
    if flat is not None:
        return (Tier(ZERO, flat.within(ZERO, Decimal(5), "write 25 % as 0.25")),)
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
    floor, rate = floor_node.at_least(ZERO), rate_node.within(ZERO, Decimal(5), "write 1 % as 0.01")
    if before is None and floor != 0:
        raise floor_node.fail(f"{floor} must be 0: the first tier starts at nothing")
    if before is not None and floor <= before.notional_floor:
        raise floor_node.fail(f"{floor} does not rise above {before.notional_floor}; sort the tiers")
    joined = ZERO if before is None else before.deduction + floor * (rate - before.maintenance_rate)
    given = node.child("deduction")
    if given is None:
        return Tier(floor, rate, joined)
    deduction = given.number()
    if abs(deduction - joined) > JOIN_TOLERANCE * floor * rate:
        raise given.fail(f"{deduction} does not join the tier before it; at this floor it must be {plain(joined)}")
    return Tier(floor, rate, deduction)
