"""Deribit from the command line: urls and references to a key in the config, the installed command, a served venue."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.deribit_server import KEY, SECRET, DeribitServer
from tests.marginline.command import Done, marginline, write

D = Decimal
ENV = {"DERIBIT_KEY": KEY, "DERIBIT_SECRET": SECRET}


def configured(folder: Path, venue: DeribitServer, *more: str, ws: bool = True) -> Path:
    return write(
        folder / "config.toml",
        [
            "[[account]]",
            'name = "d"',
            'provider = "deribit"',
            'key = "env:DERIBIT_KEY"',
            'secret = "env:DERIBIT_SECRET"',
            f'rest_url = "{venue.url_rest}"',
            *([f'ws_url = "{venue.url_ws}"'] if ws else []),
            *more,
            "[prices]",
            "venues = []",
            "[journal]",
            'path = "journal.sqlite3"',
            "[limits]",
            "max_topup_usd = 1000000",
            "max_per_day_usd = 1000000",
        ],
    )


def serve_a_long(venue: DeribitServer) -> None:
    venue.positions = [
        {
            "instrument_name": "BTC-PERPETUAL",
            "kind": "future",
            "direction": "buy",
            "size": D(30000),
            "average_price": D(60000),
            "mark_price": D(60000),
            "index_price": D(60000),
            "maintenance_margin": D("0.05"),
            "initial_margin": D("0.1"),
        }
    ]
    venue.summaries["BTC"] = {
        "currency": "BTC",
        "margin_model": "segregated_sm",
        "equity": D("0.06"),
        "margin_balance": D("0.06"),
        "maintenance_margin": D("0.05"),
        "initial_margin": D("0.1"),
    }
    venue.tickers["BTC-PERPETUAL"] = {"instrument_name": "BTC-PERPETUAL", "mark_price": D(60000)}


async def command(folder: Path, *arguments: Any, env: dict[str, str] = ENV) -> Done:
    return await asyncio.to_thread(
        marginline, *arguments, "--config", folder / "config.toml", env=env, home=folder, timeout=60
    )


def test_status_shows_the_account_with_nothing_but_urls_and_keys(tmp_path: Path) -> None:
    async def run() -> Done:
        async with DeribitServer() as venue:
            serve_a_long(venue)
            configured(tmp_path, venue)
            return await command(tmp_path, "status", "--json")

    done = asyncio.run(run())
    assert done.code == 0, done.err
    (account,) = done.json["assessment"]["accounts"]
    assert (account["name"], account["kind"]) == ("d:BTC", "perp")
    assert abs(D(account["health_factor"]) - D("1.2")) < D("1e-6")
    # In coin: 0.06 + 30000 (1/60000 - 1/p) = 3000 / p.
    assert abs(D(account["liquidation"]["BTC"]["price"]) - D(33000) / D("0.56")) < D("1e-6")
    assert SECRET not in done.out + done.err


def test_a_wrong_secret_is_exit_three_and_says_which_key(tmp_path: Path) -> None:
    async def run() -> Done:
        async with DeribitServer() as venue:
            serve_a_long(venue)
            configured(tmp_path, venue)
            return await command(tmp_path, "status", "--json", env=ENV | {"DERIBIT_SECRET": "wrong"})

    done = asyncio.run(run())
    assert done.code == 3
    assert "key .._key" in done.out + done.err
