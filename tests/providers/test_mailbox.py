"""The queue between a socket and a slow reader: bounded, fair, and it never loses the newest."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from providers.mailbox import Mailbox

KEYS = st.sampled_from(["ETH", "BTC", "SOL"])


def drained(mailbox: Mailbox[int]) -> list[int]:
    return [mailbox.take() for _ in range(len(mailbox))]


def test_items_come_out_in_the_order_they_went_in() -> None:
    mailbox = Mailbox[int](4)
    for n, key in enumerate(["ETH", "BTC", "ETH", "SOL"]):
        assert not mailbox.put(key, n)
    assert drained(mailbox) == [0, 1, 2, 3]
    assert mailbox.skipped == 0


def test_a_full_key_loses_its_own_oldest_and_no_other_key_loses_anything() -> None:
    mailbox = Mailbox[int](2)
    mailbox.put("BTC", -1)
    dropped = [mailbox.put("ETH", n) for n in range(100)]
    assert dropped == [False, False, *[True] * 98]
    assert drained(mailbox) == [-1, 98, 99]
    assert mailbox.skipped == 98


@given(backlog=st.integers(1, 5), keys=st.lists(KEYS, max_size=60), taken=st.lists(st.integers(0, 60), max_size=5))
def test_it_stays_bounded_ordered_per_key_and_keeps_the_newest(backlog: int, keys: list[str], taken: list[int]) -> None:
    mailbox = Mailbox[tuple[str, int]](backlog)
    out: list[tuple[str, int]] = []
    for n, key in enumerate(keys):
        mailbox.put(key, (key, n))
        if n in taken:
            out.append(mailbox.take())
        assert len(mailbox) <= backlog * len(set(keys))
    out += [mailbox.take() for _ in range(len(mailbox))]
    for key in set(keys):
        numbers = [n for found, n in out if found == key]
        assert numbers == sorted(numbers)
        assert numbers[-1] == max(n for n, put in enumerate(keys) if put == key)
    assert len(out) + mailbox.skipped == len(keys)


def test_a_reader_waits_for_the_first_item_and_a_stir_wakes_it_without_one() -> None:
    async def test() -> None:
        mailbox = Mailbox[int](2)
        async with asyncio.timeout(5):
            waiting = asyncio.create_task(mailbox.wait())
            await asyncio.sleep(0)
            assert not waiting.done()
            mailbox.put("ETH", 1)
            await waiting
            assert mailbox.take() == 1
            waiting = asyncio.create_task(mailbox.wait())
            await asyncio.sleep(0)
            mailbox.stir()
            await waiting
        assert len(mailbox) == 0

    asyncio.run(test())
