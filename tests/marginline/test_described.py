"""Accounts described in a CSV file: read like a document, and every error names its line."""

from pathlib import Path

import pytest

from tests.marginline.command import marginline

CONFIG = """
[[account]]
name = "otc"
provider = "manual"
kind = "loan"
file = "legs.csv"
[prices]
venues = []
"""
LEGS = """leg,asset,amount,liquidation_threshold,borrow_rate

# what the lender wrote
collateral,ETH,10,0.8,
debt,USDC,"15000",,0.08
"""


def described(folder: Path, legs: str, config: str = CONFIG) -> Path:
    (folder / "legs.csv").write_text(legs)
    path = folder / "c.toml"
    path.write_text(config)
    return path


def test_legs_come_from_the_file_beside_the_config(tmp_path: Path) -> None:
    path = described(tmp_path, LEGS)
    done = marginline("status", "--json", "--config", str(path), home=tmp_path)
    assert done.code == 0, done.err
    (account,) = done.json["portfolio"]["accounts"]
    assert account["collateral"] == [{"asset": "ETH", "amount": "10", "liquidation_threshold": "0.8"}]
    assert account["debt"] == [{"asset": "USDC", "amount": "15000", "borrow_rate": "0.08"}]


def test_a_brokers_positions_stand_beside_its_cash_in_the_config(tmp_path: Path) -> None:
    config = CONFIG.replace('"loan"', '"broker"\ncash = -20000\nquote = "USD"')
    path = described(tmp_path, "leg,asset,quantity,mark_price,maintenance_rate\nposition,SPY,100,500,0.25\n", config)
    done = marginline("status", "--json", "--config", str(path), home=tmp_path)
    assert done.code == 0, done.err
    (broker,) = done.json["assessment"]["accounts"]
    assert broker["equity"] == "30000"
    assert broker["health_factor"] == "2.4"


@pytest.mark.parametrize(
    ("legs", "says"),
    [
        (LEGS.replace("10,0.8", "ten,0.8"), "legs.csv:4: amount"),
        (LEGS.replace("debt,USDC", "owed,USDC"), "legs.csv:5: leg must be collateral, debt or position, not 'owed'"),
        (LEGS.replace("0.08", "0.08,7"), "legs.csv:5: 6 cells under 5 columns"),
        (LEGS.replace("leg,", "kind,"), "legs.csv:1: the first line must name the columns"),
        (LEGS.replace("liquidation_threshold", "threshold"), "legs.csv:4"),
        (LEGS.replace("borrow_rate", "amount"), "a column is named twice"),
        ('leg,asset\ncollateral,"ETH\n', "is not a UTF-8 CSV file"),
        ("", "the first line must name the columns"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, legs: str, says: str) -> None:
    done = marginline("status", "--config", str(described(tmp_path, legs)), home=tmp_path)
    assert done.code == 2
    assert says in done.err


def test_a_missing_file_and_legs_in_both_places_are_refused(tmp_path: Path) -> None:
    path = described(tmp_path, LEGS, CONFIG.replace("legs.csv", "gone.csv"))
    done = marginline("status", "--config", str(path), home=tmp_path)
    assert done.code == 2
    assert "gone.csv cannot be read (FileNotFoundError)" in done.err
    both = CONFIG.replace('kind = "loan"', 'kind = "loan"\ndebt = [{asset = "USDC", amount = 1}]')
    done = marginline("status", "--config", str(described(tmp_path, LEGS, both)), home=tmp_path)
    assert done.code == 2
    assert "debt stand both here and in" in done.err
