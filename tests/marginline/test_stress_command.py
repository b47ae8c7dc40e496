"""`stress` from a shell: scenarios from flags, one envelope, and errors that say what to write instead."""

import json
from pathlib import Path

import pytest

from tests.marginline.command import marginline

DOCUMENT = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {"oracle": "2500", "volatility": "0.62"},
        "wstETH": {"oracle": "3000"},
        "USDC": {"oracle": "1", "stable": True},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "close_factor": "0.5",
            "collateral": [
                {"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83", "liquidation_bonus": "0.05"},
                {"asset": "wstETH", "amount": "0.0001", "liquidation_threshold": "0.8", "liquidation_bonus": "0.05"},
            ],
            "debt": [{"asset": "USDC", "amount": "15000", "borrow_rate": "0.052"}],
        },
        {
            "name": "hl",
            "kind": "perp",
            "balance": "5000",
            "quote": "USDC",
            "positions": [
                {
                    "asset": "BTC",
                    "quantity": "-0.5",
                    "entry_price": "60000",
                    "mark_price": "61000",
                    "maintenance_rate": "0.01",
                }
            ],
        },
    ],
}


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def test_shocks_of_one_call_are_one_scenario(document: str) -> None:
    done = marginline("stress", "--shock", "ETH=-30%", "--shock", "BTC=+25%", "--portfolio", document, "--json")
    assert done.code == 0, done.err
    (scenario,) = done.json["scenarios"]
    assert scenario["moves"] == {"BTC": "0.25", "ETH": "-0.3", "wstETH": "-0.3"}
    assert scenario["assumed"] == ["wstETH follows ETH"]
    main, hl = scenario["accounts"]
    assert (main["name"], main["liquidated"], main["loss"]) == ("main", True, "375")
    assert (hl["name"], hl["liquidated"]) == ("hl", True)
    assert scenario["first"] == ["hl", "main"]
    factor = {one["name"]: one["move"] for one in done.json["market_factor"]["accounts"]}
    assert factor["main"].startswith("-0.277")


def test_every_scenario_of_its_own_beside_betas_replays_and_rates(document: str) -> None:
    words = [
        "--scenario",
        "ETH=-10%,BTC=-5%",
        "--scenario",
        "stables=-3%",
        "--beta-shock",
        "ETH=-20%",
        "--beta",
        "BTC=1",
    ]
    done = marginline("stress", *words, "--replay", "luna", "--rates", "+30%", "--portfolio", document, "--json")
    assert done.code == 0, done.err
    names = [one["name"] for one in done.json["scenarios"]]
    assert names == ["ETH=-10%,BTC=-5%", "stables=-3%", "ETH=-20% by beta", "LUNA, 9 to 12 May 2022"]
    assert done.json["scenarios"][2]["moves"]["BTC"] == "-0.2"
    assert done.json["scenarios"][3]["source"].startswith("spot, lows of the hour")
    unknown = done.json["scenarios"][0]["accounts"][1]
    assert (unknown["liquidated"], unknown["reason"]) == (None, "funding rate of BTC unknown")


def test_without_a_flag_there_are_falls_and_crashes_of_the_past_and_a_grid_on_demand(document: str) -> None:
    done = marginline("stress", "--portfolio", document)
    assert done.code == 0, done.err
    assert "all=-50%" in done.out
    assert "10 October 2025" in done.out
    grid = marginline("stress", "--matrix", "--portfolio", document, "--json")
    assert grid.code == 0, grid.err
    cells = {(c["account"], c["price"], c["volatility"], c["rate"]): c for c in grid.json["matrix"]}
    assert len(cells) == 2 * 10 * 3 * 2
    now = cells["main", "0", "1", "0"]
    assert now["health_factor"].startswith("1.383")
    assert 0 < float(now["probability"]) < float(cells["main", "0", "2", "0"]["probability"])
    assert cells["hl", "0", "1", "0"]["reason"] == "volatility of BTC unknown"


def test_gas_says_whether_a_liquidation_is_worth_it(document: str) -> None:
    done = marginline("stress", "--shock", "ETH=-30%", "--gas", "500", "--portfolio", document, "--json")
    (main, _) = done.json["scenarios"][0]["accounts"]
    assert (main["gas_cost"], main["worth_liquidating"]) == ("750", False)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shock", "DOGE=-20%"], "no asset 'DOGE' here; there are: BTC, ETH, USDC, wstETH, stables"),
        (["--shock", "ETH=-120%"], "a price cannot move by -120 %"),
        (["--shock", "ETH=NaN"], "'NaN' is not a number"),
        (["--shock", "ETH"], "is not NAME=MOVE"),
        (["--shock", "ETH=-1%", "--shock", "ETH=-2%"], "moves an asset twice"),
        (["--replay", "tulips"], "--replay 'tulips': there are 2020-03-12"),
        (["--beta-shock", "BTC=-20%"], "the market factor is ETH"),
        (["--beta", "SOL"], "write ASSET=BETA"),
        (["--rates", "lots"], "--rates"),
        (["--oracle-behind", "80%"], "an oracle is 0 to 50 % behind"),
    ],
)
def test_bad_input_is_named_with_what_to_write(document: str, words: list[str], says: str) -> None:
    done = marginline("stress", *words, "--portfolio", document)
    assert done.code == 2
    assert says in done.err
