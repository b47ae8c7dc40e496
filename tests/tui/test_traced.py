"""Every figure of the science panes, traced to the JSON of its command for the same portfolio and candles."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

import pytest

from desk.desk import Desk
from desk.foresight import HOURS, arrays, foreseen
from desk.settings import DeskSettings
from desk.snapshot import Snapshot
from desk.view import status
from engine.whatif import MOVES
from providers.simulated import STABLE_ASSETS, SimulatedMarket
from tests.marginline.command import marginline, write
from tests.tui import frames
from tui import numbers, present_hedge, present_outlook, present_risk, present_whatif, words
from tui.screen_hedge import HORIZON_S
from tui.view import Frame, View
from widgets.facts import Text

ASSETS = ("ETH", "BTC", "SOL", "WBTC", "wstETH", "XRP", "SPY", "QQQ")


async def read(market: SimulatedMarket) -> Snapshot:
    """Return the first snapshot in which every account of the simulated market was read and priced."""
    feeds = market.feeds()
    settings = DeskSettings(
        venues=tuple(feed.venue for feed in feeds), stables=frozenset(STABLE_ASSETS), simulated="calm"
    )
    desk = Desk(market.sources(), feeds, settings, clock=market.now_ns, history=market.history)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        work = group.create_task(desk.run())
        async for snapshot in desk.snapshots():
            known = snapshot.prices.get("ETH")
            if len(snapshot.accounts) == 12 and known and known.price.volatility and known.consensus.price:
                work.cancel()
                return snapshot
    raise AssertionError("snapshots ended")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snapshot, Path, Path]:
    """Return the demo's market at one moment, with its estimates, and the files that the commands are given."""
    market = SimulatedMarket("calm", 7, start_ns=frames.NOW, clock=lambda: frames.NOW)
    folder = tmp_path_factory.mktemp("candles")
    snapshot = asyncio.run(read(market))
    candles = {}
    for asset in ASSETS:
        given = asyncio.run(market.history.hourly_candles(asset, HOURS))
        candles[asset] = arrays(given, asset)
        rows = [f"{each.opened_at_s},{each.open},{each.high},{each.low},{each.close}" for each in given]
        write(folder / f"{asset.lower()}_1h.csv", ["ts,open,high,low,close", *rows])
    document = write(folder / "portfolio.json", [json.dumps(status(snapshot)["portfolio"])])
    made = foreseen(snapshot, candles)
    taken = replace(snapshot, outlooks=made.outlooks, requirements=made.requirements, what_if=made.what_if)
    return taken, document, folder


def answer(document: Path, *arguments: str | Path) -> Any:
    done = marginline(*arguments[:1], *arguments[1:], "--portfolio", document, "--json")
    assert done.code == 0, done.err
    return done.json


def lines(text: Text) -> list[str]:
    return ["".join(cell.text for cell in line).rstrip() for line in text.lines]


def of(snapshot: Snapshot, account: str) -> Frame:
    return frames.frame(snapshot, View(selected=account))


def chance(said: Mapping[str, Any] | None) -> str:
    if said is None or said["probability"] is None:
        return numbers.UNKNOWN
    text = numbers.chance(float(said["probability"]))
    return text if said["calibrated"] else numbers.estimated(text)


def test_the_chances_of_every_account_are_those_of_forecast(demo: tuple[Snapshot, Path, Path]) -> None:
    snapshot, document, folder = demo
    said = {each["name"]: each["horizons"] for each in answer(document, "forecast", "--candles", folder)["accounts"]}
    ranking = {
        line.replace("▌", " ").split()[1]: line for line in lines(present_risk.first_to_go(of(snapshot, ""), 120))[1:]
    }
    assert set(said) == set(snapshot.accounts) == set(ranking)
    for name, state in snapshot.accounts.items():
        if not state.assessment.has_debt:
            continue
        wanted = [chance(said[name][horizon]) for horizon in ("1h", "24h", "7d")]
        assert [cell.text for cell in present_outlook.chance_cells(snapshot, state)] == wanted
        assert " ".join(wanted) in " ".join(ranking[name].split())
        day = said[name]["24h"]
        if day["baseline"] is not None:
            assert present_outlook.baseline_cell(snapshot, state).text == numbers.chance(float(day["baseline"]))
            low, high = (numbers.chance(float(each)) for each in day["interval"])
            in_full = lines(present_outlook.outlook(snapshot, state, 120))[2]
            assert f"{low} to {high}" in in_full
            assert in_full.split()[-1] == str(day["episodes"])


