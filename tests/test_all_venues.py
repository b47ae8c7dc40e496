"""Every venue with a key, by the installed command: one config, all accounts in one answer, top-ups that land."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.account_kit import Rescue, Venue
from tests.everywhere import Everywhere, called, everywhere, own
from tests.marginline.command import Done, marginline

PATIENCE_S = 120.0
KINDS = {"alpaca": "broker", "ibkr": "broker", "manual": "broker"}


def on_all(folder: Path, work: Callable[[Everywhere], Awaitable[None]]) -> None:
    async def story() -> None:
        async with asyncio.timeout(PATIENCE_S), everywhere(folder) as all_of_them:
            await work(all_of_them)

    asyncio.run(story())


async def command(there: Everywhere, *words: str) -> Done:
    """Run the installed command; its output may hold no secret, whatever it is for."""
    done = await asyncio.to_thread(marginline, *words, "--config", there.config, home=there.config.parent)
    leaked = [name for name, secret in there.secrets.items() if secret in done.out + done.err]
    assert not leaked, leaked
    return done


async def shown(there: Everywhere) -> dict[str, Any]:
    done = await command(there, "status", "--json")
    assert done.code == 0, done.err
    return {account["name"]: account for account in done.json["assessment"]["accounts"]}


def test_one_config_shows_every_account_of_every_venue_with_its_figures(tmp_path: Path) -> None:
    async def work(there: Everywhere) -> None:
        done = await command(there, "status", "--json")
        assert done.code == 0, done.err
        sources = {source["name"]: source for source in done.json["sources"] if source["kind"] == "account"}
        assert sources.keys() == there.servers.keys() | {"manual"}
        assert {name: source["state"] for name, source in sources.items() if source["state"] != "live"} == {}
        accounts = {account["name"]: account for account in done.json["assessment"]["accounts"]}
        assert there.accounts <= accounts.keys()
        for name in there.accounts:
            account = accounts[name]
            assert account["kind"] == KINDS.get(name.partition(":")[0], "perp"), name
            assert account["severity"] != "unknown", account["severity_because"]
            for figure in ("health_factor", "equity", "buffer", "leverage"):
                assert Decimal(account[figure]).is_finite(), (name, figure)

    on_all(tmp_path, work)


def test_one_confirmed_top_up_on_each_venue_changes_what_it_serves(tmp_path: Path) -> None:
    async def one(there: Everywhere, venue: Venue, rescue: Rescue) -> None:
        server = there.servers[called(venue.provider)]
        before = rescue.figure(server)
        wanted = (own(venue, rescue.account), "--to", rescue.target, "--by", rescue.means.value)
        done = await command(there, "topup", *wanted, "--confirm", "--json")
        assert done.code == 0, done.out + done.err
        assert rescue.figure(server) > before

    async def work(there: Everywhere) -> None:
        before = await shown(there)
        assert len(there.rescues) >= 6
        for venue, rescue in there.rescues:
            await one(there, venue, rescue)
        after = await shown(there)
        for venue, rescue in there.rescues:
            name = own(venue, rescue.account)
            former, health = (Decimal(state[name]["health_factor"]) for state in (before, after))
            assert former < Decimal(rescue.target) <= health, name
        touched = {own(venue, rescue.account) for venue, rescue in there.rescues}
        for name in there.accounts - touched:
            if not any(name.split(":")[0] == each.split(":")[0] for each in touched):
                assert after[name]["health_factor"] == before[name]["health_factor"], name

    on_all(tmp_path, work)
