"""`cascade` from a shell: a book, what absorbs it, an account's place in the queue, and errors with file and line."""

import json
from pathlib import Path

import pytest

from tests.marginline.command import marginline, write

CASES = json.loads((Path(__file__).parents[1] / "fixtures/cascade/rounds.json").read_text())
PORTFOLIO = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {"oracle": "3000", "volatility": "0.62"},
        "wstETH": {"oracle": "3600"},
        "USDC": {"oracle": "1", "stable": True},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "collateral": [
                {"asset": "ETH", "amount": "10", "liquidation_threshold": "0.83", "liquidation_bonus": "0.05"},
                {"asset": "wstETH", "amount": "5", "liquidation_threshold": "0.8", "liquidation_bonus": "0.05"},
                {"asset": "USDC", "amount": "1000", "liquidation_threshold": "0.75"},
            ],
            "debt": [{"asset": "USDC", "amount": "33000"}],
        },
        {"name": "perp", "kind": "perp", "balance": "10", "positions": []},
    ],
}


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    rows = [f"{units!r},{debt!r},0.83,0.05,loan{row}" for row, (units, debt) in enumerate(CASES["loans"])]
    return write(tmp_path / "loans.csv", ["collateral,debt,threshold,bonus,name", *rows])


@pytest.fixture
def portfolio(tmp_path: Path) -> Path:
    return write(tmp_path / "portfolio.json", [json.dumps(PORTFOLIO)])


def test_the_published_figures_come_out_of_the_command(loans: Path) -> None:
    for depth in ("20000", "100000"):
        expected = CASES["by_pool_depth"][f"{depth}.0"]
        done = marginline("cascade", loans, "--price", "3000", "--pool", depth, "--shock", "-15%", "--json")
        assert done.code == 0, done.err
        rounds = done.json["shocks"][0]["rounds"]
        assert rounds["rounds"] == expected["rounds"]
        assert float(rounds["prices"]["ETH"]) == pytest.approx(expected["final_price"], rel=1e-12)
        assert float(rounds["repaid"]) == pytest.approx(expected["repaid"], rel=1e-12)
        assert float(rounds["bad_debt"]) == pytest.approx(expected["bad_debt"], rel=1e-12)
        assert float(rounds["endogenous_drop"]["ETH"]) == pytest.approx(expected["endogenous_drop"], rel=1e-10)


def test_an_answer_is_one_envelope_that_repeats_itself_and_says_what_it_takes_for_granted(loans: Path) -> None:
    words = ("cascade", loans, "--price", "3000", "--pool", "100000", "--volatility", "0.8", "--throughput", "1e6")
    more = ("--account", "loan3", "--paths", "70", "--json")
    done, again = marginline(*words, *more), marginline(*words, *more)
    assert done.code == 0, done.err
    answer = done.json
    assert answer["schema"] == "marginline.cascade/1"
    assert {key: answer[key] for key in answer if key != "as_of"} == {
        key: again.json[key] for key in again.json if key != "as_of"
    }
    said = " ".join(answer["caveats"])
    for caveat in ("oracle follows the market", "one collateral", "sell what they seize at once", "no new capital"):
        assert caveat in said
        assert caveat in done.err
    assert set(answer["watch"]["r0"]) == {"-0.05", "-0.1", "-0.15"}
    assert float(answer["watch"]["throughput_over_replenishment"]) > 1
    assert answer["dynamic"]["paths"] == 70
    assert answer["dynamic"]["buckets"] == answer["dynamic"]["loans"] == 200
    account = answer["account"]
    assert (account["rank"], account["of"]) == (84, 200)
    assert float(account["shock_alone"]) < float(account["shock_cascade"]) < 0
    assert float(account["chance_alone"]) < float(account["chance_cascade"])


def test_an_account_of_ones_own_joins_the_queue(loans: Path, portfolio: Path) -> None:
    words = ("cascade", loans, "--pool", "1000000", "--portfolio", portfolio, "--account", "main", "--paths", "64")
    done = marginline(*words, "--json")
    assert done.code == 0, done.err
    account = done.json["account"]
    # 10 ETH and 5 wstETH worth 6 ETH; USDC 1,000 x 0.75 is taken off the debt.
    assert float(account["liquidation_price"]) == pytest.approx((33000 - 750) / (10 * 0.83 + 6 * 0.8))
    assert account["of"] == 201
    assert done.json["as_of"] == "2026-11-22T10:00:00Z"
    assert done.json["dynamic"]["volatility"] == "0.62"
    assert any("USDC does not move" in reason for reason in done.json["degraded"])
    shown = marginline(*words)
    assert shown.code == 0
    assert f"number {account['rank']} of 201 in the queue" in shown.out


def test_a_debt_in_another_asset_that_moves_is_said_to_stand_still(loans: Path, tmp_path: Path) -> None:
    document = json.loads(json.dumps(PORTFOLIO))
    document["prices"]["BTC"] = {"oracle": "60000"}
    document["accounts"][0]["debt"] = [{"asset": "BTC", "amount": "0.5"}, {"asset": "USDC", "amount": "3000"}]
    path = write(tmp_path / "two.json", [json.dumps(document)])
    done = marginline(
        "cascade", loans, "--pool", "1000000", "--portfolio", path, "--account", "main", "--paths", "0", "--json"
    )
    assert done.code == 0, done.err
    still = [reason for reason in done.json["degraded"] if "stand still" in reason]
    assert still == ["main: BTC that it owes is taken to stand still"]


