"""A put on an Aave account: what it pays, repaid, keeps the contract's own integers from liquidating."""

from decimal import ROUND_FLOOR, Decimal

import pytest

from engine.aave import AaveHolding, AaveReserve, AaveUser
from engine.aave_ledger import AaveLedger
from engine.aave_math import RAY, AaveVersion
from engine.accounts import Account, Collateral, Debt, Kind
from engine.assess import assess
from engine.hedge import hedges
from engine.hedge_case import Protection
from engine.prices import AssetPrice, OraclePrice

D = Decimal
BLOCK_S = 1_700_000_000
NOW = BLOCK_S * 1_000_000_000
WAD = 10**18


def reserve(asset: str, bit: int, decimals: int, price: int) -> AaveReserve:
    return AaveReserve(asset, bit, decimals, price * 10**8, 8_000, 8_300, 10_500, RAY, RAY, 0, 0, BLOCK_S)


@pytest.mark.parametrize("version", [AaveVersion.V3_0, AaveVersion.V3_6])
def test_the_contract_itself_does_not_liquidate_between_now_and_the_floor(version: AaveVersion) -> None:
    eth = AaveHolding(reserve("ETH", 0, 18, 2_500), scaled_supply=10**19, is_collateral=True)
    usdc = AaveHolding(reserve("USDC", 1, 6, 1), scaled_debt=15_000 * 10**6, is_borrowing=True)
    ledger = AaveLedger(AaveUser(version, BLOCK_S, 10**8, (eth, usdc)))
    account = Account(
        "main",
        Kind.LOAN,
        collateral=(Collateral("ETH", D(10), D("0.83")),),
        debt=(Debt("USDC", D(15000)),),
        oracles={"ETH": OraclePrice(D(2500)), "USDC": OraclePrice(D(1))},
        ledger=ledger,
    )
    prices = {"USDC": AssetPrice(stable=True)}
    wish = Protection(30 * 86_400, D("-0.5"), volatility=D("0.6"))
    found = hedges(account, assess(account, prices, NOW), prices, wish, NOW)
    puts = [each for each in found.hedges if each.means == "put"]
    assert len(puts) == 4
    for each in puts:
        assert each.option is not None
        assert each.quantity is not None
        bare = hedged = 0
        for step in range(201):
            at = D(1250) + D(1250) * step / 200
            gain = each.quantity * max(each.option.strike - at, D(0))
            repaid = ledger.changed(repaid={"USDC": int((gain * 10**6).to_integral_value(ROUND_FLOOR))})
            bare += (ledger.health_factor_wad({"ETH": at}) or 0) < WAD
            # A unit of debt that was rounded down is the most that the payoff, cut to units, can be short of.
            hedged += (repaid.health_factor_wad({"ETH": at}) or 0) < WAD - 10**11
        assert (bare > 50, hedged) == (True, 0)
    assert any("contract's own rounding" in line for line in found.assumed)
