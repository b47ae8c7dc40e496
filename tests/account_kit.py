"""What the conformance suite of account adapters must know of one venue, and the bench on which it tests it.

A venue is one module `tests/conformance/<venue>.py` with `VENUES`, a tuple of `Venue`s (a family of providers may share
a server). What an adapter claims is taken from its own `INFO`, so nothing that it claims can be left out:

- `reads` with "hedge mode" or "inverse contracts": `situations` must serve it, and the positions must come out right.
- `live` starting with "websocket": pushes, silence, losses, duplicates and old frames are tested.
- `rescues`: the confirmed top-up, its exact request, an unknown outcome and a missing permission are tested.
- `settings` with "key": a revoked key ends with exit 3 and is told by its last four letters and
  `permissions["read"]`; a key that may not move money is told by `permissions["rescue"]`. With "secret" a clock that
  is 90 s off is measured and named, unless `exempt` says why requests carry no time.
- `depth`: the book of the long position's contract is read.
"""

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.accounts import Account
from engine.assess import assess
from engine.rescue import HealthPath, Means, Option, Standing
from marginline.compose import account_options, build_source
from marginline.config import Config, load_config
from marginline.registry import DESCRIBED_IN_CONFIG, SettingsByProvider, account_module
from marginline.rescue import Rescuer, Tools, build_tools
from providers.ports import AccountOptions, PositionSource, ProviderInfo, Reading
from tests.between import Answer, Between, Passed, between

NAME = "kit"
"""What the account under test is called in the config."""
STALE_S = 2.0

Holds = Mapping[str, Sequence[tuple[str, str]]]
"""By account name (NAME, "kit:BTC", ...): contract (the asset where it has no name) and signed quantity, any order."""

ANY = object()
"""A field of a documented request whose value differs from call to call (time, nonce, signature)."""


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A recorded or documented message and the pure function that reads it."""

    label: str
    parse: Callable[[bytes], object]
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request as the venue documents it: every field that goes out beside headers, `ANY` where it varies."""

    method: str
    path: str
    fields: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class Rescue:
    """A top-up of the standard account: which of its parts, with what, and what the venue must see.

    `target` is what `topup --to` is given. `figure` is what the venue holds of it: a rescue of `amount` raises it by
    exactly that. `sent` are the requests of that amount in their order, `is_money` tells a request that moves money.
    """

    account: str
    means: Means
    asset: str
    amount: str
    source: str
    target: str
    figure: Callable[[Any], Decimal]
    sent: tuple[Sent, ...]
    is_money: Callable[[Passed], bool]


