"""What is shown when: order and its hold, freeze, silence, and no frame for nothing new."""

from dataclasses import replace

from tests.tui import frames
from tests.tui.frames import HandDesk
from tui.order import Order, matches, worst_first
from tui.session import Session
from tui.view import Sort, UiSettings


def session(desk: HandDesk, settings: UiSettings | None = None) -> Session:
    return Session(desk, settings or UiSettings())


def shifted(taken: frames.Snapshot, seconds: int = 1, **accounts: frames.AccountState) -> frames.Snapshot:
    moved = dict(taken.accounts) | {state.account.name: state for state in accounts.values()}
    later = taken.taken_at_ns + seconds * frames.S
    return replace(taken, sequence=taken.sequence + 1, taken_at_ns=later, accounts=moved)


def sinking() -> frames.AccountState:
    return frames.state(frames.SAFE, prices=frames.PRICES | {"ETH": frames.asset_price("725", "725")})


def test_nothing_new_is_no_frame() -> None:
    desk = HandDesk(frames.snapshot())
    shown = session(desk)
    assert shown.next_frame(0.0) is not None
    assert shown.next_frame(0.1) is None
    desk.snapshot = shifted(desk.snapshot)
    assert shown.next_frame(0.2) is not None


def test_worst_first_puts_unknown_before_watch_and_behind_danger() -> None:
    assert worst_first(frames.snapshot().accounts) == ("main", "bybit-sol", "hl-short", "spark", "vault-old")


def test_an_unknown_account_that_was_liquidatable_stands_behind_a_liquidatable_one() -> None:
    sunk = frames.state(frames.MAIN, prices=frames.PRICES | {"ETH": frames.asset_price("2000", "2000")})
    lost = replace(sunk, account=replace(frames.MAIN, name="aaa"), is_stale=True)
    lost = replace(lost, assessment=replace(lost.assessment, name="aaa", last_known=sunk.assessment.severity))
    assert worst_first({"aaa": lost, "main": sunk}) == ("main", "aaa")


def test_rows_rerank_at_most_every_two_seconds() -> None:
    desk = HandDesk(frames.snapshot())
    shown = session(desk)
    shown.next_frame(0.0)
    desk.snapshot = shifted(desk.snapshot, spark=sinking())
    soon = shown.next_frame(1.0)
    assert soon is not None
    assert soon.order[-2:] == ("spark", "vault-old")
    assert soon.worst_first[0] == "spark"
    assert not soon.is_held
    desk.snapshot = shifted(desk.snapshot)
    later = shown.next_frame(2.1)
    assert later is not None
    assert later.order[0] == "spark"


def test_rows_hold_still_for_ten_seconds_after_a_key_and_say_so() -> None:
    desk = HandDesk(frames.snapshot())
    shown = session(desk)
    shown.next_frame(0.0)
    shown.touched(5.0)
    desk.snapshot = shifted(desk.snapshot, spark=sinking())
    held = shown.next_frame(9.0)
    assert held is not None
    assert held.order[0] == "main"
    assert held.is_held
    assert held.worst_first[0] == "spark"
    free = shown.next_frame(15.1)
    assert free is not None
    assert free.order[0] == "spark"
    assert not free.is_held


def test_s_releases_a_held_order_before_it_sorts_by_anything_else() -> None:
    desk = HandDesk(frames.snapshot())
    shown = session(desk)
    shown.next_frame(0.0)
    shown.touched(5.0)
    desk.snapshot = shifted(desk.snapshot, spark=sinking())
    shown.next_frame(9.0)
    assert shown.next_sort() is Sort.RISK
    released = shown.next_frame(9.1)
    assert released is not None
    assert released.order[0] == "spark"
    assert shown.next_sort() is Sort.HEALTH


def test_each_sort_orders_by_its_column_with_unknowns_last() -> None:
    accounts = frames.snapshot().accounts
    ranking = worst_first(accounts)

    def by(sort: Sort, *, is_reversed: bool = False) -> tuple[str, ...]:
        return Order().arrange(accounts, ranking, sort, "", 0.0, is_reversed=is_reversed)[0]

    assert by(Sort.HEALTH) == ("main", "spark", "hl-short", "bybit-sol", "vault-old")
    assert by(Sort.NAME) == ("bybit-sol", "hl-short", "main", "spark", "vault-old")
    assert by(Sort.AGE)[0] == "bybit-sol"
    assert by(Sort.BUFFER)[0] == "bybit-sol"
    assert by(Sort.DISTANCE)[0] == "main"
    assert by(Sort.RISK, is_reversed=True)[0] == "vault-old"


