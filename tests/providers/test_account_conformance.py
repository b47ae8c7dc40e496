"""One conformance suite for all account adapters: a new venue is a module, its server and recordings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import Kind
from engine.alerts import call_condition
from engine.assess import assess
from marginline.registry import ACCOUNT_MODULES, RESCUE_MODULES, account_module, family
from providers.errors import AppError, ConfigError, Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.ports import LinkChange, LinkState, Reading
from providers.rescue_ports import Fate
from tests.account_kit import (
    NAME,
    Bench,
    Payload,
    Rescue,
    Venue,
    account_of,
    bench,
    differences,
    expected,
    figures,
    health,
    held,
    option_of,
    registered,
    with_long,
)
from tests.bending import (
    keys_of,
    numbers_as_numbers,
    numbers_as_text,
    numbers_in,
    with_nonsense,
    with_strangers,
    without,
)
from tests.between import Answer, Cut, Passed, between
from tests.marginline.command import Done, marginline

VENUES = registered()
PATIENCE_S = 60.0
"""How long a fact may take before a test gives up on it; none of them measures speed."""
SAID_BY_VENUES = frozenset({Kind.PERP, Kind.BROKER})
WITHOUT_WIRE = frozenset({"manual"})


def where(claim: Callable[[Venue], bool]) -> pytest.MarkDecorator:
    """Run a test for every venue whose adapter claims what it is about."""
    return pytest.mark.parametrize("venue", [one for one in VENUES if claim(one)], ids=str)


every_venue = where(lambda _: True)
pushing = where(lambda one: one.info.live.startswith("websocket"))
rescued = where(lambda one: bool(one.info.rescues))
each_move = pytest.mark.parametrize(
    ("venue", "rescue"),
    [pytest.param(venue, one, id=f"{venue} {one.means} {one.source}") for venue in VENUES for one in venue.moves],
)
keyed = where(lambda one: "key" in one.info.settings | one.info.required)
payloads = pytest.mark.parametrize(
    ("venue", "payload"),
    [pytest.param(venue, one, id=f"{venue} {one.label}") for venue in VENUES for one in venue.payloads],
)


def within(work: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await work

    asyncio.run(bounded())


async def command(made: Bench, *arguments: str) -> Done:
    """Run the installed command on the bench's config, in a process of its own."""
    called = (*arguments, "--config", made.config_file)
    return await asyncio.to_thread(marginline, *called, home=made.folder)


# What the adapter says of itself


def test_every_adapter_that_asks_a_venue_for_accounts_is_under_test() -> None:
    asking = {name for name in ACCOUNT_MODULES if account_module(name).INFO.kinds & SAID_BY_VENUES} - WITHOUT_WIRE
    assert {venue.provider.partition(":")[0] for venue in VENUES} == asking
    assert len({venue.provider for venue in VENUES}) == len(VENUES)


@every_venue
def test_an_adapter_tells_what_it_reads_does_and_needs(venue: Venue) -> None:
    info = venue.info
    assert info.name in (venue.provider, venue.provider.partition(":")[0])
    assert info.title
    assert info.kinds
    assert info.reads
    assert info.live.startswith(("websocket", "poll")), info.live
    assert bool(info.rescues) == (family(venue.provider) in RESCUE_MODULES) == (venue.rescue is not None)
    has_key = "key" in info.settings | info.required
    assert not has_key or info.permissions.get("read"), "permissions must say what a key needs to read"
    assert not info.rescues or info.permissions.get("rescue"), "permissions must say what a rescue needs"
    assert not has_key or venue.revoke is not None
    assert not info.rescues or venue.forbid is not None
    assert "secret" not in info.settings | info.required or venue.set_clock is not None or "clock" in venue.exempt
    given = {*venue.settings, *venue.secrets, "rest_url", "ws_url"}
    assert info.required <= given


@every_venue
def test_what_the_suite_may_skip_is_what_the_adapter_does_not_claim(venue: Venue) -> None:
    claimed = {claim for claim in ("hedge mode", "inverse contracts") if claim in venue.info.reads}
    assert claimed == set(venue.situations)


