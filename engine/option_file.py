"""An option chain as a file: a JSON list of rows, written from a venue or by hand, and read strictly.

Each row: `venue`, `name`, `underlying` ("ETH"), `right` ("put" or "call"), `strike`, `expires` (RFC 3339 in UTC), `lot`
(least quantity and its step), `underlying_price` and `observed_at` (a time) are required; `quote` ("USD"), `inverse`
(false), `bid`, `ask`, `mark`, `mark_volatility` (annual, 0.65) and `delta` are optional. Prices are per unit of the
underlying in quote currency, also of an inverse option, whatever its venue quotes it in. Unknown keys are errors.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from engine.options import OptionQuote, Right
from engine.reading import Node, read_json
from engine.rendering import plain, timestamp

MAX_OPTIONS = 20_000
_MOST_VOLATILITY = Decimal(20)
_ONE = Decimal(1)
_KEYS = frozenset(
    {
        "venue",
        "name",
        "underlying",
        "right",
        "strike",
        "expires",
        "lot",
        "underlying_price",
        "observed_at",
        "quote",
        "inverse",
        "bid",
        "ask",
        "mark",
        "mark_volatility",
        "delta",
    }
)


def parse_options(text: str | bytes) -> tuple[OptionQuote, ...]:
    """Return the options of a file; raises `DocumentError` naming the first place that is wrong, or an empty list."""
    root = read_json(text)
    rows = root.items(MAX_OPTIONS)
    if not rows:
        raise root.fail("is an empty list; an option chain has at least one option")
    return tuple(map(_option, rows))


def render_options(options: Iterable[OptionQuote]) -> list[dict[str, object]]:
    """Return the rows of a file, ready for JSON; `parse_options` of them gives the same options back."""
    return [_row(each) for each in options]


def living(options: Sequence[OptionQuote], now_ns: int) -> tuple[OptionQuote, ...]:
    """Return the options that have not expired at `now_ns`."""
    return tuple(each for each in options if each.expires_ns > now_ns)


def _option(row: Node) -> OptionQuote:
    row.keys(_KEYS)
    bid, ask, mark = (_price(row, key) for key in ("bid", "ask", "mark"))
    if bid is not None and ask is not None and bid > ask:
        raise row.required("bid").fail(f"{bid} is above the ask of {ask}")
    volatility, delta = row.child("mark_volatility"), row.child("delta")
    quote, inverse = row.child("quote"), row.child("inverse")
    return OptionQuote(
        row.required("venue").name(),
        row.required("name").name(),
        row.required("underlying").name(),
        Right(row.required("right").choice(tuple(Right))),
        row.required("strike").positive(),
        row.required("expires").moment_ns(),
        row.required("lot").positive(),
        row.required("underlying_price").positive(),
        row.required("observed_at").moment_ns(),
        quote="USD" if quote is None else quote.name(),
        is_inverse=False if inverse is None else inverse.boolean(),
        bid=bid,
        ask=ask,
        mark=mark,
        mark_volatility=None
        if volatility is None
        else volatility.within(Decimal("0.0001"), _MOST_VOLATILITY, "write 65 % as 0.65"),
        delta=None if delta is None else delta.within(-_ONE, _ONE),
    )


def _price(row: Node, key: str) -> Decimal | None:
    found = row.child(key)
    return None if found is None else found.positive()


def _row(option: OptionQuote) -> dict[str, object]:
    found: dict[str, object] = {
        "venue": option.venue,
        "name": option.name,
        "underlying": option.underlying,
        "right": option.right.value,
        "strike": option.strike,
        "expires": timestamp(option.expires_ns),
        "lot": option.lot,
        "underlying_price": option.underlying_price,
        "observed_at": timestamp(option.observed_at_ns),
        "quote": option.quote,
        "inverse": option.is_inverse,
        "bid": option.bid,
        "ask": option.ask,
        "mark": option.mark,
        "mark_volatility": option.mark_volatility,
        "delta": option.delta,
    }
    return {
        key: plain(value) if isinstance(value, Decimal) else value for key, value in found.items() if value is not None
    }