def test_an_order_book_and_a_prior_are_labelled(tmp_path: Path) -> None:
    depth = write(tmp_path / "book.csv", ["side,price,quantity", "bid,2999,500", "bid,2900,90000", "ask,3001,10"])
    done = marginline("cascade", "prior", "--depth", depth, "--borrowers", "2000", "--seed", "3", "--json")
    assert done.code == 0, done.err
    answer = done.json
    assert "a prior of 2,000 borrowers, seed 3" in answer["book"]["source"]
    assert any("prior" in caveat for caveat in answer["caveats"])
    assert answer["prices"] == {"ETH": "3000"}
    assert answer["dynamic"] is None
    assert "volatility unknown" in answer["dynamic_because"]
    assert answer["shocks"][0]["rounds"] is None
    assert "order book has no rounds" in answer["shocks"][0]["rounds_because"]
    assert float(answer["shocks"][0]["static"]["drop"]) > 0.05


def test_todays_price_is_the_portfolios_and_not_that_of_an_old_order_book(tmp_path: Path, portfolio: Path) -> None:
    depth = write(tmp_path / "book.csv", ["side,price,quantity", "bid,1999,90000", "ask,2001,10"])
    words = ("cascade", "prior", "--borrowers", "50", "--portfolio", portfolio, "--paths", "0", "--json")
    for absorbs in (("--depth", depth), ("--pool", "90000")):
        done = marginline(*words, *absorbs)
        assert done.code == 0, done.err
        assert done.json["prices"] == {"ETH": "3000"}
    assert marginline(*words, "--depth", depth, "--price", "2500").json["prices"] == {"ETH": "2500"}


def test_several_collaterals_run_in_rounds_with_cross_impact(tmp_path: Path) -> None:
    book = write(
        tmp_path / "loans.csv",
        ["collateral:ETH,collateral:BTC,debt,threshold,bonus", "100,0,240000,0.83,0.05", "0,10,497500,0.83,0.05"],
    )
    words = ["cascade", book, "--price", "ETH=3000", "--price", "BTC=60000", "--pool", "ETH=2000", "--pool", "BTC=1000"]
    done = marginline(*words, "--shock", "ETH=-5%", "--cross", "ETH:BTC=0.5", "--json")
    assert done.code == 0, done.err
    (row,) = done.json["shocks"]
    assert row["rounds"]["liquidated_loans"] == 2
    assert float(row["rounds"]["prices"]["BTC"]) < 60000
    assert row["static"] is None
    assert "one collateral" in row["static_because"]
    assert marginline(*words, "--shock", "ETH=-5%").code == 0


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "is empty"),
        (["collateral,debt"], "the book is empty"),
        (["collateral,debt", "10,1000", "10,NaN"], "loans.csv:3: debt: 'NaN' is not a number"),
        (["collateral,debt", "-10,1000"], "loans.csv:2: collateral: '-10' is not between"),
    ],
)
def test_a_bad_book_is_exit_2_with_file_and_line(tmp_path: Path, rows: list[str], says: str) -> None:
    book = write(tmp_path / "loans.csv", rows)
    done = marginline("cascade", book, "--price", "3000", "--pool", "1000")
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert str(book) in done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say what absorbs sales"),
        (("--pool", "1000", "--depth", "x"), "say what absorbs sales"),
        (("--pool", "-5"), "--pool '-5': write a positive number"),
        (("--pool", "BTC=5"), "the book's collaterals are ETH"),
        (("--pool", "1000", "--shock", "-150%"), "--shock"),
        (("--pool", "1000", "--shock", "5%"), "write a fall"),
        (("--pool", "1000", "--volatility", "nan"), "--volatility: nan is not between"),
        (("--pool", "1000", "--volatility", "0.8", "--oracle", "never"), "--oracle 'never'"),
        (("--pool", "1000", "--horizon", "soon"), "--horizon"),
        (("--pool", "1000", "--fee", "nan"), "Invalid value for '--fee'"),
        (("--pool", "1000", "--close-factor", "0"), "--close-factor: 0 is not"),
        (("--pool", "1000", "--cross", "ETH:ETH=1"), "--cross"),
        (("--depth", "nothing.csv"), "nothing.csv: cannot be read"),
        (("--depth-of", "nobody:ETH"), "--depth-of"),
        (("--pool", "1000", "--scheduler", "tcp://127.0.0.1:1"), "--scheduler is for paths over time"),
    ],
)
def test_a_flag_that_is_wrong_is_exit_2_and_named(
    loans: Path, tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    done = marginline("cascade", loans, "--price", "3000", *words, home=tmp_path)
    assert done.code == 2, done.err
    assert says in done.err


def test_an_account_that_no_cascade_reaches_is_refused_by_name(loans: Path, portfolio: Path) -> None:
    words = ("cascade", loans, "--pool", "1000", "--portfolio", portfolio, "--account")
    nobody, perp = marginline(*words, "nobody"), marginline(*words, "perp")
    assert (nobody.code, perp.code) == (2, 2)
    assert "accounts: main, perp" in nobody.err
    assert "perp is no loan" in perp.err


def test_without_a_price_the_command_says_how_to_give_one(loans: Path) -> None:
    done = marginline("cascade", loans, "--pool", "1000")
    assert done.code == 2
    assert "write --price ETH=3000" in done.err
