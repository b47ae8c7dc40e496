"""What OKX says of its markets: contracts, maintenance rates by size, fees, prices and funding, order books.

Shapes: okx.com/docs-v5, "Get instruments", "Get position tiers", "Get fee rates", "Get funding rate", "Get order book"
and the channels `mark-price` and `funding-rate` (read 2026-11). Position tiers are bounded in contracts, and the rate
of a size holds for all of it: maintenance depends on size alone, not on what it is worth.
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.depth import Level as BookLevel
from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, not_negative, number, positive, whole
from providers.okx_account.signing import VENUE
from providers.okx_account.wire import clean

_Num = msgspec.Raw
_HOURS_PER_YEAR, _HOUR_MS = Decimal(24 * 365), Decimal(3_600_000)
_USUAL_HOURS = Decimal(8)


@record
class Contract:
    """One contract: `value` is what one of it is in base coins, or in USD for an inverse one.

    `tick` and `lot` are the steps of its price and of its size in contracts.
    """

    name: str
    kind: str
    family: str
    base: str
    settle: str
    value: Decimal
    tick: Decimal
    lot: Decimal
    lowest: Decimal | None = None
    is_inverse: bool = False


@record
class Price:
    """Prices of one contract; rates are annual. What is `None` was not told."""

    contract: str
    mark_price: Decimal | None = None
    funding_rate: Decimal | None = None
    predicted_rate: Decimal | None = None
    next_funding_ns: int | None = None

    def over(self, old: "Price | None") -> "Price":
        """Return this, with what it does not tell from `old`."""
        if old is None:
            return self
        told = self.funding_rate is not None
        return Price(
            self.contract,
            old.mark_price if self.mark_price is None else self.mark_price,
            self.funding_rate if told else old.funding_rate,
            self.predicted_rate if told else old.predicted_rate,
            self.next_funding_ns if told else old.next_funding_ns,
        )


Rates = Sequence[tuple[Decimal, Decimal]]
"""Maintenance rates by the size in contracts up to which they hold, smallest first."""


class _Instrument(msgspec.Struct, frozen=True, rename="camel"):
    inst_id: str
    inst_type: str = ""
    inst_family: str = ""
    uly: str = ""
    settle_ccy: str = ""
    ct_val: _Num = NO_NUMBER
    ct_mult: _Num = NO_NUMBER
    ct_type: str = ""
    tick_sz: _Num = NO_NUMBER
    lot_sz: _Num = NO_NUMBER
    min_sz: _Num = NO_NUMBER


class _Instruments(msgspec.Struct, frozen=True):
    data: tuple[_Instrument, ...]


class _Tier(msgspec.Struct, frozen=True, rename="camel"):
    max_sz: _Num
    mmr: _Num


class _Tiers(msgspec.Struct, frozen=True):
    data: tuple[_Tier, ...]


class _Fee(msgspec.Struct, frozen=True, rename="camel"):
    taker: _Num = NO_NUMBER
    taker_u: _Num = NO_NUMBER
    taker_usdc: _Num = msgspec.field(name="takerUSDC", default=NO_NUMBER)


class _Fees(msgspec.Struct, frozen=True):
    data: tuple[_Fee, ...]


class _PriceRow(msgspec.Struct, frozen=True, rename="camel"):
    inst_id: str = ""
    mark_px: _Num = NO_NUMBER
    funding_rate: _Num = NO_NUMBER
    next_funding_rate: _Num = NO_NUMBER
    funding_time: _Num = NO_NUMBER
    next_funding_time: _Num = NO_NUMBER


class _Prices(msgspec.Struct, frozen=True):
    data: tuple[_PriceRow, ...] = ()


class _Interest(msgspec.Struct, frozen=True, rename="camel"):
    ccy: str
    interest_rate: _Num = NO_NUMBER


class _Interests(msgspec.Struct, frozen=True):
    data: tuple[_Interest, ...]


class _Book(msgspec.Struct, frozen=True):
    bids: tuple[tuple[_Num, ...], ...] = ()
    asks: tuple[tuple[_Num, ...], ...] = ()


class _Books(msgspec.Struct, frozen=True):
    data: tuple[_Book, ...]


def parse_contract(raw: bytes, name: str) -> Contract:
    """Return one contract of "Get instruments"; raises `Malformed` when it is not there or not to be understood."""
    row = next((each for each in decode(VENUE, "instruments", raw, _Instruments).data if each.inst_id == name), None)
    if row is None:
        raise Malformed(VENUE, f"no contract {clean(name)}")
    value = positive(VENUE, f"ctVal of {name}", row.ct_val)
    many = positive(VENUE, f"ctMult of {name}", row.ct_mult)
    tick, lot = positive(VENUE, f"tickSz of {name}", row.tick_sz), positive(VENUE, f"lotSz of {name}", row.lot_sz)
    if value is None or tick is None or lot is None or row.ct_type not in ("linear", "inverse"):
        raise Malformed(VENUE, f"{clean(name)}: no contract value, tick, lot or type")
    underlying = row.uly or row.inst_family or name
    return Contract(
        clean(name),
        clean(row.inst_type),
        clean(row.inst_family or underlying),
        clean(underlying.split("-")[0]),
        clean(row.settle_ccy),
        value * (many or Decimal(1)),
        tick,
        lot,
        positive(VENUE, f"minSz of {name}", row.min_sz),
        row.ct_type == "inverse",
    )


def parse_rates(raw: bytes) -> Rates:
    """Return the maintenance rates of "Get position tiers" by size in contracts."""
    found = []
    for row in decode(VENUE, "position tiers", raw, _Tiers).data:
        upper, rate = positive(VENUE, "maxSz", row.max_sz), positive(VENUE, "mmr of a tier", row.mmr)
        if upper is None or rate is None or rate >= 1:
            raise Malformed(VENUE, "position tiers: a tier without bound or rate")
        found.append((upper, rate))
    return sorted(found)


def rate_at(rates: Rates, contracts: Decimal) -> Decimal | None:
    """Return the rate that holds for a size, that of the last tier above its bound; `None` without tiers."""
    return next((rate for upper, rate in rates if contracts <= upper), rates[-1][1] if rates else None)


def parse_fee(raw: bytes, contract: Contract) -> Decimal | None:
    """Return the taker fee of a contract as a fraction; the venue shows what one pays as negative."""
    rows = decode(VENUE, "fee rates", raw, _Fees).data
    if not rows:
        return None
    by_settle = {"USDT": rows[0].taker_u, "USDC": rows[0].taker_usdc}
    own = number(VENUE, "taker fee", by_settle.get(contract.settle, rows[0].taker))
    told = number(VENUE, "taker fee", rows[0].taker) if own is None else own
    return None if told is None else max(-told, Decimal(0))


def parse_price(raw: bytes, name: str) -> Price | None:
    """Return what a mark-price or funding-rate reply, or a frame of those channels, tells of one contract."""
    rows = decode(VENUE, "prices", raw, _Prices).data
    row = next((each for each in rows if each.inst_id == name), None)
    return None if row is None else price_of(row)


def price_of(row: _PriceRow) -> Price:
    """Return one row as a price. Funding is due at `fundingTime`; the gap to the one after it is its period."""
    name = clean(row.inst_id)
    rate = number(VENUE, f"fundingRate of {name}", row.funding_rate)
    due, after = (whole(VENUE, f"funding time of {name}", t) for t in (row.funding_time, row.next_funding_time))
    hours = Decimal(after - due) / _HOUR_MS if due and after and after > due else _USUAL_HOURS
    predicted = number(VENUE, f"nextFundingRate of {name}", row.next_funding_rate)
    yearly = _HOURS_PER_YEAR / hours
    return Price(
        name,
        positive(VENUE, f"markPx of {name}", row.mark_px),
        None if rate is None else rate * yearly,
        None if rate is None else (rate if predicted is None else predicted) * yearly,
        due * 1_000_000 if due and rate is not None else None,
    )


def parse_interest(raw: bytes) -> dict[str, Decimal]:
    """Return the annual borrow rate of every currency; the venue tells it by the hour."""
    found = {}
    for row in decode(VENUE, "interest rates", raw, _Interests).data:
        hourly = not_negative(VENUE, f"interestRate of {row.ccy}", row.interest_rate)
        if hourly is not None:
            found[clean(row.ccy)] = hourly * _HOURS_PER_YEAR
    return found


def parse_book(raw: bytes, contract: Contract) -> tuple[tuple[BookLevel, ...], tuple[BookLevel, ...]]:
    """Return bids and asks in base coins, best first; the venue's sizes are contracts."""
    rows = decode(VENUE, "order book", raw, _Books).data
    book = rows[0] if rows else _Book()
    return _levels(book.bids, contract), _levels(book.asks, contract)


def _levels(rows: Sequence[tuple[_Num, ...]], contract: Contract) -> tuple[BookLevel, ...]:
    levels = []
    for row in rows:
        if len(row) < 2:
            continue
        at, size = positive(VENUE, "level price", row[0]), positive(VENUE, "level size", row[1])
        if at is not None and size is not None:
            worth = size * contract.value
            levels.append(BookLevel(at, worth / at if contract.is_inverse else worth))
    return tuple(levels)
