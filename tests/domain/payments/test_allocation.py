"""SPREAD, WALK and the automated plan: the rulebook's examples, and the laws they all obey."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.money import split_proportionally
from domain.payments.allocation import (
    ActiveWriteOff,
    Need,
    OpenAccount,
    OpenItems,
    Permissions,
    PriorityKey,
    SpreadSettings,
    WriteOffKind,
    plan_allocation,
    set_aside_changed,
    share_proportionally,
    spread,
    walk,
)
from domain.payments.classification import Explanation
from domain.payments.targets import Instruction
from tests.domain.payments.builders import Row, by_invoice, by_line, cents, open_invoices, open_items, simple

PERIOD, SEQUENCE, PRODUCT = PriorityKey.INVOICING_PERIOD, PriorityKey.PREMIUM_SEQUENCE, PriorityKey.PRODUCT
OFF = SpreadSettings()
ON = SpreadSettings(use_priority_rules=True)


def amounts(lines: object, rows: list[Row]) -> list[int]:
    """What each row got, in the order of the rows."""
    got = by_line(lines)
    counts: dict[str, int] = {}
    result = []
    for row in rows:
        counts[row.invoice] = counts.get(row.invoice, 0) + 1
        result.append(got.get((row.invoice, counts[row.invoice]), 0))
    return result


@pytest.mark.rule("PAY-E01", "PAY-041", "PAY-042")
@pytest.mark.parametrize(
    ("spread_settings", "expected"),
    [
        (OFF, ["78.57", "31.43", "78.57", "31.43"]),
        (ON, ["100.00", "40.00", "57.14", "22.86"]),
        (SpreadSettings(True, (PERIOD, PRODUCT), {"DENTAL": 1, "VISION": 2}), ["100.00", "40.00", "80.00", "0.00"]),
        (SpreadSettings(True, (PRODUCT,), {"DENTAL": 1, "VISION": 2}), ["100.00", "20.00", "100.00", "0.00"]),
        (SpreadSettings(True, (PRODUCT, PERIOD), {"DENTAL": 1, "VISION": 2}), ["100.00", "20.00", "100.00", "0.00"]),
    ],
)
def test_priority_groups_are_covered_one_after_another(spread_settings: SpreadSettings, expected: list[str]) -> None:
    rows = [
        Row("INV-1", 10000, coverage="DENTAL"),
        Row("INV-1", 4000, coverage="VISION"),
        Row("INV-2", 10000, coverage="DENTAL"),
        Row("INV-2", 4000, coverage="VISION"),
    ]
    lines, rest = spread(open_items(rows), open_invoices("INV-1", "INV-2"), spread_settings, 22000)
    assert rest == 0
    assert amounts(lines, rows) == [cents(one) for one in expected]


@pytest.mark.rule("PAY-E02", "PAY-043")
@pytest.mark.parametrize(
    ("amount", "dues", "expected"),
    [
        ("100.00", ["50.00", "50.00", "50.00"], ["33.33", "33.33", "33.34"]),
        ("0.02", ["0.01", "0.01", "0.01"], ["0.01", "0.01", "0.00"]),
        ("19.99", ["10.00", "9.99", "0.01"], ["10.00", "9.99", "0.00"]),
        (
            "5,000,000.00",
            ["1,234,567.89", "7,654,321.11", "333,333.33"],
            ["669,344.03", "4,149,933.08", "180,722.89"],
        ),
    ],
)
def test_a_proportional_share_puts_the_difference_on_the_last_item(
    amount: str, dues: list[str], expected: list[str]
) -> None:
    assert share_proportionally(cents(amount), [cents(due) for due in dues]) == [cents(one) for one in expected]


E03 = [
    Row("INV-1", 4000, coverage="A", sequence_date=dt.date(2024, 1, 1)),
    Row("INV-1", 3000, coverage="B", sequence_date=dt.date(2025, 1, 15)),
    Row("INV-1", 2001, coverage="D", sequence_date=dt.date(2025, 1, 15)),
    Row("INV-1", 1000, coverage="E"),
    Row("INV-1", 1500, coverage="F", sequence_date=dt.date(2025, 1, 15), billing_start=dt.date(2024, 12, 1)),
]


@pytest.mark.rule("PAY-E03", "PAY-040", "PAY-042")
@pytest.mark.parametrize(
    ("spread_settings", "expected"),
    [
        (ON, [4000, 1500, 1000, 0, 1500]),
        (SpreadSettings(True, (SEQUENCE, PERIOD)), [4000, 1500, 1000, 0, 1500]),
        (OFF, [2782, 2087, 1392, 696, 1043]),
    ],
)
def test_earlier_periods_and_sequences_come_first_and_a_missing_sequence_date_last(
    spread_settings: SpreadSettings, expected: list[int]
) -> None:
    lines, rest = spread(open_items(E03), open_invoices("INV-1"), spread_settings, 8000)
    assert rest == 0
    assert amounts(lines, E03) == expected


@pytest.mark.rule("PAY-042")
@pytest.mark.parametrize(
    ("configured", "effective"),
    [
        ((), (PERIOD, SEQUENCE)),
        ((SEQUENCE,), (PERIOD, SEQUENCE)),
        ((PRODUCT,), (PRODUCT, PERIOD)),
        ((PRODUCT, SEQUENCE), (PRODUCT, PERIOD, SEQUENCE)),
        ((SEQUENCE, PERIOD), (SEQUENCE, PERIOD)),
    ],
)
def test_the_invoicing_period_is_completed_in_the_priority_order(
    configured: tuple[PriorityKey, ...], effective: tuple[PriorityKey, ...]
) -> None:
    assert SpreadSettings(True, configured).effective_order == effective


NONE = Permissions(gaps=False, mismatched_amounts=False, partial_coverage=False)
MISMATCH = Permissions(gaps=False, mismatched_amounts=True, partial_coverage=False)
BOTH = Permissions(gaps=False, mismatched_amounts=True, partial_coverage=True)
GAP = Permissions(gaps=True, mismatched_amounts=False, partial_coverage=False)


@pytest.mark.rule("PAY-E04", "PAY-048", "PAY-049", "PAY-050", "PAY-033")
@pytest.mark.parametrize(
    ("amount", "reference", "permissions", "expected", "explanation"),
    [
        (30000, None, NONE, {"INV-1": 10000, "INV-2": 20000}, None),
        (30000, None, MISMATCH, {"INV-1": 10000, "INV-2": 20000}, None),
        (15000, None, NONE, {}, Explanation.MISMATCH_NOT_ALLOWED),
        (15000, None, MISMATCH, {}, Explanation.PARTIAL_NOT_ALLOWED),
        (15000, None, BOTH, {"INV-1": 10000, "INV-2": 5000}, None),
        (50000, None, NONE, {}, Explanation.MISMATCH_NOT_ALLOWED),
        (50000, None, MISMATCH, {"INV-1": 10000, "INV-2": 20000, "INV-3": 15000}, Explanation.EXCESS),
        (50000, None, BOTH, {"INV-1": 10000, "INV-2": 20000, "INV-3": 15000}, Explanation.EXCESS),
        (20000, "INV-2", NONE, {}, Explanation.GAP_NOT_ALLOWED),
        (20000, "INV-2", MISMATCH, {}, Explanation.GAP_NOT_ALLOWED),
        (20000, "INV-2", BOTH, {}, Explanation.GAP_NOT_ALLOWED),
        (30000, "INV-2", NONE, {}, Explanation.MISMATCH_NOT_ALLOWED),
        (30000, "INV-2", MISMATCH, {"INV-1": 10000, "INV-2": 20000}, None),
        (20000, "INV-2", GAP, {"INV-2": 20000}, None),
    ],
)
def test_an_automated_plan_is_executed_only_with_every_permission_it_needs(
    amount: int,
    reference: str | None,
    permissions: Permissions,
    expected: dict[str, int],
    explanation: Explanation | None,
) -> None:
    items, invoices = simple(INV_1=10000, INV_2=20000, INV_3=15000)
    instructions = [Instruction(amount, reference)] if reference else []
    plan = plan_allocation(amount, instructions, OpenAccount(items, invoices, OFF), permissions)
    assert by_invoice(plan.lines) == expected
    assert plan.unapplied == amount - sum(expected.values())
    assert plan.explanation == explanation


@pytest.mark.rule("PAY-E04", "PAY-049")
def test_an_older_invoice_under_tolerance_is_no_gap() -> None:
    items, _ = simple(INV_1=10000, INV_2=20000, INV_3=15000)
    invoices = open_invoices("INV-1", "INV-2", "INV-3", tolerated=["INV-1"])
    plan = plan_allocation(20000, [Instruction(20000, "INV-2")], OpenAccount(items, invoices, OFF), NONE)
    assert by_invoice(plan.lines) == {"INV-2": 20000}
    assert plan.needs == frozenset()


@pytest.mark.rule("PAY-E05", "PAY-048")
def test_residue_is_walked_on_top_of_what_was_instructed() -> None:
    items, invoices = simple(INV_1=30000, INV_2=15000, INV_3=20000)
    asked = [Instruction(10000, "INV-1"), Instruction(25000, "INV-3")]
    plan = plan_allocation(35000, asked, OpenAccount(items, invoices, OFF), BOTH)
    assert by_invoice(plan.lines) == {"INV-1": 15000, "INV-3": 20000}
    assert plan.unapplied == 0
    for permissions in (
        Permissions(mismatched_amounts=False),
        Permissions(partial_coverage=False),
    ):
        refused = plan_allocation(35000, asked, OpenAccount(items, invoices, OFF), permissions)
        assert (refused.executed, refused.lines, refused.unapplied) == (False, (), 35000)


@pytest.mark.rule("PAY-E05", "PAY-049")
def test_a_plan_that_covers_what_it_touches_needs_mismatch_only() -> None:
    items, invoices = simple(INV_1=30000, INV_2=15000, INV_3=20000)
    asked = [Instruction(10000, "INV-1"), Instruction(40000, "INV-3")]
    plan = plan_allocation(50000, asked, OpenAccount(items, invoices, OFF), MISMATCH)
    assert by_invoice(plan.lines) == {"INV-1": 30000, "INV-3": 20000}
    assert plan.needs == {Need.MISMATCH}


@pytest.mark.rule("PAY-048")
def test_several_instructions_for_one_invoice_count_as_one_reference() -> None:
    items, invoices = simple(INV_1=30000)
    asked = [Instruction(10000, "INV-1"), Instruction(20000, "INV-1")]
    plan = plan_allocation(30000, asked, OpenAccount(items, invoices, OFF), NONE)
    assert plan.executed
    assert plan.needs == frozenset()


@pytest.mark.rule("PAY-048", "PAY-033")
def test_items_of_a_member_with_a_requested_cancellation_are_not_taken_automatically() -> None:
    rows = [Row("INV-1", 6000, member="MR-1"), Row("INV-1", 4000, member="MR-2", withheld=True)]
    plan = plan_allocation(10000, [], OpenAccount(open_items(rows), open_invoices("INV-1")), BOTH)
    assert by_line(plan.lines) == {("INV-1", 1): 6000}
    assert plan.unapplied == 4000
    assert plan.explanation is Explanation.CANCELLATION_REQUESTED


@pytest.mark.rule("PAY-030", "PAY-033")
def test_money_whose_target_changed_is_set_aside_and_not_tested() -> None:
    asked = [Instruction(30000, "INV-1"), Instruction(20000, "INV-2")]
    kept, aside = set_aside_changed(asked, {"INV-1": 30000, "INV-2": 20000}, {"INV-1": 30000})
    assert (kept, aside) == ([Instruction(30000, "INV-1")], 20000)
    items, invoices = simple(INV_1=30000)
    plan = plan_allocation(
        30000, kept, OpenAccount(items, invoices, OFF), NONE, accepted_references=asked, set_aside=aside
    )
    assert by_invoice(plan.lines) == {"INV-1": 30000}
    assert plan.explanation is Explanation.TARGET_CHANGED


@pytest.mark.rule("PAY-030")
def test_a_target_still_due_in_part_keeps_that_part_of_its_instruction() -> None:
    kept, aside = set_aside_changed([Instruction(30000, "INV-1")], {"INV-1": 25000}, {"INV-1": 10000})
    assert (kept, aside) == ([Instruction(15000, "INV-1")], 15000)


@pytest.mark.rule("PAY-045", "PAY-048")
def test_a_small_balance_write_off_gives_way_to_an_instructed_amount() -> None:
    rows = [Row("INV-1", 0, coverage="A"), Row("INV-1", 0, coverage="B"), Row("INV-2", 5000)]
    written_off = ActiveWriteOff("WO-1", "INV-1", WriteOffKind.SMALL_BALANCE, 1, (1, 2), (150, 50))
    plan = plan_allocation(
        200,
        [Instruction(200, "INV-1")],
        OpenAccount(open_items(rows), open_invoices("INV-1", "INV-2"), OFF, [written_off]),
        Permissions(gaps=True, mismatched_amounts=False, partial_coverage=False),
    )
    assert by_line(plan.lines) == {("INV-1", 1): 150, ("INV-1", 2): 50}
    assert plan.reversed_write_offs == ("WO-1",)


@pytest.mark.rule("PAY-044")
def test_a_walk_covers_the_oldest_invoice_before_it_touches_the_next() -> None:
    rows = [Row("INV-2", 100, coverage="A"), Row("INV-1", 300, coverage="A"), Row("INV-1", 100, coverage="B")]
    lines, rest = walk(open_items(rows), open_invoices("INV-1", "INV-2"), OFF, 450)
    assert by_line(lines) == {("INV-1", 1): 300, ("INV-1", 2): 100, ("INV-2", 1): 50}
    assert rest == 0


@pytest.mark.rule("PAY-043")
def test_a_difference_larger_than_the_last_share_goes_on_to_the_shares_before_it() -> None:
    assert share_proportionally(3, [1] * 6) == [1, 1, 1, 0, 0, 0]
    assert share_proportionally(7, [3, 3, 3, 1]) == [2, 2, 2, 1]


@given(
    st.integers(0, 10**9),
    st.one_of(
        st.lists(st.integers(0, 10**6), min_size=1, max_size=12), st.lists(st.integers(0, 3), min_size=1, max_size=30)
    ).filter(any),
)
@settings(max_examples=150, deadline=None)
@pytest.mark.rule("PAY-043")
def test_shares_add_up_and_stay_between_zero_and_the_due(amount: int, dues: list[int]) -> None:
    amount %= sum(dues) + 1
    shares = share_proportionally(amount, dues)
    assert sum(shares) == amount
    assert all(0 <= share <= due for share, due in zip(shares, dues, strict=True))
    assert shares == split_proportionally(amount, dues, dues)


items_of_two_invoices = st.lists(
    st.builds(
        Row,
        invoice=st.sampled_from(["INV-1", "INV-2", "INV-3"]),
        due=st.integers(0, 5000),
        member=st.sampled_from(["MR-1", "MR-2"]),
        coverage=st.sampled_from(["DENTAL", "VISION"]),
        sequence_date=st.sampled_from([None, dt.date(2024, 1, 1), dt.date(2025, 1, 1)]),
        billing_start=st.sampled_from([None, dt.date(2024, 12, 1)]),
    ),
    max_size=14,
)
every_setting = st.builds(
    SpreadSettings,
    use_priority_rules=st.booleans(),
    order=st.lists(st.sampled_from(PriorityKey), unique=True, max_size=3).map(tuple),
    product_priority=st.sampled_from([{}, {"DENTAL": 1}, {"VISION": 1, "DENTAL": 2}]),
)


@given(items_of_two_invoices, every_setting, st.integers(0, 60000))
@settings(max_examples=150, deadline=None)
@pytest.mark.rule("PAY-041", "PAY-044")
def test_a_spread_or_walk_places_all_it_can_and_never_more_than_is_due(
    rows: list[Row], spread_settings: SpreadSettings, amount: int
) -> None:
    items, invoices = open_items(rows), open_invoices("INV-1", "INV-2", "INV-3")
    for distribute in (spread, walk):
        lines, rest = distribute(items, invoices, spread_settings, amount)
        got = amounts(lines, rows)
        assert all(0 <= one <= row.due for one, row in zip(got, rows, strict=True))
        assert sum(got) + rest == amount
        assert rest == max(0, amount - sum(row.due for row in rows))


@given(items_of_two_invoices, every_setting, st.integers(0, 60000), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
@pytest.mark.rule("PAY-040")
def test_the_order_in_which_items_are_read_never_changes_who_gets_what(
    rows: list[Row], spread_settings: SpreadSettings, amount: int, shuffler: object
) -> None:
    items, invoices = open_items(rows), open_invoices("INV-1", "INV-2", "INV-3")
    order = list(range(len(rows)))
    shuffler.shuffle(order)
    shuffled = OpenItems(
        *(
            [column[row] for row in order]
            for column in (getattr(items, name) for name in OpenItems.__dataclass_fields__)
        )
    )
    straight, _ = walk(items, invoices, spread_settings, amount)
    mixed, _ = walk(shuffled, invoices[::-1], spread_settings, amount)
    assert by_line(straight) == by_line(mixed)


def many(count: int) -> OpenItems:
    """`count` open items over three invoices."""
    return OpenItems(
        invoices=[f"INV-{row * 3 // count + 1}" for row in range(count)],
        lines=[row + 1 for row in range(count)],
        members=[f"MR-{row:06d}" for row in range(count)],
        coverages=["DENTAL"] * count,
        sequences=[1] * count,
        sequence_dates=[dt.date(2024, 1, 1)] * count,
        billing_starts=[dt.date(2025, 1, 1)] * count,
        modal_starts=[dt.date(2025, 1, 1)] * count,
        products=["DENTAL"] * count,
        due=[1000 + row % 7 for row in range(count)],
    )


def test_the_time_for_thirty_thousand_open_items_does_not_grow_with_their_square() -> None:
    items, invoices = many(30_000), open_invoices("INV-1", "INV-2", "INV-3")
    started = time.perf_counter()
    plan = plan_allocation(sum(items.due), [], OpenAccount(items, invoices, OFF), NONE)
    assert time.perf_counter() - started < 10  # a fifth of a second; every pair of items would take minutes
    assert plan.allocated == sum(items.due)