def test_a_filter_finds_names_venues_assets_and_severities_and_its_opposite() -> None:
    accounts = frames.snapshot().accounts

    def found(text: str) -> set[str]:
        return {name for name, state in accounts.items() if matches(state, text)}

    assert found("SPARK") == {"spark"}
    assert found("btc") == {"hl-short"}
    assert found("aave") == {"main", "vault-old"}
    assert found("unknown") == {"bybit-sol"}
    assert found("!loan") == {"hl-short", "bybit-sol"}
    assert found("!") == found("") == set(accounts)


def test_a_new_account_appears_and_a_vanished_one_leaves_at_once() -> None:
    desk = HandDesk(frames.snapshot([frames.state(frames.MAIN)]))
    shown = session(desk)
    shown.next_frame(0.0)
    desk.snapshot = shifted(desk.snapshot, spark=frames.state(frames.SAFE))
    more = shown.next_frame(0.1)
    assert more is not None
    assert more.order == ("main", "spark")
    desk.snapshot = frames.snapshot([frames.state(frames.SAFE)], sequence=9)
    less = shown.next_frame(0.2)
    assert less is not None
    assert less.order == ("spark",)


def test_a_frozen_screen_keeps_its_snapshot_and_counts_the_seconds() -> None:
    desk = HandDesk(frames.snapshot())
    shown = session(desk)
    shown.next_frame(0.0)
    shown.toggle_freeze(1.0)
    desk.snapshot = shifted(desk.snapshot, 60)
    frozen = shown.next_frame(13.4)
    assert frozen is not None
    assert frozen.snapshot.taken_at_ns == frames.NOW
    assert frozen.view.frozen_for_ns == 12 * frames.S
    shown.toggle_freeze(14.0)
    thawed = shown.next_frame(14.1)
    assert thawed is not None
    assert thawed.snapshot is desk.snapshot
    assert thawed.view.frozen_for_ns is None


def test_a_live_desk_that_falls_silent_is_told_and_a_replay_is_not() -> None:
    desk = HandDesk(frames.snapshot())
    live = session(desk)
    live.next_frame(0.0)
    assert live.next_frame(15.0) is None
    silent = live.next_frame(15.1)
    assert silent is not None
    assert silent.is_silent
    replayed = session(desk, UiSettings(is_live=False))
    replayed.next_frame(0.0)
    assert replayed.next_frame(100.0) is None


def test_an_answer_to_a_key_goes_by_itself() -> None:
    shown = session(HandDesk(frames.snapshot()))
    shown.say("copied as a line", 1.0)
    said = shown.next_frame(1.1)
    assert said is not None
    assert said.view.notice == "copied as a line"
    gone = shown.next_frame(4.2)
    assert gone is not None
    assert gone.view.notice == ""


def test_a_desk_that_rests_is_not_silent_and_asked_once_a_second() -> None:
    desk = HandDesk(replace(frames.snapshot(), is_resting=True))
    shown = session(desk)
    assert shown.pause_s == 0.1
    shown.next_frame(0.0)
    assert shown.pause_s == 1.0
    assert shown.next_frame(100.0) is None
    shown.say("copied as a line", 100.0)
    assert shown.pause_s == 0.1
    shown.next_frame(100.1)
    shown.next_frame(103.2)
    assert shown.pause_s == 1.0
    desk.snapshot = shifted(replace(desk.snapshot, is_resting=False))
    assert shown.pause_s == 0.1


def test_frames_that_cost_much_follow_one_another_more_slowly() -> None:
    shown = session(HandDesk(frames.snapshot()))
    shown.next_frame(0.0)
    shown.painted(0.1)
    assert shown.pause_s == 0.1
    shown.painted(0.125)
    assert shown.pause_s == 0.4
    shown.painted(0.002)
    assert shown.pause_s == 0.1
    for _ in range(2):
        shown.painted(3.0)
    assert shown.pause_s == 1.0
