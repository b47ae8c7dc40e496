"""Every venue of the product at once, each on its loopback server, and the one config that a user writes for them.

    async with everywhere(folder) as all_of_them:
        await command("status", "--json", config=all_of_them.config)

An account is called as its provider, with "-" for ":". The venues are those of the conformance suite, and one account
by hand.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marginline.registry import account_module
from providers.ports import ProviderInfo
from tests.account_kit import NAME, Rescue, Venue, registered

MANUAL = (
    "[[account]]",
    'name = "manual"',
    'provider = "manual"',
    'kind = "broker"',
    'quote = "USD"',
    "cash = -20000",
    'positions = [{asset = "SPY", quantity = 100, mark_price = 500, maintenance_rate = 0.25}]',
)


@dataclass(frozen=True)
class Everywhere:
    """The served venues and their servers by account name, the config, and what every account should hold in it."""

    venues: Mapping[str, Venue]
    servers: Mapping[str, Any]
    config: Path
    secrets: Mapping[str, str]

    @property
    def accounts(self) -> set[str]:
        """Return the names under which accounts with positions must be shown."""
        found = {own(venue, name) for venue in self.venues.values() for name in venue.holds}
        return found | {"manual"}

    @property
    def rescues(self) -> list[tuple[Venue, Rescue]]:
        """Return the first rescue of every venue that has one."""
        return [(venue, venue.rescue) for venue in self.venues.values() if venue.rescue is not None]


def own(venue: Venue, account: str) -> str:
    """Return the name in this config of an account that the conformance suite calls "kit" or "kit:..."."""
    return called(venue.provider) + account.removeprefix(NAME)


def called(provider: str) -> str:
    """Return what the account at a provider is called: no name has a colon, and a short one is shown uncut."""
    return provider.partition(":")[0]


def _table(provider: str, server: Any, settings: Mapping[str, str], references: Mapping[str, str]) -> Sequence[str]:
    info: ProviderInfo = account_module(provider).INFO
    urls = {"rest_url": server.url_rest, "ws_url": server.url_ws}
    urls = {key: url for key, url in urls.items() if url and key in info.settings | info.required}
    told = {"provider": provider, **urls, **settings, **references}
    return ["[[account]]", f'name = "{called(provider)}"', *(f'{key} = "{value}"' for key, value in told.items())]


@asynccontextmanager
async def everywhere(folder: Path, *more: str) -> AsyncIterator[Everywhere]:
    """Serve every venue and write the config for them, `more` lines at its end; secrets are files beside it."""
    venues = {called(venue.provider): venue for venue in registered()}
    servers: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    lines: list[str] = []

    def hidden(name: str, given: Mapping[str, str]) -> dict[str, str]:
        found = {}
        for key, secret in given.items():
            file = folder / f"{name}.{key}"
            file.write_text(secret)
            file.chmod(0o600)
            found[key] = f"file:{file}"
            secrets[f"{name}.{key}"] = secret
        return found

    async with AsyncExitStack() as stack:
        for name, venue in venues.items():
            servers[name] = await stack.enter_async_context(venue.serve())
            lines += _table(venue.provider, servers[name], venue.settings, hidden(name, venue.secrets))
        lines += [*MANUAL, "[limits]", "max_topup_usd = 1000000", "max_per_day_usd = 1000000"]
        config = folder / "config.toml"
        config.write_text("\n".join([*lines, *(more or ("[prices]", "venues = []"))]) + "\n")
        yield Everywhere(venues, servers, config, secrets)
