"""Exposure over all accounts: signs, hedges between accounts, and who is left out and why."""

from decimal import Decimal

from engine.accounts import Account, Collateral, Debt, Kind, Position, Tier
from engine.assess import assess
from engine.exposure import Exposure, exposure
from engine.prices import AssetPrice, OraclePrice

FLAT = (Tier(Decimal(0), Decimal("0.05")),)
PRICES = {
    "ETH": AssetPrice(OraclePrice(Decimal(2500))),
    "USDC": AssetPrice(OraclePrice(Decimal(1)), stable=True),
    "EUR": AssetPrice(OraclePrice(Decimal("1.1"))),
}
LOAN = Account(
    "main",
    Kind.LOAN,
    collateral=(Collateral("ETH", Decimal(10), Decimal("0.8")),),
    debt=(Debt("USDC", Decimal(15_000)),),
)


def short(quantity: str, mark: str, **fields: object) -> Account:
    position = Position("ETH", Decimal(quantity), FLAT, Decimal(2600), Decimal(mark))
    return Account("hl", Kind.PERP, quote="USDC", balance=Decimal(5000), positions=(position,), **fields)  # type: ignore[arg-type]


def of(*accounts: Account) -> Exposure:
    return exposure([(each, assess(each, PRICES, 0)) for each in accounts], PRICES)


def test_a_short_elsewhere_hedges_a_collateral_at_each_accounts_own_price() -> None:
    found = of(LOAN, short("-8", "2480"))
    eth, usdc = found.assets
    assert eth.asset == "ETH"
    assert dict(eth.by_account) == {"main": 25_000, "hl": -19_840}
    assert (eth.long, eth.short, eth.net, eth.hedged) == (25_000, -19_840, 5_160, 19_840)
    assert (usdc.asset, usdc.net, usdc.hedged) == ("USDC", -15_000, 0)
    assert found.left_out == {}


def test_legs_of_one_account_cancel_before_they_count_as_a_hedge() -> None:
    both = short("-8", "2480", collateral=(Collateral("ETH", Decimal(9), Decimal("0.9")),))
    (eth,) = of(both).assets
    assert (eth.net, eth.hedged) == (2_480, 0)


def test_quote_currency_is_no_exposure_but_another_currency_is_converted() -> None:
    position = Position("SPY", Decimal(10), FLAT, None, Decimal(500))
    broker = Account("ib", Kind.BROKER, quote="EUR", balance=Decimal(-1000), positions=(position,))
    (spy,) = of(broker).assets
    assert (spy.asset, spy.net) == ("SPY", 5_500)


def test_an_account_without_a_price_is_left_out_by_name() -> None:
    unpriced = Account("otc", Kind.LOAN, collateral=(Collateral("XYZ", Decimal(1), Decimal("0.5")),))
    strange = Account("far", Kind.BROKER, quote="JPY", balance=Decimal(-1))
    found = of(unpriced, strange, LOAN)
    assert found.left_out == {"otc": "no price of XYZ", "far": "no price of JPY"}
    assert [each.asset for each in found.assets] == ["ETH", "USDC"]
