"""Options on every collateral, pro rata: they hold any mixture of falls, and a thousandth less does not."""

from collections.abc import Sequence
from decimal import Decimal
from random import Random

from engine.accounts import Account, Collateral, Debt, Kind
from engine.assess import assess
from engine.hedge import hedges
from engine.hedge_case import Hedge, Protection
from engine.prices import AssetPrice, OraclePrice

D = Decimal
NOW = 1_795_341_600 * 1_000_000_000
SPOT = {"ETH": D(3000), "BTC": D(60000), "SOL": D(150)}
PRICES = {asset: AssetPrice(OraclePrice(price)) for asset, price in SPOT.items()} | {
    "USDC": AssetPrice(OraclePrice(D(1)), stable=True)
}


def loan(random: Random) -> Account:
    held = tuple(
        Collateral(asset, D(random.randint(1, 9)) * D(3000) / price, D(random.randint(60, 90)) / 100)
        for asset, price in SPOT.items()
    )
    counted = sum(leg.amount * leg.liquidation_threshold * SPOT[leg.asset] for leg in held)
    return Account("main", Kind.LOAN, collateral=held, debt=(Debt("USDC", counted * D(random.randint(60, 98)) / 100),))


def margin(account: Account, puts: Sequence[Hedge], moves: dict[str, Decimal], share: Decimal) -> Decimal:
    at = {asset: price * moves[asset] for asset, price in SPOT.items()}
    paid = D(0)
    for each in puts:
        assert each.option is not None
        assert each.quantity is not None
        paid += share * each.quantity * max(each.option.strike - at[each.asset], D(0))
    counted = sum(leg.amount * leg.liquidation_threshold * at[leg.asset] for leg in account.collateral)
    return counted + paid - account.debt[0].amount


def test_options_pro_rata_hold_any_mixture_of_falls_and_no_less_does() -> None:
    random = Random(7)
    for _ in range(60):
        account = loan(random)
        owed = account.debt[0].amount
        wish = Protection(30 * 86_400, D("-0.5"), D("0.8"), together=True)
        found = hedges(account, assess(account, PRICES, NOW), PRICES, wish, NOW)
        puts = [each for each in found.hedges if each.means == "put"]
        assert {each.asset for each in puts} == set(SPOT)
        assert abs(sum(each.share for each in puts) - 1) < D("1e-20")
        for _ in range(100):
            moves = {asset: random.choice((D("0.5"), D(1), D(random.randint(500, 1000)) / 1000)) for asset in SPOT}
            assert margin(account, puts, moves, D(1)) >= -owed * D("1e-9"), moves
        low = dict.fromkeys(SPOT, D("0.5"))
        assert margin(account, puts, low, D("0.999")) < 0
        (repay,) = [each for each in found.hedges if each.means == "repay"]
        assert repay.quantity is not None
        assert abs(repay.quantity + margin(account, [], low, D(1))) < D("1e-6")
