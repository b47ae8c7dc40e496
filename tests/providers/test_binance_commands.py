"""Binance from the command line alone: a config with URLs and a key, and what the venue holds afterwards."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.binance_server import KEY, SECRET, Binance, Lot
from tests.marginline.command import Done, marginline, write
from tests.signed_server import Cut, SignedServer
from tests.signed_thread import serving

ENV = {"BN_KEY": KEY, "BN_SECRET": SECRET}


@pytest.fixture
def venue() -> Binance:
    return Binance(
        lots=[
            Lot("BTCUSDT", Decimal("0.5"), Decimal(64000), Decimal(65000)),
            Lot("ETHUSDT", Decimal(-3), Decimal(3000), Decimal(3100), isolated=Decimal(700)),
        ]
    )


@pytest.fixture
def server(venue: Binance) -> Iterator[SignedServer]:
    with serving(venue.server) as server:
        yield server


@pytest.fixture
def config(server: SignedServer, tmp_path: Path) -> Path:
    return write(
        tmp_path / "config.toml",
        [
            "[[account]]",
            'name = "bn"',
            'provider = "binance-usdm"',
            'key = "env:BN_KEY"',
            'secret = "env:BN_SECRET"',
            f'rest_url = "{server.url_rest}"',
            f'ws_url = "{server.url_ws}"',
            "[prices]",
            "venues = []",
            "[limits]",
            "max_topup_usd = 100000",
            "max_per_day_usd = 100000",
        ],
    )


def run(config: Path, *arguments: str) -> Done:
    return marginline(*arguments, "--config", config, env=ENV, home=config.parent)


def test_status_shows_every_account_with_its_figures(config: Path) -> None:
    done = run(config, "status", "--json")
    assert done.code == 0, done.err
    by_name = {each["name"]: each for each in done.json["assessment"]["accounts"]}
    assert set(by_name) == {"bn", "bn:ETHUSDT"}
    assert Decimal(by_name["bn:ETHUSDT"]["health_factor"]) > 10
    assert not any(secret in done.out + done.err for secret in (KEY, SECRET))


def test_a_plan_names_both_wallets_and_the_reduction(config: Path, server: SignedServer) -> None:
    done = run(config, "plan", "bn:ETHUSDT", "--to", "30", "--json")
    assert done.code == 0, done.err
    options = done.json["options"]
    assert {(each["means"], each["source"]) for each in options} == {
        ("add-margin", "futures wallet"),
        ("add-margin", "spot wallet"),
        ("reduce", "the account itself"),
    }
    assert {each["means"] for each in options if each["ready"]} == {"add-margin"}
    assert not [each for each in server.writes if "listenKey" not in each.path]


def test_a_confirmed_top_up_changes_the_account_and_the_next_status_shows_it(config: Path, venue: Binance) -> None:
    done = run(config, "topup", "bn:ETHUSDT", "--to", "30", "--by", "add-margin", "--confirm", "--json")
    assert done.code == 0, done.out + done.err
    assert venue.lot("ETHUSDT").isolated != 700
    assert health(config, "bn:ETHUSDT") >= 30


def test_a_confirmed_reduction_changes_the_account_and_the_next_status_shows_it(config: Path, venue: Binance) -> None:
    done = run(config, "topup", "bn", "--to", "60", "--by", "reduce", "--confirm", "--json")
    assert done.code == 0, done.out + done.err
    assert venue.lot("BTCUSDT").amount < Decimal("0.5")
    assert health(config, "bn") >= Decimal("59.9")


def health(config: Path, name: str) -> Decimal:
    shown = run(config, "status", "--json").json["assessment"]["accounts"]
    return Decimal(next(each["health_factor"] for each in shown if each["name"] == name))


def test_a_lost_answer_ends_confirmed_by_the_history_with_one_request(
    config: Path, server: SignedServer, venue: Binance
) -> None:
    server.fail_writes(Cut(is_carried_out=True))
    done = run(config, "topup", "bn:ETHUSDT", "--to", "30", "--by", "add-margin", "--confirm", "--json")
    assert done.code == 0, done.out + done.err
    assert len(venue.margin_history) == 1


def test_providers_tell_what_binance_reads_and_does(tmp_path: Path) -> None:
    listed = marginline("providers", "--json", home=tmp_path).json
    rows = {each["name"]: each for each in listed["providers"]}
    assert set(rows["binance-usdm"]["rescues"]) == {"add-margin", "reduce"}
    assert "uniMMR" in rows["binance-pm"]["reads"]
