"""Borrow events: whose debt they tell of, and what is no such event."""

import pytest

from providers.errors import Malformed
from providers.evm.aave_borrowers import BORROW_TOPIC, parse_debtors

WHO = "0x" + "00" * 12 + "Ab" * 20
EVENT = {"topics": [BORROW_TOPIC, "0x" + "11" * 32, WHO, "0x" + "00" * 32], "data": "0x"}


def test_the_debtor_is_on_whose_behalf_it_was_borrowed() -> None:
    assert parse_debtors("aave", [EVENT, {**EVENT, "removed": True}]) == ["0x" + "ab" * 20]
    assert parse_debtors("aave", []) == []


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"topics": []},
        ["0x"],
        [{**EVENT, "topics": None}],
        [{**EVENT, "topics": EVENT["topics"][:3]}],
        [{**EVENT, "topics": ["0x" + "22" * 32, *EVENT["topics"][1:]]}],
        [{**EVENT, "topics": [*EVENT["topics"][:2], "0x" + "ff" * 32, EVENT["topics"][3]]}],
        [{**EVENT, "topics": [*EVENT["topics"][:2], "0x" + "zz" * 32, EVENT["topics"][3]]}],
        [{**EVENT, "topics": [*EVENT["topics"][:2], "0x" + "00" * 32, EVENT["topics"][3]]}],
        [{**EVENT, "topics": [*EVENT["topics"][:2], 7, EVENT["topics"][3]]}],
    ],
)
def test_what_is_no_borrow_event_is_malformed(answer: object) -> None:
    with pytest.raises(Malformed):
        parse_debtors("aave", answer)