@dataclass(frozen=True, kw_only=True)
class Venue:
    """One provider under test.

    `serve` runs its loopback server with the standard account: one long, one short, one row without a position where
    the venue has those. The server has `url_rest` and `url_ws` ("" without). `holds` is what must be read of it.
    `settings` are lines of the config as they stand, `secrets` go by `file:` references. `set_long` gives the long
    position another quantity and pushes it as the venue would; `is_following` says that a client's subscriptions are
    in place, asked after every frame. `situations` bring the server into what `INFO.reads` claims, by that word, and
    return what it then holds. `revoke` and `forbid` take the key away, or its right to move money. `set_clock` moves
    the venue's clock ahead by seconds. `limits` are its own ways to say "too many requests". `also` are further moves,
    tested as `rescue` is, but for the command.

    `words` are members whose text looks like a number and is none (ids, codes). `open_maps` are objects whose members
    are named by data. `harmless` says of members why an account without them is not less certain. `exempt` says of a
    check why it does not apply ("clock").
    """

    provider: str
    serve: Callable[[], AbstractAsyncContextManager[Any]]
    holds: Holds
    set_long: Callable[[Any, str], Awaitable[None]]
    long: tuple[str, str]
    payloads: tuple[Payload, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    situations: Mapping[str, Callable[[Any], Holds]] = field(default_factory=dict)
    is_following: Callable[[Any], bool] = lambda _: True
    revoke: Callable[[Any], None] | None = None
    forbid: Callable[[Any], None] | None = None
    set_clock: Callable[[Any, float], None] | None = None
    rescue: Rescue | None = None
    also: tuple[Rescue, ...] = ()
    limits: tuple[Answer, ...] = ()
    words: frozenset[str] = frozenset()
    open_maps: frozenset[str] = frozenset()
    harmless: Mapping[str, str] = field(default_factory=dict)
    exempt: Mapping[str, str] = field(default_factory=dict)

    @property
    def moves(self) -> tuple[Rescue, ...]:
        """Return everything that moves money."""
        return (() if self.rescue is None else (self.rescue,)) + self.also

    @property
    def info(self) -> ProviderInfo:
        """Return what the adapter says of itself."""
        found: ProviderInfo = account_module(self.provider).INFO
        return found

    def __str__(self) -> str:
        return self.provider


def registered() -> tuple[Venue, ...]:
    """Return every venue under `tests/conformance`."""
    folder = Path(__file__).parent / "conformance"
    modules = (importlib.import_module(f"tests.conformance.{file.stem}") for file in sorted(folder.glob("*.py")))
    return tuple(venue for module in modules for venue in module.VENUES)


class Bench:
    """One venue's server, what stands before it, and the product configured for it by a file alone."""

    def __init__(self, venue: Venue, server: Any, middle: Between, folder: Path, poll_s: float) -> None:
        self.venue, self.server, self.middle, self.folder, self.poll_s = venue, server, middle, folder, poll_s
        self._open: list[Any] = []

    @property
    def config_file(self) -> Path:
        """Return the config, written anew: one account, its secrets in files of their own."""
        return write_config(self.venue, self.middle, self.folder, self.poll_s)

    @property
    def config(self) -> Config:
        """Return the config as the product reads it."""
        return load_config(self.config_file, SettingsByProvider(), DESCRIBED_IN_CONFIG)

    @property
    def options(self) -> AccountOptions:
        """Return what the adapter is told."""
        return account_options(self.config.accounts[0])

    def source(self) -> PositionSource:
        """Return a source of its own, closed with the bench."""
        import time

        found = build_source(self.config.accounts[0], time.time_ns)
        self._open.append(found)
        return found

    async def tools(self) -> Tools:
        """Return the rescuer and its signer, unlocked; closed with the bench."""
        tools = await build_tools(self.config, [NAME])
        self._open.append(tools)
        for signer in tools.signers.values():
            await signer.unlock(None)
        return tools

    async def rescuer(self) -> Rescuer:
        """Return the rescuer of the account."""
        return (await self.tools()).rescuers[NAME]

    async def read(self) -> Reading:
        """Return one reading of a new source, so that nothing is remembered."""
        return await self.source().read()

    def asked(self) -> int:
        """Return how many requests have come through so far."""
        return len(self.middle.requests)

    async def aclose(self) -> None:
        """Close whatever was opened."""
        for one in self._open:
            await one.aclose()


def write_config(venue: Venue, middle: Between, folder: Path, poll_s: float) -> Path:
    """Write a config of one account; nothing but what its user would write."""
    urls = {"rest_url": middle.rest_url, "ws_url": middle.ws_url if middle.ws_url else None}
    lines = ["[[account]]", f'name = "{NAME}"', f'provider = "{venue.provider}"']
    taken = venue.info.settings | venue.info.required
    lines += [f'{key} = "{url}"' for key, url in urls.items() if url is not None and key in taken]
    lines += [f"{key} = {value}" for key, value in (("poll_s", poll_s), ("stale_after_s", STALE_S)) if key in taken]
    lines += [f'{key} = "{value}"' for key, value in venue.settings.items()]
    for key, secret in venue.secrets.items():
        file = folder / f"{key}.secret"
        file.write_text(secret)
        file.chmod(0o600)
        lines.append(f'{key} = "file:{file}"')
    lines += ["[prices]", "venues = []", "[limits]", "max_topup_usd = 1000000", "max_per_day_usd = 1000000"]
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@asynccontextmanager
async def bench(venue: Venue, folder: Path, *, poll_s: float = 0.2) -> AsyncIterator[Bench]:
    """Serve the standard account of a venue and configure the product for it."""
    async with venue.serve() as server, between(server.url_rest, server.url_ws) as middle:
        made = Bench(venue, server, middle, folder, poll_s)
        try:
            yield made
        finally:
            await made.aclose()


def held(reading: Reading) -> dict[str, list[tuple[str, Decimal]]]:
    """Return the positions of every account that has any."""
    found = {
        account.name: sorted((one.contract or one.asset, one.quantity) for one in account.positions)
        for account in reading.accounts
    }
    return {name: positions for name, positions in found.items() if positions}


def expected(holds: Holds) -> dict[str, list[tuple[str, Decimal]]]:
    """Return `Holds` as `held` tells it."""
    return {name: sorted((contract, Decimal(size)) for contract, size in rows) for name, rows in holds.items()}


def with_long(venue: Venue, quantity: str) -> dict[str, list[tuple[str, Decimal]]]:
    """Return what the standard account holds once its long has another quantity."""
    name, contract = venue.long
    rows = venue.holds[name]
    before = max(Decimal(size) for one, size in rows if one == contract)
    changed = [(one, quantity if one == contract and Decimal(size) == before else size) for one, size in rows]
    return expected({**venue.holds, name: changed})


def health(account: Account, reading: Reading) -> Decimal | None:
    """Return the engine's health factor of an account of a reading."""
    return assess(account, {}, reading.observed_at_ns).health_factor


def figures(account: Account) -> tuple[object, ...]:
    """Return what a reading says of an account, but for when it was said."""
    return (
        account.name,
        account.mode,
        account.quote,
        account.balance,
        sorted(
            (replace(one, next_funding_ns=None) for one in account.positions),
            key=lambda one: (one.contract, one.asset, one.quantity),
        ),
        sorted(account.collateral, key=lambda one: one.asset),
        sorted(account.debt, key=lambda one: one.asset),
        {asset: oracle.price for asset, oracle in account.oracles.items()},
        account.extra_requirement,
        account.order_margin,
        account.initial_requirement,
        account.reported,
        account.degraded,
    )


def account_of(reading: Reading, name: str) -> Account:
    """Return one account of a reading."""
    return next(account for account in reading.accounts if account.name == name)


def option_of(rescue: Rescue, standing: Standing) -> Option:
    """Return the rescue as an option of a plan, from the facility and the funds that the adapter offers for it."""
    facility = next(one for one in standing.facilities if one.asset == rescue.asset and rescue.means in one.means)
    funds = next((one for one in standing.funds if one.source == rescue.source), None)
    assert funds is not None or rescue.means is Means.REDUCE, [one.source for one in standing.funds]
    amount = Decimal(rescue.amount)
    return Option(
        rescue.means,
        rescue.asset,
        amount,
        rescue.source,
        Decimal(0),
        HealthPath(None, None, None, None),
        Decimal(1),
        amount_units=int(amount.scaleb(facility.decimals)),
        funds=funds,
        facility=facility,
    )


def differences(sent: Sent, passed: Passed) -> list[str]:
    """Return how a request differs from the documented one; none when it is exactly that."""
    found = []
    if (passed.method, passed.path) != (sent.method, sent.path):
        found.append(f"{passed.method} {passed.path} instead of {sent.method} {sent.path}")
    fields = passed.fields
    found += [f"{name} is missing" for name in sent.fields.keys() - fields.keys()]
    found += [f"{name} is not documented" for name in fields.keys() - sent.fields.keys()]
    for name in sent.fields.keys() & fields.keys():
        if not _fits(sent.fields[name], fields[name]):
            found.append(f"{name} is {fields[name]!r} instead of {sent.fields[name]!r}")
    return found


def _fits(wanted: object, told: object) -> bool:
    """Return whether a value is the documented one; `ANY` may stand within it."""
    if isinstance(wanted, dict) and isinstance(told, dict):
        return wanted.keys() == told.keys() and all(_fits(wanted[key], told[key]) for key in wanted)
    if isinstance(wanted, list) and isinstance(told, list):
        return len(wanted) == len(told) and all(map(_fits, wanted, told))
    return wanted is ANY or (type(wanted) is type(told) and wanted == told)
