"""`marginline hedge`: options, an opposite perp, repaying and adding side by side, all to one protected price."""

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from engine.accounts import Account
from engine.answers import envelope
from engine.assess import assess
from engine.assessment import Assessment
from engine.hedge import hedges, underlyings_of
from engine.hedge_case import Comparison, Hedge, Protection
from engine.option_file import living, parse_options, render_options
from engine.options import OptionQuote
from engine.reading import MAX_BYTES, DocumentError
from engine.record import record
from engine.rendering import rounded, timestamp
from engine.shocks import parse_fraction
from marginline.commands.ground import Ground, Held, config_or_default, held, say_all
from marginline.compose import build_chain
from marginline.exits import Exit
from marginline.output import put, put_json, put_table
from providers.errors import ConfigError, Refused, Unreachable
from providers.ports import OptionChain
from tui import numbers
from tui.hedge_table import cannot_lines, hedge_headings, hedge_rows

SCHEMA = "marginline.hedge/1"
_HOUR_S = 3_600
_MOST = Decimal(20)


@record
class Wish:
    """What the command line asked for, as it was written."""

    account: str
    horizon: str = "30d"
    floor: str | None = None
    volatility: str | None = None
    funding: str | None = None
    chain: Path | None = None
    save_chain: Path | None = None
    together: bool = False


def hedge(ground: Ground, wish: Wish, *, as_json: bool) -> Exit:
    """Print the ways to protect one account; 0 when it answered. Raises `AppError`."""
    protection = _protection(wish)
    if wish.chain is not None and ground.venue is not None:
        raise ConfigError("options come either from --chain or from --from-venue; leave one out")
    if wish.save_chain is not None and ground.venue is None:
        raise ConfigError("--save-chain writes what was read from a venue; add --from-venue deribit")
    found = held(ground)
    account, judged = _account(found, wish.account)
    wanted = underlyings_of(account, judged, found.portfolio.prices, together=wish.together)
    as_of_ns = found.portfolio.as_of_ns
    chain: tuple[OptionQuote, ...] | None = None
    if wish.chain is not None:
        chain = _from_file(wish.chain, wanted, as_of_ns)
    elif ground.venue is not None and wanted:
        chain = _from_venue(ground, found, wanted)
        if wish.save_chain is not None:
            _save(wish.save_chain, chain)
    now_ns = max((as_of_ns, *(each.observed_at_ns for each in chain or ())))
    try:
        compared = hedges(account, judged, found.portfolio.prices, protection, now_ns, chain)
    except ValueError as error:
        raise ConfigError(f"{account.name}: {error}") from error
    degraded = [*found.degraded, *(f"{account.name}: {each}" for each in judged.degraded), *compared.doubts]
    if as_json:
        put_json(_answer(compared, as_of_ns, degraded))
    else:
        _put(compared)
    say_all([*degraded, *(() if as_json else compared.assumed)])
    return Exit.OK


def _protection(wish: Wish) -> Protection:
    """Return what is asked for as figures; raises `ConfigError`."""
    from engine.simulation.horizons import parse_horizon

    try:
        horizon_s = round(parse_horizon(wish.horizon) * _HOUR_S)
    except ValueError as error:
        raise ConfigError(f"--horizon: {error}") from error
    volatility = _fraction(wish.volatility, "--volatility")
    if volatility is not None and not 0 < volatility <= _MOST:
        raise ConfigError(f"--volatility {str(wish.volatility)[:20]!r}: above 0 and at most 20; write 62 % as 0.62")
    return Protection(
        horizon_s, _fraction(wish.floor, "--floor"), volatility, _fraction(wish.funding, "--funding"), wish.together
    )


def _fraction(text: str | None, flag: str) -> Decimal | None:
    if text is None:
        return None
    try:
        return parse_fraction(text.removeprefix("+"), flag)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _account(found: Held, name: str) -> tuple[Account, Assessment]:
    document = found.portfolio
    account = next((each for each in document.accounts if each.name == name), None)
    configured = () if found.config is None else found.config.accounts
    if account is None and any(name.partition(":")[0] == each.name for each in configured):
        raise Unreachable(name, "; ".join(found.degraded) or "was not read")
    if account is None:
        known = ", ".join(each.name for each in document.accounts) or "none"
        raise ConfigError(f"there is no account {name[:40]!r}; there are: {known}")
    return account, assess(account, document.prices, document.as_of_ns)


