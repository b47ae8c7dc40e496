"""`size` from a shell."""

import json
from pathlib import Path

import pytest

from tests.marginline.command import marginline
from tests.marginline.test_stress_command import DOCUMENT

FRESH = ["--collateral", "ETH=10", "--borrow", "USDC", "--price", "2500", "--threshold", "83%"]


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def test_a_loan_from_scratch_with_its_loops() -> None:
    rates = ["--supply-rate", "1.5%", "--borrow-rate", "0.052"]
    done = marginline("size", *FRESH, "--max-ltv", "0.805", "--distance", "30%", *rates, "--json")
    assert done.code == 0, done.err
    assert done.json["opens"] == {"asset": "USDC", "amount": "14525", "capped_by": None}
    assert [each["loops"] for each in done.json["sizes"]] == [0, 1, 2, 3, 5, 10, None]
    assert done.json["sizes"][0]["liquidation_price"] == "1750"


def test_room_in_an_account_of_a_document(document: str) -> None:
    done = marginline("size", "main", "--health", "1.2", "--portfolio", document, "--json")
    assert done.code == 0, done.err
    assert done.json["more"]["asset"] == "USDC"
    assert done.json["more"]["amount"].startswith("2291.8")
    table = marginline("size", "hl", "--distance", "10%", "--portfolio", document)
    assert table.out.startswith("hl can open 0.")


def test_a_perp_for_a_chance_says_which_formula_it_is() -> None:
    words = ["--open", "BTC=short", "--margin", "5000", "--price", "60000", "--maintenance", "1%"]
    done = marginline("size", *words, "--probability", "5%", "--within", "24h", "--volatility", "0.5")
    assert done.code == 0, done.err
    assert "open short" in done.out
    assert "closed form" in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([*FRESH], "say one of --health 1.8"),
        ([*FRESH, "--health", "0.9"], "is not above 1"),
        ([*FRESH, "--probability", "5%"], "needs a volatility"),
        (["--health", "2"], "--collateral ETH=10 --borrow USDC"),
        (["--collateral", "ETH", "--borrow", "USDC", "--health", "2"], "write ASSET=AMOUNT"),
        (["--collateral", "ETH=-1", "--borrow", "USDC", "--health", "2"], "is not above 0"),
        (["--collateral", "ETH=1", "--borrow", "USDC", "--health", "2"], "--price is missing"),
        (["--open", "BTC", "--health", "2"], "write ASSET=long"),
        ([*FRESH, "--health", "2", "--within", "soon"], "--within"),
    ],
)
def test_bad_input_says_what_to_write(words: list[str], says: str) -> None:
    done = marginline("size", *words)
    assert done.code == 2
    assert says in done.err


def test_an_unknown_account_is_named(document: str) -> None:
    done = marginline("size", "nope", "--health", "1.2", "--portfolio", document)
    assert done.code == 2
    assert "there is no account 'nope'; there are: main, hl" in done.err
