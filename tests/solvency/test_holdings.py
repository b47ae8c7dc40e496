"""What loans hold and owe becomes a statement that never flatters them; what it cannot express is refused."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind
from engine.prices import AssetPrice, OraclePrice
from engine.record import record
from marginline.solvency.attesting import Read, attest
from marginline.solvency.comparing import compare
from marginline.solvency.holdings import Wanted, amounts, asset_list, holdings
from marginline.solvency.statement import FLOORS, STANDARD, Block, ListedAsset, Snapshot
from providers.errors import ConfigError
from tests.solvency.cases import ETH, SEED, USDC, drawing, unsigned

D = Decimal


@record
class Loan:
    """A loan and the prices of its assets."""

    account: Account
    prices: dict[str, AssetPrice]


def priced(**prices: str) -> dict[str, AssetPrice]:
    return {asset: AssetPrice(OraclePrice(D(price))) for asset, price in prices.items()}


def loan(collateral: dict[str, tuple[str, str]], debt: dict[str, str], name: str = "main") -> Account:
    return Account(
        name,
        Kind.LOAN,
        collateral=tuple(Collateral(asset, D(amount), D(share)) for asset, (amount, share) in collateral.items()),
        debt=tuple(Debt(asset, D(amount)) for asset, amount in debt.items()),
    )


def decimals(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(D(low), D(high), places=places, allow_nan=False, allow_infinity=False)


@st.composite
def loans(draw: st.DrawFn) -> Loan:
    names = draw(st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=6, unique=True))
    collateral, debt, prices = [], [], {}
    for name in names:
        price = draw(decimals("0.00000001", "200000", draw(st.integers(8, 24))))
        prices[name] = AssetPrice(OraclePrice(price))
        if draw(st.booleans()):
            share = draw(decimals("0", "1", draw(st.integers(2, 6))))
            collateral.append(Collateral(name, draw(decimals("0", "100000", draw(st.integers(0, 18)))), share))
        if draw(st.booleans()):
            debt.append(Debt(name, draw(decimals("0", "100000", draw(st.integers(0, 18))))))
    return Loan(Account("main", Kind.LOAN, collateral=tuple(collateral), debt=tuple(debt)), prices)


@given(loans(), st.sampled_from(sorted(FLOORS.values())))
def test_what_can_be_proven_is_so_by_the_exact_figures(case: Loan, floor_bps: int) -> None:
    held = holdings([case.account], case.prices)
    if not held:
        return
    assets = asset_list(held, None, case.prices)
    collateral, debt = amounts(held, assets)
    surplus = sum(
        has * entry.price_down * entry.threshold_bps - owes * entry.price_up * floor_bps
        for entry, has, owes in zip(assets, collateral, debt, strict=True)
    )
    assert all(max(entry.price_down * 10_000, entry.price_up * 20_000) < 2**56 for entry in assets)
    if surplus >= 0:
        with_prices = {name: price.oracle.price for name, price in case.prices.items() if price.oracle}
        weighted = sum(
            leg.amount * with_prices[leg.asset] * leg.liquidation_threshold for leg in case.account.collateral
        )
        owed = sum(leg.amount * with_prices[leg.asset] for leg in case.account.debt)
        assert weighted * 10_000 >= owed * floor_bps * (1 - D("1e-25"))  # the default context keeps 28 digits


def test_amounts_prices_and_thresholds_are_rounded_against_the_owner() -> None:
    account = loan({"ETH": ("1.00000000009", "0.83339")}, {"USDC": "10.00000001"})
    held = holdings([account], prices := priced(ETH="2500.123456789012", USDC="1.000000000001"))
    eth, usdc = asset_list(held, None, prices)
    assert (eth.decimals, eth.threshold_bps) == (10, 8333)
    assert (eth.price_down, eth.price_up) == (250_012_345_678, 250_012_345_679)
    assert (usdc.decimals, usdc.price_down, usdc.price_up) == (7, 100_000_000_000, 100_000_000_001)
    assert amounts(held, [eth, usdc]) == ([10_000_000_000, 0], [0, 100_000_001])


def test_several_loans_are_summed_at_the_lowest_threshold() -> None:
    accounts = [loan({"ETH": ("1", "0.83")}, {"USDC": "5"}), loan({"ETH": ("2", "0.8")}, {"USDC": "7"}, "second")]
    held = holdings(accounts, priced(ETH="2500", USDC="1"))
    assert (held["ETH"].collateral, held["ETH"].threshold, held["USDC"].debt) == (D(3), D("0.8"), D(12))


def test_collateral_that_its_owner_disabled_counts_nothing() -> None:
    held = holdings([loan({"ETH": ("5", "0")}, {})], prices := priced(ETH="2500"))
    (entry,) = asset_list(held, None, prices)
    assert (entry.threshold_bps, amounts(held, [entry])) == (0, ([0], [0]))


def test_a_list_of_more_than_is_held_says_nothing_of_what_is_held() -> None:
    """The same public list comes out for two accounts that hold different things."""
    prices = {**priced(ETH="2500", USDC="1"), "WBTC": AssetPrice(OraclePrice(D(97_000), round_id=5))}
    wanted = [Wanted("ETH", D("0.8")), Wanted("USDC", D("0.7")), Wanted("WBTC", D("0.7"))]
    lists = set()
    for account in (loan({"ETH": ("1", "0.83")}, {"USDC": "5"}), loan({"WBTC": ("1", "0.75")}, {"ETH": "2"})):
        read = Read((replace(account, degraded=(f"oracle of {account.debt[0].asset} is late",)),), prices, 1, None)
        snapshot, _ = attest(read, SEED, subject="", expires_at_s=2, wanted=wanted, draw=drawing(b"x"))
        assert snapshot.caveats == ("the reading was degraded, for 1 reason(s) that may name what is held",)
        assert {entry.round_id for entry in snapshot.assets} == {None}
        assert len(snapshot.collateral) == len(snapshot.debt) == STANDARD.assets
        lists.add(snapshot.assets)
    assert len(lists) == 1


@pytest.mark.parametrize(
    ("account", "prices", "words"),
    [
        (loan({"ETH": ("1e13", "0.8")}, {}), {"ETH": "2500"}, "ETH: an amount is too large"),
        (loan({"ETH": ("1", "0.8")}, {}), {}, "the oracle price of ETH is unknown"),
        (loan({"USD₮0": ("1", "0.8")}, {}), {"USD₮0": "1"}, "the name of an asset must be at most 40 printable ASCII"),
        (loan({"A" * 41: ("1", "0.8")}, {}), {"A" * 41: "1"}, "at most 40 printable ASCII"),
        (replace(loan({"ETH": ("1", "0.8")}, {}), quote="USD₮"), {"ETH": "1"}, "the currency must be at most 40"),
        (loan({"X": ("1", "0.8")}, {}), {"X": "1e33"}, "too large for a statement"),
        (loan({}, {}), {}, "hold nothing and owe nothing"),
        (loan({f"A{i}": ("1", "0.8") for i in range(17)}, {}), {f"A{i}": "1" for i in range(17)}, "17 assets"),
    ],
)
def test_what_a_statement_cannot_hold_is_refused(account: Account, prices: dict[str, str], words: str) -> None:
    known = priced(**prices)

    def stated() -> None:
        held = holdings([account], known)
        amounts(held, asset_list(held, None, known))

    with pytest.raises(ConfigError, match=words):
        stated()


def test_a_round_beyond_sixteen_bytes_is_refused() -> None:
    prices = {"ETH": AssetPrice(OraclePrice(D(2500), round_id=2**128))}
    held = holdings([loan({"ETH": ("1", "0.8")}, {})], prices)
    with pytest.raises(ConfigError, match="ETH: its oracle's round is too large"):
        asset_list(held, None, prices)


def test_accounts_in_different_currencies_are_not_summed() -> None:
    one, two = loan({}, {}), replace(loan({}, {}, "second"), quote="EUR")
    with pytest.raises(ConfigError, match="second: counts in EUR, main in USD"):
        holdings([one, two], {})


def stating(*assets: ListedAsset) -> Snapshot:
    return replace(unsigned((), (), assets), block=None)


def known(price: str, round_id: int | None = None, share: str | None = None) -> Read:
    accounts = () if share is None else (loan({"ETH": ("1", share)}, {}),)
    return Read(accounts, {"ETH": AssetPrice(OraclePrice(D(price), round_id=round_id))}, 1, None)


@pytest.mark.parametrize(
    ("own", "tolerance", "differs"),
    [
        (known("2500.12345678"), "0", ""),
        (known("2500.1234567801"), "0", "price"),
        (known("2500.12345677"), "0", "price"),
        (known("2475"), "0.0101", "price"),
        (known("2475.5"), "0.01", ""),
        (known("2500.12345678", ETH.round_id), "0", ""),
        (known("2500.12345678", 1), "0", "round"),
        (known("2500.12345678", 1), "0.01", ""),
        (known("2500.12345678", None, "0.83"), "0", ""),
        (known("2500.12345678", None, "0.84"), "0", ""),
        (known("2500.12345678", None, "0.8299"), "0", "threshold"),
    ],
)
def test_stated_figures_are_held_against_known_ones(own: Read, tolerance: str, differs: str) -> None:
    found = compare(stating(ETH, USDC), own, D(tolerance))
    assert len(found.differs) == (1 if differs else 0)
    assert all(differs in reason for reason in found.differs)
    assert "price of USDC" in found.unchecked
    assert ("threshold of ETH" in found.unchecked) == (not own.accounts)


def test_a_price_cut_to_the_statement_fits_the_price_it_was_cut_from() -> None:
    entry = stating(ListedAsset("ETH", 10, 0, 250_012_345_678, 250_012_345_679))
    assert compare(entry, known("2500.123456785"), D(0)).differs == ()
    assert compare(entry, known("2500.123456795"), D(0)).differs != ()


def test_a_stated_block_is_held_against_the_known_one() -> None:
    stated = replace(stating(ETH), block=Block(1, 5, b"a" * 32))
    own = known("2500.12345678", None, "0.83")
    assert "hash of block 5" in compare(stated, own, D(0)).unchecked
    assert compare(stated, replace(own, block=stated.block), D(0)).differs == ()
    other = replace(own, block=Block(1, 5, b"b" * 32))
    assert compare(stated, other, D(0)).differs == ("block 5 of chain 1 has another hash",)
