"""`hedge` from a shell: theory, a file, a venue on loopback; one envelope, and errors that say what to write."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.deribit_server import DeribitServer
from tests.marginline.command import Done, marginline, write
from tests.signed_thread import serving

D = Decimal
DOCUMENT: dict[str, Any] = {
    "schema": "marginline.portfolio/1",
    "as_of": "2026-11-22T10:00:00Z",
    "prices": {
        "ETH": {"oracle": "3000", "volatility": "0.65"},
        "BTC": {"oracle": "60000"},
        "USDC": {"oracle": "1", "stable": True},
    },
    "accounts": [
        {
            "name": "main",
            "kind": "loan",
            "collateral": [{"asset": "ETH", "amount": "1000", "liquidation_threshold": "0.83"}],
            "debt": [{"asset": "USDC", "amount": "2000000", "borrow_rate": "0"}],
        },
        {
            "name": "btc",
            "kind": "loan",
            "collateral": [{"asset": "BTC", "amount": "1", "liquidation_threshold": "0.8"}],
            "debt": [{"asset": "USDC", "amount": "30000"}],
        },
        {
            "name": "safe",
            "kind": "loan",
            "collateral": [{"asset": "ETH", "amount": "1", "liquidation_threshold": "0.83"}],
            "debt": [],
        },
    ],
}
ROW: dict[str, Any] = {
    "venue": "deribit",
    "name": "ETH-25DEC26-2500-P",
    "underlying": "ETH",
    "right": "put",
    "strike": "2500",
    "expires": "2026-12-25T08:00:00Z",
    "lot": "1",
    "underlying_price": "3000",
    "observed_at": "2026-11-22T10:00:00Z",
    "inverse": True,
    "ask": "45",
}


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(DOCUMENT))
    return str(path)


def chained(folder: Path, *rows: dict[str, Any]) -> str:
    path = folder / "chain.json"
    path.write_text(json.dumps(list(rows)))
    return str(path)


def test_without_a_chain_premiums_are_theoretical_and_say_so(document: str) -> None:
    done = marginline("hedge", "main", "--floor", "-40%", "--portfolio", document, "--json")
    assert done.code == 0, done.err
    answer = done.json
    assert (answer["schema"], answer["account"], answer["direction"]) == ("marginline.hedge/1", "main", "down")
    assert (answer["protected_to"], answer["missing"]) == ("1800", "506000")
    assert [each["means"] for each in answer["options"]] == ["put"] * 4 + ["perp", "repay", "supply"]
    first = answer["options"][0]
    assert (first["premium_from"], first["volatility"], first["strike"]) == ("theory", "0.65", "2450")
    assert abs(D(first["quantity"]) - D(506000) / 650) < D("1e-7")
    assert abs(D(first["cost_per_year_of_debt"]) - D(first["premium"]) * 365 / 30 / 2000000) < D("1e-12")
    assert all(each["cannot"] for each in answer["options"])
    repay = answer["options"][5]
    assert (repay["quantity"], repay["money"], repay["cost_per_year_of_debt"]) == ("506000", "506000", "0")


def test_a_table_shows_all_ways_and_what_each_cannot_do(document: str) -> None:
    done = marginline("hedge", "main", "--floor", "-40%", "--volatility", "0.8", "--portfolio", document)
    assert done.code == 0, done.err
    assert "every way below holds it to 1,800.0" in done.out
    for word in ("put", "perp", "repay", "supply", "theory", "what each cannot do", "its gain sits at"):
        assert word in done.out


def test_all_assets_together_take_an_option_of_each(document: str, tmp_path: Path) -> None:
    both = json.loads(json.dumps(DOCUMENT))
    both["accounts"][0]["collateral"].append({"asset": "BTC", "amount": "10", "liquidation_threshold": "0.83"})
    both["accounts"][0]["debt"][0]["amount"] = "2400000"
    path = tmp_path / "both.json"
    path.write_text(json.dumps(both))
    words = ("--floor", "-40%", "--volatility", "0.6", "--together", "--portfolio", path, "--json")
    done = marginline("hedge", "main", *words)
    assert done.code == 0, done.err
    puts = [each for each in done.json["options"] if each["means"] == "put"]
    assert [(each["asset"], each["share"][:6], each["protected_to"]) for each in puts] == [
        ("ETH", "0.8333", "1800"),
        ("BTC", "0.1666", "36000"),
    ]
    assert done.json["missing"] == "607200"


def test_a_chain_of_a_file_gives_asks_lots_and_coins(document: str, tmp_path: Path) -> None:
    chain = chained(tmp_path, ROW, ROW | {"name": "ETH-25DEC26-2600-P", "strike": "2600", "ask": "70"})
    words = ("hedge", "main", "--floor", "-40%", "--chain", chain, "--portfolio", document, "--json")
    done = marginline(*words)
    assert done.code == 0, done.err
    first, second = done.json["options"][:2]
    assert (first["instrument"], first["quantity"], first["premium"]) == ("ETH-25DEC26-2500-P", "723", "32535")
    assert (first["premium_from"], first["inverse"], first["premium_in_coin"]) == ("ask", True, "10.845")
    assert (second["instrument"], second["quantity"]) == ("ETH-25DEC26-2600-P", "633")


def test_an_account_that_owes_nothing_is_answered(document: str) -> None:
    done = marginline("hedge", "safe", "--portfolio", document)
    assert (done.code, done.out.strip()) == (0, "safe owes nothing: nothing can liquidate it")


def serve() -> DeribitServer:
    venue = DeribitServer()
    venue.instruments = {
        "ETH": [
            {
                "instrument_name": f"ETH-1OCT96-{strike}-P",
                "kind": "option",
                "option_type": "put",
                "strike": D(strike),
                "expiration_timestamp": 4_000_000_000_000,
                "min_trade_amount": D(1),
                "base_currency": "ETH",
                "settlement_currency": "ETH",
                "instrument_type": "reversed",
                "is_active": True,
                "state": "open",
            }
            for strike in (2500, 2800)
        ]
    }
    venue.books = {
        "ETH": [
            {"instrument_name": "ETH-1OCT96-2500-P", "ask_price": D("0.3"), "underlying_price": D(3000)},
            {"instrument_name": "ETH-1OCT96-2800-P", "mark_price": D("0.01"), "underlying_price": D(3000)},
        ]
    }
    return venue


def test_a_venue_is_read_without_a_key_and_its_chain_is_kept(document: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    with serving(serve) as venue:
        config = write(tmp_path / "config.toml", ["[venues.deribit]", f'rest_url = "{venue.url_rest}"'])
        words = ("hedge", "main", "--floor", "-40%", "--portfolio", document, "--json")
        live = marginline(*words, "--config", config, "--from-venue", "deribit", "--save-chain", kept)
    assert live.code == 0, live.err
    first, second = live.json["options"][:2]
    assert (first["instrument"], first["premium"], first["venue"]) == ("ETH-1OCT96-2500-P", "650700", "deribit")
    assert (second["premium_from"], second["quantity"], second["premium"]) == ("mark", "506", "15180")
    again = marginline(*words, "--chain", kept)
    assert again.code == 0, again.err
    assert again.json["options"] == live.json["options"]


def test_a_venue_that_cannot_be_reached_is_a_network_error(document: str, tmp_path: Path) -> None:
    config = write(tmp_path / "config.toml", ["[venues.deribit]", 'rest_url = "http://127.0.0.1:1"'])
    words = ("--from-venue", "deribit", "--floor", "-40%", "--config", config)
    done = marginline("hedge", "main", *words, "--portfolio", document)
    assert done.code == 4
    assert done.err.startswith("marginline: deribit: ")


def live(folder: Path, *more: str) -> Path:
    return write(
        folder / "live.toml",
        [
            "[[account]]",
            'name = "ib"',
            'provider = "manual"',
            'kind = "broker"',
            'quote = "USD"',
            "cash = -20000",
            'positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]',
            *more,
            "[prices]",
            "venues = []",
        ],
    )


def test_a_live_account_is_hedged_too(tmp_path: Path) -> None:
    words = ("--floor", "-60%", "--volatility", "0.2", "--config", live(tmp_path), "--json")
    done = marginline("hedge", "ib", *words, home=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["underlying"], done.json["missing"]) == ("SPY", "5000")
    assert [each["means"] for each in done.json["options"]][-3:] == ["perp", "deposit", "reduce"]
    assert any("at its discretion" in line for line in done.json["assumed"])


def test_an_account_that_was_not_read_is_a_network_error_and_not_an_unknown_name(tmp_path: Path) -> None:
    away = ["[[account]]", 'name = "d"', 'provider = "deribit"', 'key = "env:K"', 'secret = "env:S"']
    config = live(tmp_path, *away, 'rest_url = "http://127.0.0.1:1"')
    done = marginline("hedge", "d:BTC", "--config", config, home=tmp_path, env={"K": "k", "S": "s"})
    assert done.code == 4, done.err
    assert done.err.startswith("marginline: d:BTC: ")
    assert marginline("hedge", "e", "--config", config, home=tmp_path, env={"K": "k", "S": "s"}).code == 2


def refused(document: str, *words: str, account: str = "main") -> str:
    done: Done = marginline("hedge", account, *words, "--portfolio", document)
    assert (done.code, done.out) == (2, ""), done
    return done.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--volatility", "NaN"], "'NaN' is not a number"),
        (["--volatility", "0"], "above 0 and at most 20"),
        (["--floor", "-120%"], "a price cannot move by -120 %"),
        (["--floor", "40%"], "it is a fall that liquidates this account; write a floor of -40%"),
        (["--horizon", "soon"], "--horizon: 'soon' is no horizon"),
        (["--from-venue", "binance"], "lists no options that are read; known: deribit"),
        (["--save-chain", "x.json"], "add --from-venue deribit"),
        (["--chain", "/no/such/chain.json"], "No such file"),
        (["--chain", "x.json", "--from-venue", "deribit"], "leave one out"),
    ],
)
def test_bad_options_are_named_with_what_to_write(document: str, words: list[str], says: str) -> None:
    assert says in refused(document, *words)


def test_an_unknown_account_and_a_missing_volatility_are_named(document: str) -> None:
    assert "there is no account 'mian'; there are: main, btc, safe" in refused(document, account="mian")
    said = refused(document, account="btc")
    assert "btc: no volatility of BTC is known; write --floor -40%, or --volatility 0.62" in said


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "is an empty list"),
        ([ROW | {"expires": "2026-11-20T08:00:00Z"}], "every option has expired by 2026-11-22T10:00:00Z"),
        ([ROW | {"underlying": "SOL"}], "no option on ETH; there are options on SOL"),
        ([ROW | {"strike": "NaN"}], "[0].strike: 'NaN' is not a number"),
        ([ROW | {"ask": -1}], "[0].ask: -1 must be above 0"),
    ],
)
def test_a_chain_that_cannot_be_used_is_named(
    document: str, tmp_path: Path, rows: list[dict[str, Any]], says: str
) -> None:
    assert says in refused(document, "--chain", chained(tmp_path, *rows))
