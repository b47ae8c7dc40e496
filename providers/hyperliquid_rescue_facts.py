"""What a rescue on Hyperliquid rests on: where margin lives, who may move it, and what health it gives. Pure."""

from dataclasses import replace
from decimal import ROUND_UP, Context, Decimal

from engine.accounts import Account, MarginMode
from engine.market import health_at
from engine.record import record
from engine.rescue import Option
from engine.solvency import gap, solvency_of, trigger_prices
from providers.errors import ConfigError, Refused
from providers.hyperliquid_actions import UNITS
from providers.hyperliquid_rescue_wire import Purse, Role, RoleKind
from providers.hyperliquid_wire import NEEDED, VENUE, dex_of

_EXACT = Context(prec=60)


@record
class Scope:
    """Where an account's margin lives: the user's whole dex, or one position of it (`coin`)."""

    dex: str
    coin: str = ""

    @property
    def fields(self) -> dict[str, str]:
        """Return how an info request names the dex."""
        return {"dex": self.dex} if self.dex else {}


@record
class Right:
    """What the signer may do for the user: `vault` is the sub-account acted for; each text says why not, or is ""."""

    vault: str | None = None
    nothing: str = ""
    no_transfer: str = ""


def scope_of(account: Account, name: str) -> Scope:
    """Return where the margin of an account of `name` lives: it is called `name`, `name:DEX` or `name:COIN`.

    Raises `ConfigError` for an account of another user.
    """
    if account.name != name and not account.name.startswith(f"{name}:"):
        raise ConfigError(f"{account.name} is not an account of {name}")
    rest = account.name[len(name) + 1 :]
    return Scope(dex_of(rest), rest) if account.mode is MarginMode.ISOLATED else Scope(rest)


def right_of(wallet: str, user: str, of_user: Role | None = None, of_wallet: Role | None = None) -> Right:
    """Return what `wallet` may do for `user`: an API wallet moves no funds, a master acts for its sub-account.

    The roles are needed when the two differ. Addresses are in lower case, `wallet` is "" when there is none.
    """
    if not wallet:
        return Right(nothing="read-only: no signer is configured")
    if wallet == user:
        return Right()
    is_agent = of_wallet is not None and of_wallet.kind is RoleKind.AGENT
    acting_for = of_wallet.of if of_wallet is not None and is_agent else wallet
    no_transfer = "the signer is an API wallet: a transfer needs the account's own key" if is_agent else ""
    if acting_for == user:
        return Right(no_transfer=no_transfer)
    if of_user is not None and of_user.kind is RoleKind.SUB_ACCOUNT and of_user.of == acting_for:
        return Right(vault=user, no_transfer=no_transfer)
    return Right(nothing=f"the signer {short(wallet)} may not act for {short(user)}: that takes {NEEDED}")


def units_of(option: Option) -> int:
    """Return what is sent, in millionths of a USDC: exactly what was planned, rounded up where only a decimal is."""
    units = option.amount_units
    if units is None:
        units = int(_EXACT.scaleb(option.amount, UNITS).to_integral_value(ROUND_UP))
    if units <= 0:
        raise Refused(VENUE, "there is nothing to add")
    return units


def marked(account: Account, purse: Purse) -> Account | None:
    """Return the account at the marks that the venue tells now, `None` when a position is not the same any more."""
    is_isolated = account.mode is MarginMode.ISOLATED
    theirs = {stake.coin: stake for stake in purse.stakes if stake.is_isolated is is_isolated}
    found = []
    for held in account.positions:
        stake = theirs.get(held.asset)
        if stake is None and not is_isolated and ":" in held.asset:
            found.append(held)  # of another dex that shares this account's collateral: its mark stays as it was read
            continue
        if stake is None or stake.size != held.quantity:
            return None
        found.append(held if stake.mark_price is None else replace(held, mark_price=stake.mark_price))
    if not is_isolated and set(theirs) - {held.asset for held in account.positions}:
        return None
    return replace(account, positions=tuple(found))


def health_of(account: Account) -> Decimal | None:
    """Return the health factor at the marks that came with the account, `None` when it cannot be computed."""
    triggers, lacking = trigger_prices(account, {})
    if gap(account) or lacking:
        return None
    return health_at(account, solvency_of(account), triggers, {})


def short(address: str) -> str:
    """Return an address short enough for a line."""
    return f"{address[:6]}..{address[-4:]}"
