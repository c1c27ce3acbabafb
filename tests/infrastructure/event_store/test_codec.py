"""Events to canonical JSON and back: exact, readable, upcast."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import UnknownEventError, event, upcaster
from domain.money import Money
from infrastructure.event_store.codec import Decoders, Encoders, PayloadTypeError, canonical, typed_decoder


class Colour(StrEnum):
    RED = "RED"
    BLUE = "BLUE"


@event()
class CodecSampled:
    zeal: int
    amount: Money
    rate: Fraction
    day: dt.date
    at: dt.datetime
    colours: tuple[Colour, ...]
    shares: Mapping[str, Money]
    note: str | None = None


@event(version=3)
class CodecGrown:
    name: str
    amount: int
    currency: str


@upcaster("CodecGrown", 1)
def _amount_in_minor_units(payload: dict[str, object]) -> dict[str, object]:
    return {**payload, "amount": int(str(payload["amount"])) * 100}


@upcaster("CodecGrown", 2)
def _with_currency(payload: dict[str, object]) -> dict[str, object]:
    return {**payload, "currency": "USD"}


@event()
class CodecFloating:
    amount: Mapping[str, tuple[float, ...]]


class CodecOddity:
    """A kind of value that no payload has a form for."""


@event()
class CodecHoldingOddity:
    value: CodecOddity


SAMPLE = CodecSampled(
    zeal=1,
    amount=Money(-1200, "USD"),
    rate=Fraction(1, 3),
    day=dt.date(2025, 2, 28),
    at=dt.datetime(2025, 2, 28, 23, 59, 59, 999999, tzinfo=dt.UTC),
    colours=(Colour.RED, Colour.BLUE),
    shares={"b": Money(1, "USD"), "a": Money(2, "USD")},
)


@pytest.mark.rule("PLT-024")
def test_a_payload_is_canonical_json_that_people_can_read() -> None:
    assert canonical(SAMPLE).decode() == (
        '{"amount":{"currency":"USD","minor":-1200},"at":"2025-02-28T23:59:59.999999Z","colours":["RED","BLUE"],'
        '"day":"2025-02-28","note":null,"rate":"1/3","shares":{"a":{"currency":"USD","minor":2},'
        '"b":{"currency":"USD","minor":1}},"zeal":1}'
    )


def test_an_event_comes_back_as_it_went() -> None:
    assert Decoders()["CodecSampled", 1](canonical(SAMPLE)) == SAMPLE


@given(
    st.builds(
        CodecSampled,
        zeal=st.integers(min_value=-(2**63), max_value=2**63 - 1),
        amount=st.builds(Money, st.integers(min_value=-(10**18), max_value=10**18), st.sampled_from(["USD", "JPY"])),
        rate=st.fractions(),
        day=st.dates(),
        at=st.datetimes(timezones=st.just(dt.UTC)),
        colours=st.lists(st.sampled_from(Colour)).map(tuple),
        shares=st.dictionaries(st.text(), st.builds(Money, st.integers(-9, 9), st.just("USD")), max_size=3),
        note=st.none() | st.text(),
    )
)
def test_any_event_comes_back_and_gives_the_same_text_again(sample: CodecSampled) -> None:
    text = canonical(sample)
    again = Decoders()["CodecSampled", 1](text)
    assert again == sample
    assert canonical(again) == text


@pytest.mark.rule("PLT-026")
def test_an_old_payload_is_upcast_step_by_step() -> None:
    decoders = Decoders()
    grown = CodecGrown(name="x", amount=500, currency="USD")
    assert decoders["CodecGrown", 1](b'{"amount":"5","name":"x"}') == grown
    assert decoders["CodecGrown", 2](b'{"amount":500,"name":"x"}') == grown
    assert decoders["CodecGrown", 3](canonical(grown)) == grown


@pytest.mark.rule("PLT-026")
def test_members_nobody_knows_any_more_are_ignored() -> None:
    payload = b'{"amount":500,"currency":"USD","name":"x","shoe_size":44}'
    assert Decoders()["CodecGrown", 3](payload) == CodecGrown(name="x", amount=500, currency="USD")


@pytest.mark.rule("PLT-026")
@pytest.mark.parametrize("key", [("NeverHeardOf", 1), ("CodecGrown", 4)])
def test_an_unknown_type_or_a_version_from_the_future_is_not_guessed_at(key: tuple[str, int]) -> None:
    with pytest.raises(UnknownEventError):
        Decoders()[key]


def test_a_payload_that_does_not_fit_its_class_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        Decoders()["CodecGrown", 3](b'{"amount":"five","currency":"USD","name":"x"}')


def test_a_float_anywhere_inside_an_event_is_refused_before_it_is_first_written() -> None:
    with pytest.raises(PayloadTypeError):
        Encoders()[CodecFloating]
    with pytest.raises(PayloadTypeError):
        typed_decoder(CodecFloating)
    assert Encoders()[CodecGrown] == ("CodecGrown", 3)


def test_a_value_without_an_exact_form_is_neither_written_nor_read() -> None:
    with pytest.raises(PayloadTypeError, match="complex cannot be stored"):
        canonical({"value": 1j})
    with pytest.raises(PayloadTypeError, match="CodecOddity cannot be read from int"):
        typed_decoder(CodecHoldingOddity)(b'{"value":1}')
