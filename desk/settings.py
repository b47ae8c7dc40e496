"""What the desk is told at start: ladders, venues, budgets, alerting. Built by the composition root, never changed."""

from collections.abc import Callable, Mapping
from dataclasses import field

from engine.accounts import Account, Kind
from engine.alerts import AlertPolicy
from engine.record import record
from engine.severity import DEFAULT_LADDERS, Ladder

NotifyUrl = str | Callable[[], str]
"""An Apprise URL, or a callable that resolves its reference when something is sent."""


@record
class DeskSettings:
    """How the desk judges, and when it calls something stale.

    `account_ladders` is by configured account name and holds for all accounts behind it ("name" and "name:..."), over
    `ladders` by kind. `venues` are the configured price venues; with exactly one, its word is the consensus. `assets`
    are priced even when no account holds them. `price_stale_after_s` by venue wins over the feed's own budget. A
    chain whose newest block is older than `block_stale_after_s` no longer vouches for its accounts. `simulated` is
    the scenario's name, empty on a real market. Pauses of `restart_after_s` follow one another when a source keeps
    failing; `refused_after_s` follows a refusal, which asking again rarely changes. Prices are first asked for when
    every account has been read, or after `first_prices_after_s`. The past is asked for `past_after_s` later, and its
    readings are taken in a few at a time, with pauses of `past_every_s`, so that they never hold up the present.
    Forecasts begin `foresee_after_s` after the first prices.
    """

    ladders: Mapping[Kind, Ladder] = field(default_factory=lambda: dict(DEFAULT_LADDERS))
    account_ladders: Mapping[str, Ladder] = field(default_factory=dict)
    venues: tuple[str, ...] = ()
    stables: frozenset[str] = frozenset({"USD", "USDC", "USDT"})
    assets: frozenset[str] = frozenset()
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    notify_urls: tuple[NotifyUrl, ...] = field(default=(), repr=False)
    history_points: int = 288
    price_stale_after_s: Mapping[str, float] = field(default_factory=dict)
    block_stale_after_s: float = 180.0
    simulated: str = ""
    clock_every_s: float = 1.0
    first_prices_after_s: float = 1.0
    past_after_s: float = 0.25
    foresee_after_s: float = 2.0
    past_every_s: float = 0.02
    settle_every_s: float = 0.002
    restart_after_s: tuple[float, ...] = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
    refused_after_s: float = 300.0
    notify_again_after_s: tuple[float, ...] = (5.0, 15.0, 60.0, 300.0)

    def ladder_of(self, account: Account, source: str) -> Ladder:
        """Return the ladder that judges `account`, read by the source named `source`."""
        own = self.account_ladders.get(account.name) or self.account_ladders.get(source)
        return own or self.ladders[account.kind]
