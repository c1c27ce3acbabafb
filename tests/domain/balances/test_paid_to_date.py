"""Paid-to-date: the rulebook's examples, and the walk by segments against a walk day by day."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.balances.paid_to_date import (
    Absence,
    CapReason,
    DayKind,
    Gap,
    PaidToDate,
    RateSegment,
    Settings,
    Strategy,
    UnitInvoice,
    capped,
    daily_annual,
    daily_modal,
    member_of_group,
    paid_to_date,
    self_bill_paid_to_date,
    settled_amount,
    unit_segments,
    walk_days,
)
from domain.money import half_up

FAR = dt.date(2060, 1, 1)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def maybe(text: str | None) -> dt.date | None:
    return None if text is None else day(text)


def charged(start: str, end: str | None, annual: int) -> RateSegment:
    return RateSegment(day(start), maybe(end) or FAR, DayKind.CHARGED, daily_annual(annual))


def months(year: int, amounts: Sequence[int], paid: Sequence[int]) -> list[UnitInvoice]:
    """Monthly invoices of a year from January: fully paid when everything is paid."""
    result = []
    for number, (amount, got) in enumerate(zip(amounts, paid, strict=True), start=1):
        end = dt.date(year + number // 12, number % 12 + 1, 1)
        result.append(UnitInvoice(dt.date(year, number, 1), end, got >= amount, amount, amount))
    return result


E06 = [charged("2025-01-01", None, 120000)]


@pytest.mark.rule("BAL-E06", "BAL-079", "BAL-081", "BAL-085", "BAL-087", "BAL-088", "BAL-092")
@pytest.mark.parametrize(
    ("paid", "daily", "by_invoice", "value"),
    [
        ([0, 0, 0, 0], None, None, None),
        ([5000, 0, 0, 0], "2025-01-16", None, "2025-01-16"),
        ([10000, 0, 0, 0], "2025-01-31", "2025-02-01", "2025-02-01"),
        ([10000, 5000, 0, 0], "2025-02-15", "2025-02-01", "2025-02-15"),
        ([10000, 0, 10000, 0], "2025-03-02", "2025-03-01", "2025-03-02"),
        ([0, 10000, 0, 0], "2025-01-31", None, "2025-01-31"),
        ([10000, 0, 10000, 10000], "2025-04-02", "2025-04-01", "2025-04-02"),
    ],
)
def test_paid_to_date_is_the_later_of_the_two_walks(
    paid: list[int], daily: str | None, by_invoice: str | None, value: str | None
) -> None:
    answer = paid_to_date(E06, months(2025, [10000] * 4, paid), sum(paid), start=day("2025-01-01"))
    assert (answer.daily_rate, answer.by_invoice, answer.value) == (maybe(daily), maybe(by_invoice), maybe(value))
    assert answer.paid_through == (None if value is None else day(value) - dt.timedelta(days=1))
    assert answer.display_date == (maybe(value) or day("2025-01-01"))


@pytest.mark.rule("BAL-E06", "BAL-081", "BAL-088", "BAL-092", "BAL-099")
@pytest.mark.parametrize(
    ("chosen", "paid", "value"),
    [
        (Settings(Strategy.BY_INVOICE), [10000, 0, 10000, 0], "2025-03-01"),
        (Settings(Strategy.BY_INVOICE, gap_credit=False), [10000, 0, 10000, 0], "2025-02-01"),
        (Settings(Strategy.BY_INVOICE), [0, 10000, 0, 0], None),
        (Settings(require_first_invoice_paid=True), [5000, 0, 0, 0], None),
        (Settings(cap_at_billed_end=True), [10000, 10000, 10000, 10000], "2025-05-01"),
    ],
)
def test_strategy_and_switches_choose_the_result(chosen: Settings, paid: list[int], value: str | None) -> None:
    invoices = months(2025, [10000] * 4, paid)
    extra = 5000 if chosen.cap_at_billed_end else 0
    answer = paid_to_date(E06, invoices, sum(paid) + extra, start=day("2025-01-01"), settings=chosen)
    assert answer.value == maybe(value)
    if chosen.cap_at_billed_end:
        assert answer.cap_reason is CapReason.BILLED_END


@pytest.mark.rule("BAL-E07", "BAL-084")
def test_a_leap_year_has_a_day_that_the_annual_premium_does_not_pay() -> None:
    segments = [charged("2024-01-01", None, 120000)]
    year = months(2024, [10000] * 12, [10000] * 12)
    first = paid_to_date(segments, year, 120000, start=day("2024-01-01"))
    assert (first.daily_rate, first.by_invoice, first.value) == (
        day("2024-12-31"),
        day("2025-01-01"),
        day("2025-01-01"),
    )
    more = [*year, UnitInvoice(day("2025-01-01"), day("2025-02-01"), True, 10000)]
    second = paid_to_date(segments, more, 130000, start=day("2024-01-01"))
    assert (second.daily_rate, second.value) == (day("2025-01-30"), day("2025-02-01"))


@pytest.mark.rule("BAL-E08", "BAL-084")
def test_a_higher_premium_makes_the_same_money_reach_less_far() -> None:
    invoices = months(2025, [31000, 28000], [31000, 28000])
    only_daily = Settings(Strategy.DAILY_RATE)
    before = paid_to_date(
        [charged("2025-01-01", None, 365000)], invoices, 62000, start=day("2025-01-01"), settings=only_daily
    )
    after = paid_to_date(
        [charged("2025-01-01", "2025-02-01", 365000), charged("2025-02-01", None, 730000)],
        invoices,
        62000,
        start=day("2025-01-01"),
        settings=only_daily,
    )
    assert (before.value, after.value) == (day("2025-03-04"), day("2025-02-16"))


@pytest.mark.rule("BAL-E09", "BAL-083", "BAL-086", "BAL-096")
@pytest.mark.parametrize(
    ("settled", "march", "value"),
    [
        (59000, DayKind.ABSENT, "2025-03-01"),
        (59900, DayKind.ABSENT, "2025-03-01"),
        (60000, DayKind.ABSENT, "2025-04-02"),
        (90000, DayKind.ABSENT, "2025-05-02"),
        (58000, DayKind.ABSENT, "2025-02-28"),
        (59000, DayKind.FREE, "2025-04-01"),
        (58900, DayKind.FREE, "2025-02-28"),
    ],
)
def test_a_lapse_is_skipped_but_never_covered_a_waiver_is_covered_for_nothing(
    settled: int, march: DayKind, value: str
) -> None:
    segments = [
        charged("2025-01-01", "2025-03-01", 365000),
        RateSegment(day("2025-03-01"), day("2025-04-01"), march),
        charged("2025-04-01", None, 365000),
    ]
    absences = []
    if march is DayKind.ABSENT:
        absences = [Absence(day("2025-03-01"), day("2025-04-01"), CapReason.LAPSE)]
    answer = paid_to_date(
        segments,
        months(2025, [31000, 28000, 31000, 30000], [0, 0, 0, 0]),
        settled,
        start=day("2025-01-01"),
        absences=absences,
        settings=Settings(Strategy.DAILY_RATE),
    )
    assert answer.value == day(value)


def unit(value: str) -> PaidToDate:
    return PaidToDate(day(value), day(value), day(value), Strategy.MAXIMUM)


LAPSE, CANCELLED = CapReason.LAPSE, CapReason.CANCELLATION


@pytest.mark.rule("BAL-E10", "BAL-094", "BAL-095", "BAL-096")
@pytest.mark.parametrize(
    ("unit_value", "effective", "absence", "value", "reason"),
    [
        ("2025-06-01", "2025-01-01", None, "2025-06-01", None),
        ("2025-06-01", "2025-06-01", None, None, None),
        ("2025-06-01", "2025-01-01", ("2025-04-10", None, CANCELLED), "2025-04-10", CANCELLED),
        ("2025-06-01", "2025-01-01", ("2025-04-10", "2025-05-01", LAPSE), "2025-06-01", None),
        ("2025-06-01", "2025-01-01", ("2025-04-10", "2025-06-01", LAPSE), "2025-04-10", LAPSE),
        ("2025-06-01", "2025-01-01", ("2025-07-01", None, CANCELLED), "2025-06-01", None),
        ("2025-04-01", "2025-01-01", None, "2025-04-01", None),
        ("2025-04-01", "2025-01-01", ("2025-04-10", None, CANCELLED), "2025-04-01", None),
    ],
)
def test_a_member_of_a_true_group_has_the_units_value_below_its_own_absences(
    unit_value: str,
    effective: str,
    absence: tuple[str, str | None, CapReason] | None,
    value: str | None,
    reason: CapReason | None,
) -> None:
    absences = [] if absence is None else [Absence(day(absence[0]), maybe(absence[1]), absence[2])]
    answer = member_of_group(unit(unit_value), day(effective), absences)
    assert (answer.value, answer.cap_reason) == (maybe(value), reason)


@pytest.mark.rule("BAL-E11", "BAL-097", "BAL-098", "BAL-093")
def test_a_member_who_moves_away_and_returns_keeps_one_walk_on_each_account() -> None:
    daily = Settings(Strategy.DAILY_RATE)
    away = [Absence(day("2025-04-15"), None, CapReason.MOVE)]
    back = [Absence(day("2025-04-15"), day("2025-07-01"), CapReason.MOVE)]
    invoices = months(2025, [31000, 28000, 31000, 14000], [31000, 28000, 31000, 14000])
    before_return = [charged("2025-01-01", "2025-04-15", 365000)]
    after_return = [*before_return, charged("2025-07-01", None, 365000)]
    start = day("2025-01-01")

    def list_bill(segments: list[RateSegment], settled: int, absences: list[Absence]) -> dt.date | None:
        return paid_to_date(segments, invoices, settled, start=start, absences=absences, settings=daily).value

    assert list_bill(before_return, 104000, away) == day("2025-04-15")
    assert list_bill(before_return, 90000, away) == day("2025-04-01")
    assert list_bill(after_return, 104000, back) == day("2025-04-15")
    assert list_bill(after_return, 135000, back) == day("2025-08-01")

    direct_start = day("2025-04-15")
    direct = [charged("2025-04-15", "2025-07-01", 365000)]
    gone = [Absence(day("2025-07-01"), None, CapReason.MOVE)]
    bill = [UnitInvoice(day("2025-04-15"), day("2025-05-01"), False, 16000)]
    nothing = paid_to_date(direct, bill, 0, start=direct_start, absences=gone, settings=daily)
    assert (nothing.value, nothing.display_date, nothing.nothing_paid) == (None, direct_start, True)
    for settled, value in ((16000, "2025-05-01"), (77000, "2025-07-01"), (90000, "2025-07-01")):
        answer = paid_to_date(direct, bill, settled, start=direct_start, absences=gone, settings=daily)
        assert answer.value == day(value)


def seasonal() -> list[RateSegment]:
    """Annual 1,200.00 over nine months of 133.33, gap June to August."""
    segments = [
        RateSegment(
            dt.date(2025, month, 1),
            dt.date(2025, month + 1, 1),
            DayKind.CHARGED,
            daily_modal(13333, dt.date(2025, month, 1), dt.date(2025, month + 1, 1)),
        )
        for month in range(1, 6)
    ]
    segments.append(RateSegment(day("2025-06-01"), day("2025-09-01"), DayKind.FREE))
    segments.append(
        RateSegment(
            day("2025-09-01"),
            day("2025-10-01"),
            DayKind.CHARGED,
            daily_modal(13333, day("2025-09-01"), day("2025-10-01")),
        )
    )
    return segments


@pytest.mark.rule("BAL-E12", "BAL-089", "BAL-084", "BAL-085")
@pytest.mark.parametrize(
    ("paid", "value"),
    [([13333] * 5, "2025-09-01"), ([13333, 13333, 13333, 0, 13333], "2025-05-01")],
)
def test_a_fully_paid_season_reaches_over_its_gap(paid: list[int], value: str) -> None:
    gap = [Gap(day("2025-06-01"), day("2025-09-01"))]
    answer = paid_to_date(seasonal(), months(2025, [13333] * 5, paid), sum(paid), start=day("2025-01-01"), gaps=gap)
    assert (answer.daily_rate, answer.by_invoice, answer.value) == (day(value), day(value), day(value))


@pytest.mark.rule("BAL-E13", "BAL-090", "BAL-093", "BAL-088")
@pytest.mark.parametrize(
    ("paid", "daily", "by_invoice", "value"),
    [
        ([0, 0, 0], None, None, None),
        ([31000, 10000, 31000], "2024-03-13", "2024-03-01", "2024-03-13"),
        ([0, 10000, 31000], "2024-02-11", None, "2024-02-11"),
        ([0, 10000, 0], "2024-01-11", None, "2024-01-11"),
    ],
)
def test_self_bill_divides_what_was_paid_by_the_average_rate(
    paid: list[int], daily: str | None, by_invoice: str | None, value: str | None
) -> None:
    invoices = months(2024, [31000, 29000, 31000], paid)
    answer = self_bill_paid_to_date(invoices, sum(paid), effective=day("2024-01-01"))
    assert (answer.daily_rate, answer.by_invoice, answer.value) == (maybe(daily), maybe(by_invoice), maybe(value))
    assert answer.paid_to_date == (maybe(value) or day("2024-01-01"))
    assert answer.nothing_paid is (value is None)
    assert answer.paid_through == (None if value is None else day(value) - dt.timedelta(days=1))


@pytest.mark.rule("BAL-E13", "BAL-091")
@pytest.mark.parametrize(("amount", "paid", "value"), [(30000, 30000, "2025-02-01"), (10000, 5000, "2025-01-16")])
def test_each_policy_of_an_invoice_has_its_own_rate(amount: int, paid: int, value: str) -> None:
    invoices = months(2025, [amount], [paid])
    assert self_bill_paid_to_date(invoices, paid, effective=day("2025-01-01")).value == day(value)


@pytest.mark.rule("BAL-E25", "BAL-085")
def test_the_accumulated_rate_is_rounded_before_it_is_compared() -> None:
    segments = [charged("2025-01-01", None, 100000)]
    assert walk_days(segments, 7945) == day("2025-01-30")
    assert walk_days(segments, 7944) == day("2025-01-29")


@pytest.mark.rule("BAL-085")
def test_an_accumulated_rate_of_exactly_half_a_cent_more_rounds_up_and_is_not_covered() -> None:
    segments = [RateSegment(day("2025-01-01"), day("2025-02-01"), DayKind.CHARGED, Fraction(1, 2))]
    assert walk_days(segments, 1) == day("2025-01-03")
    assert walk_days(segments, 2) == day("2025-01-05")


@pytest.mark.rule("BAL-082")
def test_settled_money_is_paid_overpaid_and_written_off_for_an_eligible_reason() -> None:
    write_offs = [("SMALL_BALANCE", 12), ("BAD_DEBT", 500)]
    assert settled_amount(1000, write_offs, 30) == 1542
    assert settled_amount(1000, write_offs, 30, frozenset(("BAD_DEBT",))) == 1042


@pytest.mark.rule("BAL-092")
def test_without_a_live_invoice_there_is_no_paid_to_date() -> None:
    assert paid_to_date(E06, [], 99999, start=day("2025-01-01")).value is None


@pytest.mark.rule("BAL-095", "BAL-096", "BAL-097", "BAL-098")
def test_adjoining_absences_lower_a_value_to_the_start_of_the_first() -> None:
    absences = [
        Absence(day("2025-02-01"), day("2025-03-01"), CapReason.LAPSE),
        Absence(day("2025-03-01"), day("2025-04-01"), CapReason.MOVE),
    ]
    assert capped(day("2025-04-01"), absences) == (day("2025-02-01"), CapReason.LAPSE)
    assert capped(day("2025-04-02"), absences) == (day("2025-04-02"), None)


# --- Against the definition ------------------------------------------------------------------------------------------


def naive(segments: Sequence[RateSegment], settled: int, free_until: dt.date | None) -> dt.date | None:
    """BAL-085 word by word: one day after the other."""
    reached, spent = None, Fraction(0)
    for segment in segments:
        current = segment.start
        while current < segment.end:
            if segment.kind is not DayKind.ABSENT:
                beyond = segment.kind is DayKind.FREE and free_until is not None and current >= free_until
                if beyond or half_up(spent + segment.daily) > settled:
                    return reached
                spent += segment.daily
                reached = current + dt.timedelta(days=1)
            current += dt.timedelta(days=1)
    return reached


@st.composite
def timelines(draw: st.DrawFn) -> list[RateSegment]:
    start, segments = dt.date(2024, 2, 1), []
    for _ in range(draw(st.integers(1, 6))):
        length = draw(st.integers(1, 45))
        kind = draw(st.sampled_from(DayKind))
        annual = draw(st.one_of(st.integers(1, 400), st.integers(1000, 500000)))
        rate = Fraction(annual, draw(st.sampled_from([365, 366, 31, 2]))) if kind is DayKind.CHARGED else Fraction(0)
        segments.append(RateSegment(start, start + dt.timedelta(days=length), kind, rate))
        start += dt.timedelta(days=length + draw(st.sampled_from([0, 0, 7])))
    return segments


@given(timelines(), st.one_of(st.integers(0, 50), st.integers(0, 200000)), st.integers(-5, 200))
@settings(max_examples=200, deadline=None)
@pytest.mark.rule("BAL-085", "BAL-086")
def test_the_walk_by_segments_gives_the_answer_of_the_walk_by_days(
    segments: list[RateSegment], settled: int, limit: int
) -> None:
    free_until = None if limit < 0 else dt.date(2024, 2, 1) + dt.timedelta(days=limit)
    assert walk_days(segments, settled, free_until=free_until) == naive(segments, settled, free_until)


@given(st.lists(timelines(), min_size=1, max_size=4), st.integers(0, 200000))
@settings(max_examples=60, deadline=None)
@pytest.mark.rule("BAL-084")
def test_the_rates_of_a_group_are_the_members_rates_added_day_by_day(
    members: list[list[RateSegment]], settled: int
) -> None:
    combined = unit_segments(members)
    current, end = dt.date(2024, 2, 1), max(segment.end for member in members for segment in member)
    while current < end:
        there = [
            segment
            for member in members
            for segment in member
            if segment.start <= current < segment.end and segment.kind is not DayKind.ABSENT
        ]
        (found,) = [one for one in combined if one.start <= current < one.end] or [None]
        rate = sum((segment.daily for segment in there), Fraction(0))
        if found is None:
            assert there == []
        else:
            expected = DayKind.CHARGED if rate else DayKind.FREE if there else DayKind.ABSENT
            assert (found.kind, found.daily) == (expected, rate)
        current += dt.timedelta(days=1)
    assert walk_days(combined, settled) == naive(combined, settled, None)


def test_the_time_for_thirty_thousand_members_over_forty_years_is_that_of_their_changes_not_of_their_days() -> None:
    members = [
        [charged(f"{1985 + number % 40}-{number % 12 + 1:02d}-01", "2026-01-01", 100000 + number)]
        for number in range(30_000)
    ]
    started = time.perf_counter()
    segments = unit_segments(members)
    assert walk_days(segments, 10**9) is not None
    assert time.perf_counter() - started < 20  # a quarter of a second; day by day for each member it would be minutes
    assert len(segments) <= 40 * 12