def test_the_grid_and_the_crashes_are_those_of_stress(demo: tuple[Snapshot, Path, Path]) -> None:
    snapshot, document, _ = demo
    wishes = [part for move in MOVES for part in ("--scenario", f"all={move * 100:f}%")]
    told = answer(document, "stress", *wishes, "--replay", "all")
    grid, crashes = told["scenarios"][: len(MOVES)], told["scenarios"][len(MOVES) :]
    shown = {
        line.replace("▌", " ").split()[1]: line for line in lines(present_whatif.grid(of(snapshot, "main"), 120))[1:]
    }
    for name, state in snapshot.accounts.items():
        wanted = []
        for each in grid:
            row = next(row for row in each["accounts"] if row["name"] == name)
            health = row["health_factor"]
            if health is None:
                wanted.append("no debt")
                continue
            text = numbers.health(Decimal(health), 2) if Decimal(health) > 0 else "gone"
            wanted.append(f"X {text}" if row["liquidated"] else text)
        assert " ".join(shown[name].split()).endswith(" ".join(wanted)), (name, state.account.kind)
    for name in ("main", "hl-short"):
        past = lines(present_whatif.crashes(of(snapshot, name)))[1:]
        for line, each in zip(past, crashes, strict=False):
            row = next(row for row in each["accounts"] if row["name"] == name)
            health = row["health_factor"]
            mine = f"X after {row['hours']} h" if row["liquidated"] else numbers.health(Decimal(health))
            assert line.startswith(f" {each['name']}")
            assert f" {mine} " in line
            assert f"{len(each['first'])}/12" in line
            assert line.endswith(", ".join(each["first"]))
        move = next(one["move"] for one in told["market_factor"]["accounts"] if one["name"] == name)
        assert past[-1].endswith(f"{numbers.distance(Decimal(move), falls=move.startswith('-'))} %")


def test_the_requirement_is_that_of_requirement(demo: tuple[Snapshot, Path, Path]) -> None:
    snapshot, document, folder = demo
    for one in answer(document, "requirement", "--candles", folder)["accounts"]:
        if not snapshot.accounts[one["name"]].assessment.has_debt:
            continue
        shown = " ".join(" ".join(lines(present_whatif.requirement(of(snapshot, one["name"]), 120))).split())
        if one["required"] is None:
            assert one["because"] in shown
            continue
        assert f"~{numbers.debt(Decimal(one['required']))} $ of equity" in shown
        assert f"it has {numbers.money(Decimal(one['equity']))} $" in shown
        assert f"liquidates at {numbers.debt(Decimal(one['protocol_required']))} $" in shown
        covered = Decimal(one["equity"]) / Decimal(one["required"])
        assert f"covered {numbers.round_exactly(covered, 2, ROUND_FLOOR)} times" in shown
        for leg in one["thresholds"]:
            implied = numbers.round_exactly(Decimal(leg["implied"]), 3, ROUND_FLOOR)
            assert f"threshold {numbers.threshold(Decimal(leg['protocol']))}, implied ~{implied}" in shown


@pytest.mark.parametrize("name", ["main", "hl-short", "arb-loop", "morpho-wbtc", "comet", "ibkr", "okx-swap"])
def test_the_hedges_are_those_of_hedge(name: str, demo: tuple[Snapshot, Path, Path]) -> None:
    snapshot, document, _ = demo
    frame = of(snapshot, name)
    told = answer(document, "hedge", name)
    shown = lines(present_hedge.hedge(frame, present_hedge.compared(frame, HORIZON_S), 120))
    if told["because"]:
        assert told["because"] in " ".join(shown)
    if not told["options"]:
        return
    places = numbers.price_places(Decimal(told["price"]))
    head = " ".join(" ".join(shown).split())
    assert f"{told['underlying']} at {numbers.price(Decimal(told['price']), places)}," in head
    line = numbers.liquidation_price(Decimal(told["liquidation_price"]), places, falls=told["direction"] == "down")
    assert f"liquidated at {line}" in head
    assert f"holds it to {numbers.price(Decimal(told['protected_to']), places)}" in head
    assert f"it lacks {numbers.debt(Decimal(told['missing']))} $" in head
    rows = shown[-len(told["options"]) :]
    for row, way in zip(rows, told["options"], strict=True):
        if way["quantity"] is None:
            assert way["because"] in row
            continue
        money = numbers.debt(Decimal(way["money"]))
        wanted = [way["means"], way["instrument"], money, numbers.price(Decimal(way["protected_to"]), places)]
        assert all(part in row for part in wanted), (row, wanted)


def test_the_lines_of_every_account_are_those_of_status(demo: tuple[Snapshot, Path, Path]) -> None:
    snapshot, document, _ = demo
    done = marginline("risk", document, "--json")
    told = {each["name"]: each for each in done.json["accounts"]}
    shown = {
        line.replace("▌", " ").split()[1]: line for line in lines(present_risk.first_to_go(of(snapshot, ""), 120))[1:]
    }
    for name, state in snapshot.accounts.items():
        one = told[name]
        if not state.assessment.has_debt:
            continue
        shock = one["uniform_shock"]
        move = "none" if shock is None else numbers.distance(Decimal(shock), falls=shock.startswith("-"))
        asset, point = words.nearest_point(state) or ("", None)
        assert point is not None
        entry = one["liquidation"][asset]
        alone = numbers.distance(Decimal(entry["distance"]), falls=entry["direction"] == "down")
        health = numbers.health(Decimal(one["health_factor"]))
        assert " ".join((move, health, asset, alone, "%")) in " ".join(shown[name].split())


def test_the_account_under_the_cursor_is_marked_in_the_ranking(demo: tuple[Snapshot, Path, Path]) -> None:
    marked = [line for line in lines(present_risk.first_to_go(of(demo[0], "comet"), 80)) if "▌" in line]
    assert [line.replace("▌", " ").split()[1] for line in marked] == ["comet"]
