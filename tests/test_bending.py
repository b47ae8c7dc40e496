"""What the conformance suite does to a venue's JSON is what it says."""

import json
from dataclasses import dataclass
from decimal import Decimal

from tests.bending import (
    keys_of,
    numbers_as_numbers,
    numbers_as_text,
    numbers_in,
    with_nonsense,
    with_strangers,
    without,
)

RAW = b'{"id":"7","size":"1.50","rows":[["2.5",3.25]],"by":{"BTC":{"n":4,"on":true}}}'


def test_numbers_change_their_spelling_and_keep_their_digits() -> None:
    assert numbers_as_numbers(RAW, {"id"}) == (
        b'{"id":"7","size":1.50,"rows":[[2.5,3.25]],"by":{"BTC":{"n":4,"on":true}}}'
    )
    assert json.loads(numbers_as_text(RAW, set()))["rows"] == [["2.5", "3.25"]]


def test_strangers_come_into_every_object_but_open_maps() -> None:
    told = json.loads(with_strangers(RAW, {"by"}))
    assert "fieldOfTomorrow" in told
    assert "fieldOfTomorrow" in told["by"]["BTC"]
    assert "fieldOfTomorrow" not in told["by"]


def test_members_go_or_become_nonsense_wherever_they_are() -> None:
    assert keys_of(RAW) == {"id", "size", "rows", "by", "BTC", "n", "on"}
    assert "n" not in json.loads(without(RAW, "n"))["by"]["BTC"]
    assert json.loads(with_nonsense(RAW, "rows"))["rows"] == [["NaN", "NaN"]]
    assert json.loads(with_nonsense(RAW, "on"))["by"]["BTC"]["on"] is True


def test_what_is_no_json_stays() -> None:
    assert without(b"<html>", "a") == b"<html>"


def test_every_number_of_a_record_is_found() -> None:
    @dataclass
    class One:
        size: Decimal
        by: dict[str, tuple[Decimal, ...]]

    assert list(numbers_in([One(Decimal(1), {"a": (Decimal(2), Decimal("NaN"))})]))[:2] == [1, 2]
