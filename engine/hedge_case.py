"""What a hedge is asked for, one way to hedge, and the ways to hedge one account side by side."""

from decimal import Decimal

from engine.black_scholes import implied_volatility
from engine.options import OptionQuote
from engine.plan_moves import YEAR_S
from engine.record import record
from engine.threat import Threat

SECOND_NS = 1_000_000_000


@record
class Protection:
    """What a hedge is to do: hold for `horizon_s`, to `move` (signed fraction of the underlying's price).

    `move` `None` takes the move that a lognormal price of the known volatility touches with a chance of `CHANCE`.
    `volatility` is annual and wins over what prices and chain say; `funding` is what a perp's long pays a year.
    `together` protects from all assets that are not stable moving in proportion, with a hedge of each, pro rata.
    """

    horizon_s: int
    move: Decimal | None = None
    volatility: Decimal | None = None
    funding: Decimal | None = None
    together: bool = False


@record
class Part:
    """One underlying of a hedge: the move told in its price, how far it must hold, and which share of it it pays.

    `listed` are its options, `None` for theoretical ones at `volatility`.
    """

    threat: Threat
    protected: Decimal
    share: Decimal = Decimal(1)
    volatility: Decimal | None = None
    listed: tuple[OptionQuote, ...] | None = None


@record
class Hedge:
    """One way to the protected price. `quantity` is of `asset`, `None` where there is none: `because` says why.

    `money` is what it takes at once in quote currency: the premium, the perp's margin, what is repaid or put in.
    `cost_per_year` is in quote currency, negative where it saves; `None` is unknown. `cannot` says what it does not do.
    Options: `premium` and where it is `premium_from` ("ask", "mark", "theory"), `volatility` implied by it,
    `full_quantity` what would protect against any fall. Perps: `margin` and `liquidation_price` of the perp itself.
    `share` below 1 is part of a hedge that only all rows of its means together are.
    """

    means: str
    instrument: str
    asset: str
    quantity: Decimal | None
    money: Decimal | None = None
    protected_to: Decimal | None = None
    cost_per_year: Decimal | None = None
    cannot: tuple[str, ...] = ()
    because: str = ""
    option: OptionQuote | None = None
    premium: Decimal | None = None
    premium_from: str = ""
    premium_in_coin: Decimal | None = None
    volatility: Decimal | None = None
    full_quantity: Decimal | None = None
    share: Decimal = Decimal(1)
    margin: Decimal | None = None
    liquidation_price: Decimal | None = None


@record
class Comparison:
    """The ways to protect one account, and what they are measured by; without any, `because` says why.

    `base` is the debt, or the notional of a perp account (`base_name`), that a year's cost is a fraction of. `assumed`
    is what was taken for granted, `doubts` what is wrong with the data.
    """

    account: str
    horizon_s: int
    hedges: tuple[Hedge, ...] = ()
    because: str = ""
    threat: Threat | None = None
    protected_to: Decimal | None = None
    missing: Decimal | None = None
    volatility: Decimal | None = None
    base: Decimal | None = None
    base_name: str = "debt"
    assumed: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def of_base(self, hedge: Hedge) -> Decimal | None:
        """Return what a way costs a year as a fraction of the debt or notional."""
        return None if hedge.cost_per_year is None or not self.base else hedge.cost_per_year / self.base


def years(seconds: int) -> Decimal:
    """Return seconds as years of 365 days."""
    return Decimal(seconds) / YEAR_S


def volatility_of(option: OptionQuote, premium: Decimal | None, now_ns: int) -> Decimal | None:
    """Return the annual volatility that `premium` implies at a rate of 0; `None` where none does."""
    left_s = (option.expires_ns - now_ns) / SECOND_NS
    if premium is None or left_s <= 0:
        return None
    found = implied_volatility(
        option.right, float(premium), float(option.underlying_price), float(option.strike), left_s / float(YEAR_S)
    )
    return None if found is None else Decimal(f"{found:.6f}")
