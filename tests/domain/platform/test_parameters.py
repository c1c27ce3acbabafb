"""Parameters: the rulebook's names and defaults, ranges, and the value in force."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refusal
from domain.platform.parameters import (
    PARAMETER,
    PARAMETERS,
    SET_ELSEWHERE,
    Kind,
    ParameterSet,
    ParameterState,
    ParameterUnknownError,
    Value,
    ValueInForce,
    identifier_of,
    identifiers_for,
    parameter,
    problem_of_value,
    set_parameter,
    value_in_force,
)

RULES = Path(__file__).parents[3] / "docs" / "rules"
TODAY = dt.date(2025, 3, 1)
DOCUMENTS = ("02-calendar", "04-premium-and-transactions", "05-invoicing", "07-payments", "08-balances-and-ptd")


def rows_of_the_rulebook(document: str) -> list[tuple[list[str], str]]:
    """The Parameters table of a document: names of a row, and its default as written."""
    text = (RULES / f"{document}.md").read_text(encoding="utf-8")
    table = text.split("\n## Parameters\n")[1].split("\n## ")[0]
    rows = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and not line.startswith("|---") and cells[0].lower() != "name":
            names = [name.strip("` ") for name in re.sub(r"\(.*?\)", "", cells[0]).split(",")]
            rows.append((names, cells[2]))
    return rows


@pytest.mark.parametrize("document", [*DOCUMENTS, "13-platform"])
def test_every_parameter_of_the_rulebook_exists(document: str) -> None:
    named = 0
    for names, default in rows_of_the_rulebook(document):
        for name in names:
            described = default.startswith(("see ", "PLT-093", "appendix", "seeded")) or name in SET_ELSEWHERE
            if described or " " in name or (default == "–" and "." not in name):
                continue
            assert parameter(name).document in (document[:2], "07", "13"), name
            named += 1
    assert named >= 9


def test_defaults_are_those_of_the_rulebook() -> None:
    compared = 0
    for document in DOCUMENTS:
        for names, written in rows_of_the_rulebook(document):
            if len(names) != 1 or names[0] in SET_ELSEWHERE or " " in names[0]:
                continue
            plain = written.split(";")[0].split(" (")[0].strip("` ").replace(",000", "000")
            default = parameter(names[0]).default
            expected: dict[str, object] = {"true": True, "false": False, "off": False, "none": None, "empty": ()}
            if plain in expected:
                assert default == expected[plain] or (default is None and plain == "empty"), names
            elif plain.isdigit():
                assert default == int(plain), names
            elif re.fullmatch(r"[A-Z_0-9]+|daily \d\d:\d\d|\d\d:\d\d|INV-.*", plain):
                assert default in (plain, (plain,)), names
            else:
                continue
            compared += 1
    assert compared > 45


def test_every_default_lies_within_its_own_range() -> None:
    for kind in PARAMETERS.values():
        keys = {"currency": "USD"} if kind.kind is Kind.AMOUNT else {}
        assert problem_of_value(kind, kind.default, keys) is None, kind.name
        for when, default in kind.special:
            assert set(when) <= set(kind.keys)
            assert problem_of_value(kind, default, when) is None, kind.name


@pytest.mark.parametrize(
    ("name", "value", "keys"),
    [
        ("retention.years", 6, {}),
        ("retention.years", True, {}),
        ("retention.years", "7", {}),
        ("recurring.offset_days", 31, {}),
        ("recurring.offset_days", -1, {}),
        ("calendar.strict_holidays", 1, {}),
        ("invoicing.discard_order", "OLDEST_FIRST", {}),
        ("consumption.category_order", ("BANKING", "BANKING"), {}),
        ("consumption.category_order", ("BANKING", "CHEQUE"), {}),
        ("reasons.hold", ("INVESTIGATION",), {}),
        ("ptd.job_schedule", "daily 24:00", {}),
        ("ptd.job_schedule", "61 4 * * *", {}),
        ("premium.anyb_job_time", "2:00", {}),
        ("premium.anyb_job_time", "02:00\n", {}),
        ("platform.time_zone", "Mars", {}),
        ("platform.locale", "english", {}),
        ("minimum_due.amount", "-0.01", {"currency": "USD"}),
        ("minimum_due.amount", "1.005", {"currency": "USD"}),
        ("minimum_due.amount", "1.00", {"currency": "CLF"}),
        ("minimum_due.amount", "1.00", {}),
        ("invoicing.invoice_number_pattern", "INV", {}),
        ("autoconsumption.recurring", True, {"bill_type": "LIST_BILL", "mode": "INDIVIDUAL"}),
        ("platform.time_zone", None, {}),
    ],
)
@pytest.mark.rule("PLT-110")
def test_a_value_out_of_range_is_refused(name: str, value: Value, keys: Mapping[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        set_parameter(ParameterState(), parameter(name), keys, value, TODAY, TODAY)
    assert [(problem.code, problem.pointer) for problem in refused.value.problems] == [("VALUE_OUT_OF_RANGE", "/value")]


@pytest.mark.parametrize(
    ("name", "value", "keys"),
    [
        ("retention.years", 7, {}),
        ("retention.years", 100, {"jurisdiction": "NY"}),
        ("ptd.job_schedule", "*/15 0-6 1,15 * 1-5", {}),
        ("minimum_due.amount", "0.00", {"currency": "USD", "product": "DENTAL"}),
        ("minimum_due.amount", "1.005", {"currency": "KWD"}),
        ("premium.waiver_claim_filing_days", None, {"product": "GROUP-LIFE"}),
        ("transfer.incompatible_types", ("LIST_BILL>SELF_BILL",), {}),
        ("platform.time_zone", "America/New_York", {}),
    ],
)
def test_a_value_within_its_range_is_set(name: str, value: Value, keys: Mapping[str, str]) -> None:
    (occurred,) = set_parameter(ParameterState(), parameter(name), keys, value, TODAY, TODAY)
    assert isinstance(occurred, ParameterSet)
    assert (occurred.version, occurred.value, occurred.effective_from) == (1, value, TODAY)


@pytest.mark.rule("PLT-110", "PLT-014")
def test_every_problem_of_a_setting_is_reported_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        set_parameter(
            ParameterState(),
            parameter("recurring.offset_days"),
            {"bill_type": "PAPER", "colour": "red"},
            99,
            TODAY - dt.timedelta(days=1),
            TODAY,
        )
    assert [(problem.code, problem.pointer) for problem in refused.value.problems] == [
        ("REQUEST_INVALID", "/keys/bill_type"),
        ("REQUEST_INVALID", "/keys/colour"),
        ("VALUE_OUT_OF_RANGE", "/value"),
        ("VALUE_OUT_OF_RANGE", "/effective_from"),
    ]


@pytest.mark.rule("PLT-110")
def test_the_full_name_carries_the_domain_and_the_short_one_finds_it() -> None:
    assert parameter("zero_invoice").name == "invoicing.zero_invoice"
    assert parameter("proration_basis") is parameter("premium.proration_basis")
    assert parameter("allowAllocationWithGaps").name == "allocation.allow_allocation_with_gaps"
    with pytest.raises(ParameterUnknownError):
        parameter("grace_days")


class Settings:
    """The recorded settings of one parameter, by their streams."""

    def __init__(self, name: str) -> None:
        self.kind = parameter(name)
        self.states: dict[str, ParameterState] = {}

    def set(self, value: Value, effective_from: dt.date, **keys: str) -> ParameterSet:
        identifier = identifier_of(self.kind.name, keys)
        state = self.states.get(identifier, ParameterState())
        (occurred,) = set_parameter(state, self.kind, keys, value, effective_from, TODAY)
        self.states[identifier] = PARAMETER.fold([occurred], state)
        assert isinstance(occurred, ParameterSet)
        return occurred

    def ask(self, on: dt.date, **keys: str) -> ValueInForce:
        wanted = [self.states[name] for name in identifiers_for(self.kind, keys) if name in self.states]
        return value_in_force(self.kind, keys, wanted, on)


@pytest.mark.rule("PLT-110")
def test_without_a_setting_the_default_of_the_keys_goes() -> None:
    settings = Settings("recurring.waiting_days")
    assert settings.ask(TODAY) == ValueInForce("recurring.waiting_days", 14, 0)
    assert settings.ask(TODAY, customer_type="ORGANIZATION").value == 3
    approaches = parameter("allocation.approaches")
    assert approaches.default_for({"bill_type": "LIST_BILL", "mode": "INDIVIDUAL"}) == (
        "remittance_file",
        "allocation_rules",
    )
    assert approaches.default_for({"bill_type": "SELF_BILL", "mode": "INDIVIDUAL"}) == ("allocation_rules",)


@pytest.mark.rule("PLT-110")
def test_a_setting_goes_from_its_day_on_and_a_later_one_for_the_same_day_replaces_it() -> None:
    settings = Settings("recurring.retry_days")
    settings.set(5, dt.date(2025, 4, 1))
    assert settings.ask(dt.date(2025, 3, 31)).value == 3
    assert settings.ask(dt.date(2025, 4, 1)) == ValueInForce("recurring.retry_days", 5, 1)
    settings.set(6, dt.date(2025, 4, 1))
    assert settings.ask(dt.date(2025, 4, 1)) == ValueInForce("recurring.retry_days", 6, 2)


@pytest.mark.rule("PLT-110")
def test_an_earlier_day_set_later_leaves_the_later_day_as_it_was() -> None:
    settings = Settings("recurring.retry_days")
    settings.set(9, dt.date(2025, 7, 1))
    between = settings.set(4, dt.date(2025, 4, 1))
    assert between.previous_value == 3
    assert settings.ask(dt.date(2025, 6, 30)).value == 4
    assert settings.ask(dt.date(2025, 7, 1)).value == 9


@pytest.mark.rule("PLT-110")
def test_the_most_special_key_wins() -> None:
    settings = Settings("recurring.offset_days")
    settings.set(1, TODAY)
    settings.set(2, TODAY, bill_type="LIST_BILL")
    settings.set(3, TODAY, account="LB00000001")
    assert settings.ask(TODAY, bill_type="SELF_BILL", account="LB00000002").value == 1
    assert settings.ask(TODAY, bill_type="LIST_BILL", account="LB00000002").value == 2
    found = settings.ask(TODAY, bill_type="LIST_BILL", account="LB00000001")
    assert (found.value, found.keys) == (3, (("account", "LB00000001"),))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 30),
            st.integers(0, 40),
            st.sampled_from(
                [{}, {"bill_type": "LIST_BILL"}, {"account": "A"}, {"bill_type": "LIST_BILL", "account": "A"}]
            ),
        ),
        max_size=12,
    ),
    st.integers(0, 45),
)
@pytest.mark.rule("PLT-110")
def test_the_value_in_force_is_the_last_word_of_the_most_special_keys(
    history: list[tuple[int, int, dict[str, str]]], asked: int
) -> None:
    settings = Settings("recurring.offset_days")
    for value, day, keys in history:
        settings.set(value, TODAY + dt.timedelta(days=day), **keys)
    answer = settings.ask(TODAY + dt.timedelta(days=asked), bill_type="LIST_BILL", account="A")
    expected = 0
    for keys in ({}, {"bill_type": "LIST_BILL"}, {"account": "A"}, {"bill_type": "LIST_BILL", "account": "A"}):
        latest = -1
        for value, day, set_for in history:
            if set_for == keys and latest <= day <= asked:
                latest, expected = day, value
    assert answer.value == expected
