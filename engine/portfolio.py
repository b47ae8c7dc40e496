"""A portfolio, and how it is written as a `marginline.portfolio/1` document; `engine.document` reads it."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Collateral, Kind, Position
from engine.prices import AssetPrice, OraclePrice
from engine.record import record
from engine.rendering import PORTFOLIO_SCHEMA, SECOND_NS, plain, timestamp

_ZERO = Decimal(0)


@record
class Portfolio:
    """Accounts and prices at one moment, `as_of_ns` in UTC epoch nanoseconds."""

    as_of_ns: int
    prices: Mapping[str, AssetPrice] = field(default_factory=dict)
    accounts: tuple[Account, ...] = ()


def render_portfolio(portfolio: Portfolio) -> dict[str, object]:
    """Return the document of `portfolio`, ready for JSON; `parse_portfolio` of it gives the same figures back."""
    return {
        "schema": PORTFOLIO_SCHEMA,
        "as_of": timestamp(portfolio.as_of_ns),
        "prices": {asset: _render_price(price, portfolio.as_of_ns) for asset, price in portfolio.prices.items()},
        "accounts": [_render_account(account, portfolio.as_of_ns) for account in portfolio.accounts],
    }


def _present(**members: object) -> dict[str, object]:
    """Return the members that have a value, decimals as exact strings."""
    return {
        key: plain(value) if isinstance(value, Decimal) else value
        for key, value in members.items()
        if value is not None and value != "" and value != [] and value != {}
    }


def _age_s(updated_at_ns: int | None, as_of_ns: int | None, now_ns: int) -> Decimal | None:
    """Return the age; a print seen an instant ahead of the document's time counts as new."""
    if updated_at_ns is None:
        return None
    return max(Decimal((now_ns if as_of_ns is None else as_of_ns) - updated_at_ns) / SECOND_NS, _ZERO)


def _render_price(price: AssetPrice, now_ns: int) -> dict[str, object]:
    rendered = {} if price.oracle is None else _render_oracle(price.oracle, now_ns)
    quotes = [
        _present(venue=each.venue, bid=each.bid, ask=each.ask, age_s=_age_s(each.observed_at_ns, now_ns, now_ns))
        for each in price.quotes
    ]
    return rendered | _present(volatility=price.volatility, stable=price.stable or None, quotes=quotes)


def _render_oracle(oracle: OraclePrice, now_ns: int) -> dict[str, object]:
    legs = [
        _present(
            price=leg.price,
            asset=leg.asset,
            age_s=_age_s(leg.updated_at_ns, oracle.as_of_ns, now_ns),
            heartbeat_s=leg.heartbeat_s,
            deviation_bps=leg.deviation_bps,
            description=leg.description,
        )
        for leg in oracle.legs
    ]
    return _present(
        oracle=oracle.price,
        oracle_age_s=_age_s(oracle.updated_at_ns, oracle.as_of_ns, now_ns),
        heartbeat_s=oracle.heartbeat_s,
        deviation_bps=oracle.deviation_bps,
        legs=legs,
        source=oracle.source,
        round_id=oracle.round_id,
    )


def _render_account(account: Account, now_ns: int) -> dict[str, object]:
    money: dict[str, object] = {}
    coins: dict[str, object] = {
        "collateral": [_render_collateral(leg) for leg in account.collateral],
        "debt": [_present(asset=leg.asset, amount=leg.amount, borrow_rate=leg.borrow_rate) for leg in account.debt],
    }
    match account.kind:
        case Kind.LOAN:
            money = coins
        case Kind.PERP:
            money = {"balance": plain(account.balance)} | _present(**coins)
        case Kind.BROKER:
            money = {"cash": plain(account.balance)}
    if account.kind is not Kind.LOAN:
        money["positions"] = [_render_position(position) for position in account.positions]
        money |= _render_margin(account)
    return (
        _present(
            name=account.name,
            kind=account.kind.value,
            provider=account.provider,
            chain_id=account.chain_id,
            mode=None if account.mode is None else account.mode.value,
            quote=account.quote,
            cash_rate=account.cash_rate,
            close_factor=account.close_factor,
            prices={asset: _render_oracle(oracle, now_ns) for asset, oracle in account.oracles.items()},
        )
        | money
    )


def _render_margin(account: Account) -> dict[str, object]:
    """Return what a venue or broker asks beyond its positions, as far as it is told."""
    call, session = account.margin_call, account.session
    return _present(
        extra_requirement=account.extra_requirement or None,
        liquidation_multiple=None if account.liquidation_multiple == 1 else account.liquidation_multiple,
        order_margin=account.order_margin,
        initial_requirement=account.initial_requirement,
        trigger=account.trigger,
        estimated=account.estimated,
        margin_call=None if call is None else _present(amount=call.amount, due=_time(call.due_ns), text=call.text),
        session=None
        if session is None
        else _present(is_open=session.is_open, opens=_time(session.opens_ns), closes=_time(session.closes_ns)),
    )


def _time(moment_ns: int | None) -> str | None:
    return None if moment_ns is None else timestamp(moment_ns)


def _render_collateral(leg: Collateral) -> dict[str, object]:
    return _present(
        asset=leg.asset,
        amount=leg.amount,
        liquidation_threshold=leg.liquidation_threshold,
        max_ltv=leg.max_ltv,
        supply_rate=leg.supply_rate,
        liquidation_bonus=leg.liquidation_bonus,
    )


def _render_position(position: Position) -> dict[str, object]:
    tiers = [
        _present(notional_floor=tier.notional_floor, maintenance_rate=tier.maintenance_rate, deduction=tier.deduction)
        for tier in position.tiers
    ]
    return _present(
        asset=position.asset,
        quantity=position.quantity,
        entry_price=position.entry_price,
        mark_price=position.mark_price,
        tiers=tiers,
        fee_rate=position.fee_rate,
        funding_rate=position.funding_rate,
        margin_used=position.margin_used,
        venue_liquidation_price=position.venue_liquidation_price,
        inverse=position.inverse or None,
        margin_at_entry=position.margin_at_entry or None,
        contract=position.contract,
        adl_rank=position.adl_rank,
        predicted_funding_rate=position.predicted_funding_rate,
        next_funding=_time(position.next_funding_ns),
        funding_paid=position.funding_paid,
    )
