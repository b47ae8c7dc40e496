"""The cascade pane works out what the command answers, keeps what it read, and says in words why there is nothing."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from desk.snapshot import Snapshot
from desk.view import portfolio
from engine.accounts import Collateral, Debt
from engine.document import render_portfolio
from marginline.cascade_pane import Cascades, demo_cascades
from marginline.cascade_wish import Wish
from marginline.config import load_config
from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider
from tests.marginline.command import marginline, write
from tests.tui import frames
from tui import present_cascade
from tui.cascade_like import CascadeFound

MARKET = [
    "[cascade.ETH]",
    'book = "prior"',
    "borrowers = 300",
    "debt = 2e8",
    "seed = 5",
    "pool = 400000",
    "throughput = 1e6",
    "paths = 64",
]
D = frames.D


def configured(path: Path) -> Cascades:
    config = load_config(path, SettingsByProvider(), DESCRIBED_IN_CONFIG)
    return Cascades(config.cascades, config.path)


def found(
    cascades: Cascades, account: str = "main", taken: Snapshot | None = None, *, with_paths: bool = False
) -> CascadeFound:
    shown = taken if taken is not None else frames.snapshot()
    return asyncio.run(cascades.cascade_of(shown, account, with_paths=with_paths))


def saved(folder: Path, taken: Snapshot) -> Path:
    return write(folder / "portfolio.json", [json.dumps(render_portfolio(portfolio(taken)))])


def test_the_pane_shows_what_the_command_answers_for_the_same_accounts(tmp_path: Path) -> None:
    config, taken = write(tmp_path / "config.toml", MARKET), frames.snapshot()
    given = found(configured(config), taken=taken, with_paths=True)
    document = saved(tmp_path, taken)
    done = marginline("cascade", "ETH", "--account", "main", "--portfolio", document, "--config", config, "--json")
    assert done.code == 0, done.err
    said: dict[str, Any] = done.json
    answer: dict[str, Any] = dict(given.answer or {})
    assert answer["account"]["of"] == 301
    assert answer["dynamic"]["paths"] == 64
    assert [row["rounds"] for row in answer["shocks"]] == [None] * 5  # the one part that the pane leaves out
    for row in (*said["shocks"], *answer["shocks"]):
        del row["rounds"], row["rounds_because"]
    assert answer == said


def test_flags_stand_over_what_is_configured(tmp_path: Path) -> None:
    config = write(tmp_path / "config.toml", MARKET)
    words = ("cascade", "ETH", "--config", config, "--price", "2481", "--json")
    done = marginline(*words, "--borrowers", "10000", "--pool", "5e6")
    assert done.code == 0, done.err
    assert "10,000 borrowers, seed 5" in done.json["book"]["source"]
    assert done.json["impact"] == "a constant-product pool of 5e+06 units"
    depth = write(tmp_path / "book.csv", ["side,price,quantity", "bid,2470,900000", "ask,2482,10"])
    assert "bids" in marginline(*words, "--depth", depth).json["impact"]


def test_the_config_shows_what_was_written(tmp_path: Path) -> None:
    config = write(tmp_path / "config.toml", MARKET)
    shown = marginline("config", "show", "--config", config, "--json").json["cascade"]
    assert shown["ETH"] | {"pool": "400000", "borrowers": "300", "paths": "64"} == shown["ETH"]
    assert "[cascade.ETH] book = prior" in marginline("config", "show", "--config", config).out


@pytest.mark.parametrize(
    ("account", "says"),
    [
        ("hl-short", "hl-short is no loan"),
        ("vault-old", "no fall of a price liquidates vault-old"),
        ("nobody", "nobody is no longer there"),
    ],
)
def test_where_there_is_nothing_it_says_why(tmp_path: Path, account: str, says: str) -> None:
    nothing = found(configured(write(tmp_path / "config.toml", MARKET)), account)
    assert nothing.answer is None
    assert says in nothing.because


def test_without_a_market_it_says_what_to_write() -> None:
    because = found(Cascades({})).because
    assert "no market of ETH is configured: write [cascade.ETH] into the config" in because
    assert 'book = "prior"' in because


def test_without_a_price_or_a_volatility_that_is_said(tmp_path: Path) -> None:
    cascades, taken = configured(write(tmp_path / "config.toml", MARKET)), frames.snapshot()
    eth = taken.prices["ETH"]
    unpriced = replace(taken, prices={**taken.prices, "ETH": replace(eth, price=replace(eth.price, oracle=None))})
    assert "the price of ETH is unknown" in found(cascades, taken=unpriced).because
    still = replace(taken, prices={**taken.prices, "ETH": replace(eth, price=replace(eth.price, volatility=None))})
    given = found(cascades, taken=still, with_paths=True)
    answer: dict[str, Any] = dict(given.answer or {})
    assert answer["account"]["chance_alone"] is None
    text = "".join(cell.text for line in _pane(frames.frame(still), given).lines for cell in line)
    assert present_cascade.NO_VOLATILITY in text


def test_other_collateral_stands_still_and_that_is_in_sight() -> None:
    held = (*frames.MAIN.collateral, Collateral("BTC", D("0.01"), D("0.7")))
    taken = frames.snapshot([frames.state(replace(frames.MAIN, collateral=held))])
    given = found(demo_cascades(7), taken=taken)
    frame = replace(frames.frame(taken), worked_out=given)
    said = ["".join(cell.text for cell in line) for line in present_cascade.market(frame, 120).lines]
    assert any("BTC does not move and is taken off the debt" in line for line in said)


def test_a_debt_that_falls_with_the_collateral_is_refused_in_words() -> None:
    owed = (*frames.MAIN.debt, Debt("ETH", D("0.1")))
    taken = frames.snapshot([frames.state(replace(frames.MAIN, debt=owed))])
    assert found(demo_cascades(7), taken=taken).because.startswith("main owes ETH, which falls with its collateral")


def test_a_file_is_read_again_when_it_was_written_again(tmp_path: Path) -> None:
    loans = write(tmp_path / "loans.csv", ["collateral,debt,threshold,bonus", "100,240000,0.83,0.05"])
    os.utime(loans, ns=(frames.NOW - 3600 * frames.S, frames.NOW - 3600 * frames.S))
    cascades = configured(write(tmp_path / "config.toml", ["[cascade.ETH]", 'book = "loans.csv"', "pool = 1000"]))
    first = found(cascades)
    assert first.book_at_ns == frames.NOW - 3600 * frames.S
    assert not first.is_drawn
    kept = dict(cascades._kept)
    found(cascades)
    assert cascades._kept == kept
    write(loans, ["collateral,debt,threshold,bonus", "100,240000,0.83,0.05", "10,20000,0.83,0.05"])
    again: dict[str, Any] = dict(found(cascades).answer or {})
    assert again["account"]["of"] == 3
    loans.unlink()
    assert "loans.csv: cannot be read" in found(cascades).because


def test_a_book_of_another_collateral_is_refused_in_words(tmp_path: Path) -> None:
    config = write(tmp_path / "config.toml", ["[cascade.ETH]", 'book = "loans.csv"', "pool = 1000"])
    for header in ("collateral:BTC,debt", "collateral:ETH,collateral:BTC,debt"):
        write(tmp_path / "loans.csv", [header, "1,240000" if header.count(":") == 1 else "1,1,240000"])
        because = found(configured(config)).because
        assert "BTC, where [cascade.ETH] names it" in because


def test_the_demo_has_a_market_that_repeats_itself_by_its_seed() -> None:
    one, again, other = (found(demo_cascades(seed), with_paths=True) for seed in (7, 7, 8))
    assert one.is_drawn
    assert one.answer == again.answer
    assert one.answer != other.answer


def test_wishes_for_another_asset_take_its_name() -> None:
    btc = replace(frames.MAIN, collateral=(Collateral("BTC", D(1), D("0.8")),), debt=(Debt("USDC", D(40000)),))
    given = found(
        Cascades({"BTC": Wish("prior", "BTC", pools=("900",), borrowers=50, debt=1e6)}),
        taken=frames.snapshot([frames.state(btc)]),
    )
    answer: dict[str, Any] = dict(given.answer or {})
    assert answer["prices"] == {"BTC": "61130"}


def _pane(frame: Any, given: CascadeFound) -> Any:
    return present_cascade.cascade(replace(frame, worked_out=given), 120)
