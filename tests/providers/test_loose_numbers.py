"""What a venue calls a field or a coin never reaches a terminal as it is."""

from collections.abc import Callable

import msgspec
import pytest

from providers.errors import Malformed
from providers.loose_numbers import not_negative, number, whole

Read = Callable[[str, str, msgspec.Raw], object]


@pytest.mark.parametrize(
    ("read", "raw"), [(number, b'"x"'), (number, b'"NaN"'), (not_negative, b"-1"), (whole, b"1.5")]
)
def test_an_error_about_a_number_holds_no_control_character_of_the_venues_name_for_it(read: Read, raw: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        read("venue", "rate of \x1b[31mBTC\u202e", msgspec.Raw(raw))
    assert str(caught.value).startswith("venue: rate of [31mBTC: ")
