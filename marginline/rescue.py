"""The composition root of rescues: from a config to wallets, writers, signers, caps, journal and executor.

Imported only by what plans or sends: watching needs none of it.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Protocol, cast

from desk.actions import JournalError
from desk.journal import Journal
from desk.limits import DAY_NS, Limits, left_today, spent
from engine.plans import Caps
from engine.record import record
from marginline.compose import account_options
from marginline.config import AccountConfig, Config
from marginline.registry import rescue_module
from marginline.signers import SignerBox
from marginline.venue_key import VenueKey
from providers.errors import ConfigError
from providers.ports import AccountOptions
from providers.rescue_ports import CollateralWriter, WalletSource

_EVM = frozenset({"aave-v3", "spark"})


class Rescuer(WalletSource, CollateralWriter, Protocol):
    """One configured account as something that can be rescued."""

    async def aclose(self) -> None:
        """Close every connection."""


@record
class Tools:
    """What rescues of some accounts need, by configured account name; `rescuers` read and write, `signers` sign."""

    rescuers: Mapping[str, Rescuer]
    signers: Mapping[str, SignerBox | VenueKey]

    async def aclose(self) -> None:
        """Lock every signer and close every connection."""
        for box in self.signers.values():
            box.lock()
        for rescuer in self.rescuers.values():
            await rescuer.aclose()


async def build_tools(config: Config, signing: Iterable[str], reading: Iterable[str] = ()) -> Tools:
    """Return the rescuers of the named accounts that have one; those `signing` with their signers, locked.

    A signer's reference is read once for its address, and the key forgotten. Raises `ConfigError`.
    """
    may_sign = frozenset(signing)
    wanted = may_sign | frozenset(reading)
    rescuers: dict[str, Rescuer] = {}
    signers: dict[str, SignerBox | VenueKey] = {}
    boxes: dict[str, SignerBox] = {}
    for account in config.accounts:
        if account.name not in wanted or rescue_module(account.provider) is None:
            continue
        options = account_options(account)
        box: SignerBox | VenueKey | None = None
        if account.name in may_sign and account.signer is not None:
            box = boxes[account.signer] = boxes.get(account.signer) or _box(config, account, account.signer)
        elif account.name in may_sign and options.credentials is not None:
            box = VenueKey(account.name, options.credentials)
        if box is not None:
            signers[account.name] = box
            await box.learn_address()
        rescuers[account.name] = build_rescuer(account, options, box)
    return Tools(rescuers, signers)


def may_rescue(account: AccountConfig) -> bool:
    """Return whether the config names what could sign for this account: a signer, or the key of its venue."""
    has_key = account.key is not None and account.secret is not None
    return account.signer is not None or (has_key and rescue_module(account.provider) is not None)


def build_rescuer(account: AccountConfig, options: AccountOptions, box: SignerBox | VenueKey | None) -> Rescuer:
    """Return what rescues one account, paid and signed by `box`, whose address is known; without it, it only reads."""
    module = rescue_module(account.provider)
    if module is None:
        raise ConfigError(f"{account.where}: nothing can be sent to {account.provider} from here")
    payer = (None if box is None else box.address) if account.provider in _EVM else box
    return cast(Rescuer, module.make(options, payer))


def _box(config: Config, account: AccountConfig, reference: str) -> SignerBox:
    return SignerBox(reference, f"{account.where}: signer", folder=config.signer_directory)


def account_of(config: Config, name: str) -> AccountConfig:
    """Return the configured account behind `name` ("main", or "hl:ETH" for a part of "hl"); raises `ConfigError`."""
    for account in config.accounts:
        if account.name in (name, name.partition(":")[0]):
            return account
    known = ", ".join(account.name for account in config.accounts) or "none"
    raise ConfigError(f'{config.path}: there is no account "{name[:40]}"; there are: {known}')


def limits_of(config: Config) -> Limits:
    """Return the caps of the config; a cap that it leaves out stays at the desk's own, cautious one."""
    own = {account.name: cap for account in config.accounts if (cap := account.max_topup_usd) is not None}
    stated, cautious = config.limits, Limits()
    return Limits(
        max_topup_usd=cautious.max_topup_usd if stated.max_topup_usd is None else stated.max_topup_usd,
        max_per_day_usd=cautious.max_per_day_usd if stated.max_per_day_usd is None else stated.max_per_day_usd,
        accounts=own,
        arm_minutes=stated.arm_minutes,
    )


def caps_now(limits: Limits, journal: Journal, account: str, now_ns: int) -> Caps:
    """Return what one action for `account` may move now; raises `JournalError` when the day's sum can't be read."""
    since_ns = now_ns - DAY_NS
    left: Decimal | None = left_today(limits, spent(journal.actions_since(since_ns), since_ns))
    return Caps(per_action_usd=limits.max_topup_usd, day_left_usd=left, account_left_usd=limits.own_cap(account))


def open_journal(config: Config, clock: Callable[[], int] = time.time_ns) -> Journal:
    """Return the configured journal; its file is made when the first entry is written."""
    return Journal(config.journal_path(), clock=clock)


def open_accounts(journal: Journal) -> frozenset[str]:
    """Return the configured accounts whose actions are open; a journal that can't be read names none.

    Then nothing will be sent anyway.
    """
    with suppress(JournalError):
        return frozenset(action.account.partition(":")[0] for action in journal.open_actions())
    return frozenset()


def default_signers(config: Path | None) -> Path:
    """Return the folder of the encrypted signers, beside the config file in use."""
    from marginline.keystore import directory

    return directory(config)