def _from_file(path: Path, wanted: Sequence[str], as_of_ns: int) -> tuple[OptionQuote, ...]:
    """Return the options of a file that live; raises `ConfigError` where none does, or none is on what is wanted."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; --chain names a JSON list of options") from error
    try:
        options = parse_options(raw)
    except DocumentError as error:
        raise ConfigError(f"{path}: {error}") from error
    alive = living(options, as_of_ns)
    if not alive:
        last = timestamp(max(each.expires_ns for each in options))
        raise ConfigError(f"{path}: every option has expired by {timestamp(as_of_ns)}, the last on {last}")
    there = sorted({each.underlying for each in alive})
    if wanted and not {each.upper() for each in wanted} & {each.upper() for each in there}:
        raise ConfigError(f"{path}: no option on {' or '.join(wanted)}; there are options on {', '.join(there[:10])}")
    return alive


def _from_venue(ground: Ground, found: Held, wanted: Sequence[str]) -> tuple[OptionQuote, ...]:
    """Return the options that a venue lists now; raises `ConfigError` for the venue, else `ProviderError`."""
    venue = ground.venue or ""
    chain = build_chain(found.config or config_or_default(ground.config), venue)
    return asyncio.run(_read(chain, venue, wanted, ground.timeout_s))


async def _read(chain: OptionChain, venue: str, wanted: Sequence[str], timeout_s: float) -> tuple[OptionQuote, ...]:
    """Return the options on all that is wanted; the first, which liquidates, must have some, others may have none."""
    found: list[OptionQuote] = []
    try:
        async with asyncio.timeout(timeout_s):
            for index, underlying in enumerate(wanted):
                try:
                    found += await chain.options(underlying)
                except Refused:
                    if index == 0:
                        raise
            return tuple(found)
    except TimeoutError as error:
        raise Unreachable(venue, f"no options within {timeout_s:g} s; try again, or --timeout 60") from error
    finally:
        await chain.aclose()


def _save(path: Path, chain: Sequence[OptionQuote]) -> None:
    try:
        path.write_text(json.dumps(render_options(chain), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; --save-chain names a file to write") from error


def _answer(found: Comparison, as_of_ns: int, degraded: Sequence[str]) -> dict[str, object]:
    threat = found.threat
    return envelope(
        SCHEMA,
        as_of_ns,
        degraded,
        account=found.account,
        because=found.because or None,
        underlying=None if threat is None else threat.underlying,
        direction=None if threat is None else "down" if threat.falls else "up",
        price=None if threat is None else rounded(threat.price),
        liquidation_price=None if threat is None else rounded(threat.line),
        protected_to=rounded(found.protected_to),
        horizon_s=found.horizon_s,
        missing=rounded(found.missing),
        volatility=rounded(found.volatility),
        measured_by={"name": found.base_name, "value": rounded(found.base)},
        assumed=list(found.assumed),
        options=[_option_answer(found, each) for each in found.hedges],
    )


def _option_answer(found: Comparison, hedge: Hedge) -> dict[str, object]:
    option, share = hedge.option, found.of_base(hedge)
    answer: dict[str, object] = {
        "means": hedge.means,
        "instrument": hedge.instrument or None,
        "asset": hedge.asset,
        "quantity": rounded(hedge.quantity),
        "money": rounded(hedge.money),
        "premium": rounded(hedge.premium),
        "cost_per_year": rounded(hedge.cost_per_year),
        "cost_per_year_of_debt": rounded(share) if found.base_name == "debt" else None,
        "cost_per_year_of_notional": rounded(share) if found.base_name == "notional" else None,
        "protected_to": rounded(hedge.protected_to),
        "share": rounded(hedge.share),
        "because": hedge.because or None,
        "cannot": list(hedge.cannot),
    }
    if option is not None:
        answer |= {
            "venue": option.venue,
            "strike": rounded(option.strike),
            "expires": timestamp(option.expires_ns),
            "lot": rounded(option.lot) if option.lot else None,
            "inverse": option.is_inverse,
            "premium_from": hedge.premium_from,
            "premium_in_coin": rounded(hedge.premium_in_coin),
            "volatility": rounded(hedge.volatility),
            "full_quantity": rounded(hedge.full_quantity),
        }
    if hedge.margin is not None:
        answer |= {"margin": rounded(hedge.margin), "liquidation_price": rounded(hedge.liquidation_price)}
    return answer


def _put(found: Comparison) -> None:
    threat = found.threat
    if threat is None or not found.hedges:
        put(f"{found.account} {found.because}")
        return
    places = numbers.price_places(threat.price)
    put(
        f"{found.account}: {threat.underlying} at {numbers.price(threat.price, places)}, liquidated at "
        f"{numbers.liquidation_price(threat.line, places, falls=threat.falls)}; every way below holds it to "
        f"{numbers.price(found.protected_to, places)}, where it lacks {numbers.debt(found.missing)}"
    )
    put()
    put_table(hedge_headings(found), hedge_rows(found), left=3)
    put()
    put("what each cannot do")
    for means, line in cannot_lines(found.hedges):
        put(f"  {means}: {line}")
