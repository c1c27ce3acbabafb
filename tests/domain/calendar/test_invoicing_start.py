"""The invoicing start date: derived, aligned, set by hand, kept, rebuilt."""

from __future__ import annotations

import pytest

from domain.calendar.frequency import Frequency
from domain.calendar.invoicing_start import (
    AlignmentRule,
    InvoicingStart,
    StartAfterProduct,
    StartAlignment,
    after_product,
    after_rewrite,
    derived_start,
    earliest_effective_date,
    manual_start_problems,
)
from domain.calendar.periods import InvoicingGrid
from tests.domain.calendar.builders import D, codes, dates

PLAIN = AlignmentRule()
START = InvoicingStart(D("2024-03-31"))
GRID = InvoicingGrid.starting(D("2024-03-31"), Frequency.MONTHLY)


def product_added(effective: str, **facts: object) -> StartAfterProduct:
    values: dict[str, object] = {
        "earliest_effective": D(effective),
        "ever_invoiced": False,
        "moved_member": False,
        "rule": PLAIN,
        **facts,
    }
    return after_product(START, GRID, D("2024-03-31"), D(effective), **values)  # type: ignore[arg-type]


@pytest.mark.rule("CAL-038")
def test_the_earliest_effective_date_is_that_of_master_policies_else_of_products() -> None:
    assert earliest_effective_date(dates("2024-05-01", "04-15"), dates("2024-01-01")) == D("2024-04-15")
    assert earliest_effective_date([], dates("2024-05-01", "02-10")) == D("2024-02-10")
    assert earliest_effective_date([], []) is None


@pytest.mark.rule("CAL-038", "CAL-039")
@pytest.mark.parametrize(
    ("rule", "frequency", "expected"),
    [
        (AlignmentRule(), Frequency.MONTHLY, "2024-05-16"),
        (AlignmentRule(StartAlignment.MONTH_START), Frequency.MONTHLY, "2024-05-01"),
        (AlignmentRule(StartAlignment.MONTH_START), Frequency.SEMI_MONTHLY, "2024-05-01"),
        (AlignmentRule(StartAlignment.MONTH_START), Frequency.WEEKLY, "2024-05-16"),
        (AlignmentRule(StartAlignment.WEEK_START), Frequency.WEEKLY, "2024-05-13"),
        (AlignmentRule(StartAlignment.WEEK_START, 4), Frequency.BIWEEKLY, "2024-05-16"),
        (AlignmentRule(StartAlignment.WEEK_START, 5), Frequency.BIWEEKLY, "2024-05-10"),
        (AlignmentRule(StartAlignment.WEEK_START), Frequency.MONTHLY, "2024-05-16"),
    ],
)
def test_the_invoicing_start_is_the_aligned_earliest_effective_date(
    rule: AlignmentRule, frequency: Frequency, expected: str
) -> None:
    assert D("2024-05-16").isoweekday() == 4
    assert derived_start(None, D("2024-05-16"), frequency, rule) == InvoicingStart(D(expected))


@pytest.mark.rule("CAL-040")
def test_a_manual_start_needs_no_invoice_and_a_date_up_to_the_earliest_effective_one() -> None:
    assert manual_start_problems(D("2024-05-16"), D("2024-05-16"), invoice_exists=False) == []
    assert manual_start_problems(D("2024-01-01"), None, invoice_exists=False) == []
    refused = manual_start_problems(D("2024-05-17"), D("2024-05-16"), invoice_exists=True)
    assert codes(refused) == ["INVOICING_START_LOCKED", "INVOICING_START_INVALID"]


@pytest.mark.rule("CAL-040")
def test_the_default_does_not_overwrite_a_manual_start_while_it_lies_before_the_policy() -> None:
    manual = InvoicingStart(D("2024-05-01"), manual=True)
    assert derived_start(manual, D("2024-05-16"), Frequency.MONTHLY, PLAIN) == manual
    assert derived_start(manual, D("2024-05-01"), Frequency.MONTHLY, PLAIN) == manual
    assert derived_start(manual, D("2024-04-16"), Frequency.MONTHLY, PLAIN) == InvoicingStart(D("2024-04-16"))
    derived = InvoicingStart(D("2024-05-01"))
    assert derived_start(derived, D("2024-05-16"), Frequency.MONTHLY, PLAIN) == InvoicingStart(D("2024-05-16"))


@pytest.mark.rule("CAL-041")
def test_before_any_invoice_an_earlier_product_derives_the_start_again() -> None:
    found = product_added("2024-01-15")
    assert found.start == InvoicingStart(D("2024-01-15"))
    assert found.grid == InvoicingGrid.starting(D("2024-01-15"), Frequency.MONTHLY)
    assert found.earliest == D("2024-01-15")


@pytest.mark.rule("CAL-041")
@pytest.mark.parametrize("facts", [{"ever_invoiced": True}, {"moved_member": True}])
def test_after_an_invoice_or_for_a_moved_member_earlier_periods_open_instead(facts: dict[str, object]) -> None:
    found = product_added("2024-01-15", **facts)
    assert (found.start, found.grid) == (START, GRID)
    assert found.earliest == D("2023-12-31")


@pytest.mark.rule("CAL-041")
def test_a_product_within_the_periods_changes_nothing() -> None:
    found = product_added("2024-03-31", earliest_effective=D("2024-03-31"))
    assert found == StartAfterProduct(START, GRID, D("2024-03-31"))


@pytest.mark.rule("CAL-042")
def test_a_rewrite_sets_the_start_again_and_rebuilds_the_whole_grid() -> None:
    manual = InvoicingStart(D("2024-02-15"), manual=True)
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(Frequency.MONTHLY, D("2024-04-25"))
    found = after_rewrite(manual, grid, D("2024-02-01"), D("2024-03-10"), PLAIN)
    assert found == StartAfterProduct(
        InvoicingStart(D("2024-03-10")), InvoicingGrid.starting(D("2024-03-10"), Frequency.MONTHLY), D("2024-03-10")
    )


@pytest.mark.rule("CAL-042")
def test_a_rewrite_to_the_same_start_keeps_the_grid_but_ends_a_manual_start() -> None:
    manual = InvoicingStart(D("2024-02-15"), manual=True)
    grid = InvoicingGrid.starting(D("2024-02-15"), Frequency.WEEKLY).with_frequency(Frequency.MONTHLY, D("2024-04-25"))
    found = after_rewrite(manual, grid, D("2024-02-01"), D("2024-02-15"), PLAIN)
    assert found == StartAfterProduct(InvoicingStart(D("2024-02-15")), grid, D("2024-02-01"))
