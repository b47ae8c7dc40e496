"""A snapshot as the commands say it: a portfolio document, the totals, the answer of `status`."""

from dataclasses import replace

from desk.snapshot import Snapshot, SourceState
from engine.accounts import Account
from engine.answers import status_answer
from engine.assessment import Assessment
from engine.portfolio import Portfolio
from engine.rendering import SECOND_NS
from engine.totals import Totals
from engine.totals import totals as totals_of


def portfolio(snapshot: Snapshot) -> Portfolio:
    """Return the snapshot as a document: an oracle that differs from the shared one stays with its account."""
    prices = {asset: state.price for asset, state in snapshot.prices.items()}

    def scoped(account: Account) -> Account:
        own = {
            asset: oracle
            for asset, oracle in account.oracles.items()
            if asset not in prices or prices[asset].oracle != oracle
        }
        return replace(account, oracles=own)

    accounts = tuple(scoped(state.account) for state in snapshot.accounts.values())
    return Portfolio(snapshot.taken_at_ns, prices, accounts)


def assessed(snapshot: Snapshot) -> list[tuple[Account, Assessment]]:
    """Return every account with its assessment, in the order of the snapshot."""
    return [(state.account, state.assessment) for state in snapshot.accounts.values()]


def totals(snapshot: Snapshot) -> Totals:
    """Return the sums over all accounts; worth computing when shown, not for every tick."""
    return totals_of(assessed(snapshot), {asset: state.price for asset, state in snapshot.prices.items()})


def source_answer(source: SourceState, now_ns: int) -> dict[str, object]:
    """Return one source for JSON; ages in seconds, `None` before any data."""
    age_ns = None if source.updated_at_ns is None else max(0, now_ns - source.updated_at_ns)
    retry_ns = None if source.retry_at_ns is None else max(0, source.retry_at_ns - now_ns)
    return {
        "name": source.name,
        "kind": source.kind,
        "state": source.state.value,
        "age_s": None if age_ns is None else round(age_ns / SECOND_NS, 3),
        "detail": source.detail,
        "retry_in_s": None if retry_ns is None else round(retry_ns / SECOND_NS, 3),
        "dropped": source.dropped,
        "warnings": list(source.warnings),
    }


def status(snapshot: Snapshot) -> dict[str, object]:
    """Return the `marginline.status/1` answer."""
    sources = [source_answer(source, snapshot.taken_at_ns) for source in snapshot.sources]
    return status_answer(portfolio(snapshot), assessed(snapshot), totals(snapshot), sources, snapshot.degraded)
