"""What a frame costs: work on all accounts is done once as long as they stay, and the market is asked about few."""

from collections.abc import Sequence

from desk.roster import LiveAccounts, Market, Memo, at_triggers
from desk.snapshot import AccountState
from tests.tui import frames
from tests.tui.frames import HandDesk
from tui import present_bars, present_exposure, present_prices, present_risk
from tui.latest import latest
from tui.session import Session
from tui.view import UiSettings


class Watched(LiveAccounts):
    """Accounts that note whose market side was asked for."""

    looked: list[str]

    def __getitem__(self, name: str) -> AccountState:
        self.looked.append(name)
        return super().__getitem__(name)


def watched() -> Watched:
    taken = frames.snapshot()
    prices = {asset: state.price for asset, state in taken.prices.items()}
    accounts = Watched(taken.accounts, Market(prices, frames.agreed(prices)), Memo())
    accounts.looked = []
    return accounts


def test_work_is_done_once_for_the_same_object_and_anew_for_an_equal_one() -> None:
    done: list[Sequence[int]] = []

    @latest
    def total(values: list[int]) -> int:
        done.append(values)
        return sum(values)

    first = [1, 2]
    assert [total(first), total(first), total([1, 2]), total(first)] == [3, 3, 3, 3]
    assert len(done) == 3


def test_a_frame_asks_the_market_only_about_accounts_that_it_shows_in_full() -> None:
    accounts = watched()
    frame = Session(HandDesk(frames.snapshot(accounts=accounts)), UiSettings()).next_frame(0.0)
    assert frame is not None
    assert frame.worst_first == frames.frame().worst_first
    assert accounts.looked == []
    bars = present_bars.header(frame), present_bars.feeds(frame)
    panes = (
        tuple(present_prices.prices(frame).rows),
        present_risk.first_to_go(frame, 80),
        present_exposure.exposures(frame),
    )
    assert accounts.looked == []
    known = frames.frame()
    assert bars == (present_bars.header(known), present_bars.feeds(known))
    assert panes == (
        tuple(present_prices.prices(known).rows),
        present_risk.first_to_go(known, 80),
        present_exposure.exposures(known),
    )
    assert present_bars.verdict(frame) == present_bars.verdict(known)
    assert set(accounts.looked) == set(frame.worst_first[:2])


def test_what_costs_to_look_at_is_left_out_only_where_it_costs() -> None:
    accounts, plain = watched(), frames.snapshot().accounts
    assert at_triggers(plain) is plain
    assert at_triggers(accounts) is at_triggers(accounts)
    assert at_triggers(accounts).keys() == accounts.keys()