@every_venue
def test_a_missing_setting_is_named(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        for key in sorted(venue.info.required - {"rest_url", "ws_url"}):
            settings = {name: value for name, value in venue.settings.items() if name != key}
            secrets = {name: value for name, value in venue.secrets.items() if name != key}
            async with bench(replace(venue, settings=settings, secrets=secrets), tmp_path) as made:
                with pytest.raises(ConfigError, match=key):
                    made.source()

    within(story())


# Payloads, by pure functions


@payloads
def test_recorded_and_documented_payloads_are_read(venue: Venue, payload: Payload) -> None:
    assert payload.parse(payload.raw)


@payloads
def test_numbers_may_come_as_text_or_as_numbers(venue: Venue, payload: Payload) -> None:
    told = payload.parse(payload.raw)
    assert payload.parse(numbers_as_numbers(payload.raw, venue.words)) == told
    assert payload.parse(numbers_as_text(payload.raw, venue.words)) == told


@payloads
def test_unknown_members_change_nothing(venue: Venue, payload: Payload) -> None:
    assert payload.parse(with_strangers(payload.raw, venue.open_maps)) == payload.parse(payload.raw)


@payloads
def test_a_payload_that_is_cut_off_is_malformed(venue: Venue, payload: Payload) -> None:
    for eighth in range(8):
        with pytest.raises(Malformed):
            payload.parse(payload.raw.rstrip()[: len(payload.raw.rstrip()) * eighth // 8])


@payloads
def test_gaps_and_nonsense_in_a_payload_end_as_malformed_or_as_nothing(venue: Venue, payload: Payload) -> None:
    spoilt = [spoil(payload.raw, key) for key in keys_of(payload.raw) for spoil in (without, with_nonsense)]
    for raw in (b"null", b"[]", b"{}", b'"x"', b"7", b"[[]]", *spoilt):
        try:
            told = payload.parse(raw)
        except ProviderError:
            continue
        assert all(number.is_finite() for number in numbers_in(told)), raw


# Reading, over sockets


@every_venue
def test_the_standard_account_is_read_whole(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            reading = await made.read()
            assert held(reading) == expected(venue.holds)
            assert reading.degraded == ()
            assert [(account.name, account.degraded) for account in reading.accounts if account.degraded] == []
            for account in reading.accounts:
                assert account.name == NAME or account.name.startswith(f"{NAME}:")
                assert account.kind in venue.info.kinds
                assert account.provider == venue.provider
                assert all(number.is_finite() for number in numbers_in(account))
                assert call_condition(assess(account, {}, reading.observed_at_ns)) is None, "all is well: no alert"

    within(story())


@every_venue
@pytest.mark.parametrize("claim", ["hedge mode", "inverse contracts"])
def test_a_claimed_situation_is_read_right(venue: Venue, claim: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            holds = venue.situations[claim](made.server)
            reading = await made.read()
            assert held(reading) == expected(holds)
            positions = [one for account in reading.accounts for one in account.positions]
            if claim == "inverse contracts":
                assert any(one.inverse for one in positions)
            else:
                sides = {(one.contract, one.quantity > 0) for one in positions}
                assert any((contract, not is_long) in sides for contract, is_long in sides)

    if claim in venue.info.reads:
        within(story())
    else:
        assert claim not in venue.situations


@every_venue
def test_spellings_and_strangers_in_replies_change_no_figure(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            told = sorted(map(figures, (await made.read()).accounts), key=str)
            for bends in (
                lambda _, body: numbers_as_numbers(body, venue.words),
                lambda _, body: numbers_as_text(body, venue.words),
                lambda _, body: with_strangers(body, venue.open_maps),
            ):
                made.middle.bends = bends
                assert sorted(map(figures, (await made.read()).accounts), key=str) == told

    within(story())


@every_venue
def test_a_gap_or_nonsense_in_replies_never_makes_an_account_look_safer(venue: Venue, tmp_path: Path) -> None:
    """Each member of all replies is left out, then spoilt: that is an error, a reason to doubt, or nothing at all."""

    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            seen: set[str] = set()

            def note(_: Passed, body: bytes) -> bytes:
                seen.update(keys_of(body))
                return body

            made.middle.bends = note
            sound = await made.read()
            faults = []
            for key in sorted(seen - venue.harmless.keys()):
                for spoil in (without, with_nonsense):
                    # A middle of its own, so that the request budget is a new one.
                    async with between(made.server.url_rest, made.server.url_ws) as made.middle:
                        made.middle.bends = lambda _, body, key=key, spoil=spoil: spoil(body, key)
                        fault = await _too_trusting(made, sound)
                    faults += [f"{spoil.__name__} {key}: {fault}"] if fault else []
            assert not faults, "\n".join(faults)

    async def bounded() -> None:
        async with asyncio.timeout(4 * PATIENCE_S):
            await story()

    asyncio.run(bounded())


async def _too_trusting(made: Bench, sound: Reading) -> str:
    """Return what a reading of spoilt replies hides, or ""."""
    try:
        reading = await made.read()
    except ProviderError:
        return ""
    if not all(number.is_finite() for account in reading.accounts for number in numbers_in(account)):
        return "a figure that is no number"
    now = {account.name: account for account in reading.accounts}
    if reading.degraded != sound.degraded or any(account.degraded for account in reading.accounts):
        return ""
    if held(reading) != held(sound):
        return f"holds {held(reading)}"
    for account in sound.accounts:
        if account.name not in now:
            return f"{account.name} is gone"
        before, after = health(account, sound), health(now[account.name], reading)
        if before is not None and (after is None or after > before * (1 + Decimal("1e-9"))):
            return f"health of {account.name} is {after} instead of {before}"
    return ""


@every_venue
def test_an_unreadable_body_is_malformed(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            for bends in (lambda _, body: body[: len(body) // 2], lambda _, body: b"<html>we will be back</html>"):
                made.middle.bends = bends
                with pytest.raises(Malformed):
                    await made.read()

    within(story())


# Requests that are too many, keys that are no good


@every_venue
def test_a_ban_is_obeyed_by_everything_in_the_process(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        for limit in (Answer(429, b"", {"Retry-After": "30"}), Answer(418, b"", {"Retry-After": "30"}), *venue.limits):
            async with bench(venue, tmp_path) as made:
                account = (await made.read()).accounts[0]
                made.middle.breaks = lambda _, limit=limit: limit
                with pytest.raises(RateLimited) as told:
                    await made.read()
                assert told.value.retry_after_s is None or told.value.retry_after_s > 5
                made.middle.breaks = lambda _: None
                if told.value.retry_after_s is None:
                    continue
                asked = made.asked()
                with pytest.raises(RateLimited):
                    await made.read()
                if venue.rescue is not None:
                    with pytest.raises(RateLimited):
                        await (await made.rescuer()).standing(account)
                assert made.asked() == asked

    within(story())


@every_venue
def test_a_short_limit_is_waited_for(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            limits = [Answer(429, b"", {"Retry-After": "1"})]
            made.middle.breaks = lambda _: limits.pop() if limits else None
            assert held(await made.read()) == expected(venue.holds)
            assert not limits

    within(story())


@keyed
def test_a_key_that_is_no_good_ends_with_exit_3_and_is_told_with_what_it_needs(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            assert venue.revoke is not None
            venue.revoke(made.server)
            done = await command(made, "status", "--json")
            said = done.out + done.err
            assert done.code == 3, said
            assert f"key ..{venue.secrets['key'][-4:]}" in said
            assert venue.info.permissions["read"] in said
            assert not [name for name, secret in venue.secrets.items() if secret in said]

    within(story())


@where(lambda one: one.set_clock is not None)
@pytest.mark.parametrize("ahead_s", [90.0, -90.0])
def test_a_clock_that_is_off_is_corrected_and_named(venue: Venue, ahead_s: float, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            assert venue.set_clock is not None
            venue.set_clock(made.server, ahead_s)
            reading = await made.read()
            assert held(reading) == expected(venue.holds)
            assert any("clock is 90 s" in warning for warning in reading.warnings), reading.warnings

    within(story())


@where(lambda one: one.set_clock is not None and one.rescue is not None)
@pytest.mark.parametrize("ahead_s", [90.0, -90.0])
def test_a_rescue_lands_though_our_clock_is_off(venue: Venue, ahead_s: float, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            rescue, tools = venue.rescue, await made.tools()
            assert rescue is not None
            assert venue.set_clock is not None
            venue.set_clock(made.server, ahead_s)
            rescuer, before = tools.rescuers[NAME], rescue.figure(made.server)
            account = account_of(await made.read(), rescue.account)
            steps = await rescuer.prepare(account, option_of(rescue, await rescuer.standing(account)))
            assert await rescuer.verify(account, steps) == ""
            for step in steps:
                await rescuer.send(rescuer.sign(step, tools.signers[NAME]))
            assert rescue.figure(made.server) - before == Decimal(rescue.amount)

    within(story())


# Following


async def reading_with(items: AsyncIterator[Reading | LinkChange], holds: object) -> list[object]:
    """Return what was held in every reading up to the first that holds `holds`, that one included."""
    seen: list[object] = []
    async for item in items:
        if isinstance(item, Reading):
            seen.append(held(item))
            if seen[-1] == holds:
                return seen
    raise AssertionError("a source never ends by itself")


async def link_in(items: AsyncIterator[Reading | LinkChange], *states: LinkState) -> LinkChange:
    async for item in items:
        if isinstance(item, LinkChange) and item.state in states:
            return item
    raise AssertionError("a source never ends by itself")


async def until_following(made: Bench, connections: int = 1) -> None:
    await made.middle.until(lambda: made.middle.connections >= connections and made.venue.is_following(made.server))


@every_venue
def test_changes_are_followed(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            await venue.set_long(made.server, "7")
            await reading_with(items, with_long(venue, "7"))

    within(story())


@pushing
def test_a_push_needs_no_poll(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path, poll_s=3600) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            await until_following(made)
            await venue.set_long(made.server, "7")
            await reading_with(items, with_long(venue, "7"))

    within(story())


@pushing
def test_a_lost_socket_is_reconciled_by_rest_and_its_data_resumes(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path, poll_s=3600) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            await until_following(made)
            made.middle.admits, made.middle.is_hushed = False, True
            await venue.set_long(made.server, "7")
            made.middle.drop()
            await reading_with(items, with_long(venue, "7"))
            connections = made.middle.connections
            made.middle.admits, made.middle.is_hushed = True, False
            await until_following(made, connections + 1)
            await venue.set_long(made.server, "8")
            await reading_with(items, with_long(venue, "8"))

    within(story())


@pushing
def test_a_silent_socket_costs_freshness_but_no_truth(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            await until_following(made)
            made.middle.is_hushed = True
            await venue.set_long(made.server, "7")
            await reading_with(items, with_long(venue, "7"))

    within(story())


@every_venue
@pytest.mark.parametrize("fault", [Cut.BEFORE, Answer(503, b"maintenance")], ids=["cut", "503"])
def test_a_venue_that_is_gone_is_told_and_comes_back(venue: Venue, fault: Cut | Answer, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            made.middle.admits, made.middle.is_hushed = False, True
            made.middle.breaks = lambda _: fault
            made.middle.drop()
            lost = await link_in(items, LinkState.DOWN, LinkState.STALE)
            assert lost.detail
            await venue.set_long(made.server, "7")
            made.middle.breaks, made.middle.admits, made.middle.is_hushed = lambda _: None, True, False
            await reading_with(items, with_long(venue, "7"))

    within(story())


@keyed
def test_a_key_that_is_revoked_while_it_is_followed_ends_the_following(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            assert venue.revoke is not None
            venue.revoke(made.server)
            made.middle.drop()
            with pytest.raises(Refused, match=f"key ..{venue.secrets['key'][-4:]}"):
                await reading_with(items, None)

    within(story())


@pushing
def test_old_and_repeated_frames_do_not_bring_the_past_back(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path, poll_s=3600) as made, aclosing(made.source().watch()) as items:
            await reading_with(items, expected(venue.holds))
            await until_following(made)
            start = len(made.middle.frames)
            await venue.set_long(made.server, "7")
            await reading_with(items, with_long(venue, "7"))
            await venue.set_long(made.server, "8")
            await reading_with(items, with_long(venue, "8"))
            old = made.middle.frames[start:]
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(reading_with(items, with_long(venue, "9")))
                await made.middle.send(*old, *old[::-1], *old)
                await venue.set_long(made.server, "9")
            seen = following.result()
            assert [each for each in seen if each not in (with_long(venue, "8"), with_long(venue, "9"))] == []

    within(story())


# Moving margin


@each_move
def test_a_confirmed_move_changes_the_venue_by_the_documented_request(
    venue: Venue, rescue: Rescue, tmp_path: Path
) -> None:
    """The venue's server verifies signature and right; here the request is compared field by field."""

    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            rescuer = await made.rescuer()
            account = account_of(await made.read(), rescue.account)
            before = rescue.figure(made.server)
            steps = await rescuer.prepare(account, option_of(rescue, await rescuer.standing(account)))
            assert await rescuer.verify(account, steps) == ""
            dry = await rescuer.simulate(account, steps)
            assert dry.refused == ""
            signer = (await made.tools()).signers[NAME]
            for step in steps:
                signed = rescuer.sign(step, signer)
                await rescuer.send(signed)
                found = await rescuer.find(signed.reference, signed.nonce, signed.owner)
                assert found.fate is Fate.CONFIRMED, found
            assert rescue.figure(made.server) - before == Decimal(rescue.amount)
            money = [each for each in made.middle.requests if rescue.is_money(each)]
            assert len(money) == len(rescue.sent)
            assert [differences(sent, one) for sent, one in zip(rescue.sent, money, strict=True)] == [[]] * len(money)
            after = await made.read()
            assert health(account_of(after, rescue.account), after) == dry.health_factor or dry.health_factor is None

    within(story())


@rescued
def test_one_command_tops_up_with_nothing_but_a_config(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            rescue = venue.rescue
            assert rescue is not None
            before = rescue.figure(made.server)
            wanted = (rescue.account, "--to", rescue.target, "--by", rescue.means.value)
            done = await command(made, "topup", *wanted, "--confirm", "--json")
            assert done.code == 0, done.out + done.err
            assert rescue.figure(made.server) > before
            assert not [name for name, secret in venue.secrets.items() if secret in done.out + done.err]

    within(story())


@rescued
def test_a_key_without_the_right_to_move_money_is_told_by_that_right(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            rescue = venue.rescue
            assert rescue is not None
            assert venue.forbid is not None
            venue.forbid(made.server)
            before = rescue.figure(made.server)
            wanted = (rescue.account, "--to", rescue.target, "--by", rescue.means.value)
            done = await command(made, "topup", *wanted, "--confirm", "--json")
            said = done.out + done.err
            assert done.code in (3, 30, 31), said
            assert venue.info.permissions["rescue"] in said
            assert rescue.figure(made.server) == before

    within(story())


@each_move
@pytest.mark.parametrize(
    "how",
    [Cut.AFTER, Cut.BEFORE, Answer(502, b"bad gateway"), Answer(200, b"<html>")],
    ids=["cut after", "cut before", "502", "no json"],
)
def test_an_unknown_outcome_is_found_by_reading_and_never_sent_again(
    venue: Venue, rescue: Rescue, how: Cut | Answer, tmp_path: Path
) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            tools = await made.tools()
            rescuer, signer = tools.rescuers[NAME], tools.signers[NAME]
            account = account_of(await made.read(), rescue.account)
            steps = await rescuer.prepare(account, option_of(rescue, await rescuer.standing(account)))
            made.middle.breaks = lambda passed: how if rescue.is_money(passed) else None
            signed = rescuer.sign(steps[0], signer)
            with pytest.raises(Unreachable):
                await rescuer.send(signed)
            found = await rescuer.find(signed.reference, signed.nonce, signed.owner)
            if how is Cut.AFTER:
                assert found.fate in (Fate.CONFIRMED, Fate.PENDING, Fate.UNKNOWN), found
            else:
                assert found.fate in (Fate.PENDING, Fate.UNKNOWN, Fate.REJECTED), found
            assert len([each for each in made.middle.requests if rescue.is_money(each)]) == 1

    within(story())


@rescued
def test_a_top_up_that_is_one_too_many_was_not_taken(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            rescue, tools = venue.rescue, await made.tools()
            assert rescue is not None
            rescuer = tools.rescuers[NAME]
            account = account_of(await made.read(), rescue.account)
            steps = await rescuer.prepare(account, option_of(rescue, await rescuer.standing(account)))
            limit = Answer(429, b"", {"Retry-After": "1"})
            made.middle.breaks = lambda passed: limit if rescue.is_money(passed) else None
            with pytest.raises(Refused):
                await rescuer.send(rescuer.sign(steps[0], tools.signers[NAME]))
            assert len([each for each in made.middle.requests if rescue.is_money(each)]) == 1

    within(story())


@where(lambda one: one.info.depth)
def test_the_book_of_a_position_is_read(venue: Venue, tmp_path: Path) -> None:
    async def story() -> None:
        async with bench(venue, tmp_path) as made:
            books = account_module(venue.provider).depth_source(made.options)
            depth = await books.depth(venue.long[1], 10)
            assert depth.contract == venue.long[1]
            assert [one.price for one in depth.bids] == sorted((one.price for one in depth.bids), reverse=True)
            assert [one.price for one in depth.asks] == sorted(one.price for one in depth.asks)
            assert depth.bids
            assert depth.asks
            made.middle.bends = lambda _, body: body[: len(body) // 2]
            with pytest.raises(AppError):
                await books.depth(venue.long[1], 10)
            close = getattr(books, "aclose", None)
            if close is not None:
                await close()

    within(story())
