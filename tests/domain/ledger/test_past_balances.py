"""The figures of an account at a past moment, out of what its control accounts held then."""

from __future__ import annotations

import pytest

from domain.balances.balances import Buckets
from domain.ledger.past_balances import ControlBalance, PastDue, past_balances


@pytest.mark.rule("BAL-013")
def test_what_was_billed_is_what_is_due_was_paid_or_written_off() -> None:
    # Invoice 1: 100.00, of it 60.00 paid, 5.00 written off. Invoice 2: 80.00 and a credit of 30.00, nothing paid.
    found = past_balances(
        [
            ControlBalance("INV-1", "1100", 3500, 6000),
            ControlBalance("INV-1", "5010", 500, 0),
            ControlBalance("INV-2", "1100", 8000, 0),
            ControlBalance("INV-2", "1110", -3000, 0),
            ControlBalance(None, "2100", -1500, 1500),
            ControlBalance(None, "2110", -200, 0),
            ControlBalance(None, "2120", -100, 0),
        ]
    )
    assert (found.remaining_due, found.open_credit, found.total_paid, found.written_off) == (11500, 3000, 6000, 500)
    assert found.total_billed == 10000 + 8000 - 3000
    assert found.buckets == Buckets(1500, 200, 100)
    assert found.invoices == {"INV-1": PastDue(3500, 0, 6000), "INV-2": PastDue(8000, 3000, 0)}


def test_an_account_without_entries_owed_nothing() -> None:
    found = past_balances([])
    assert (found.remaining_due, found.open_credit, found.total_billed, found.total_paid) == (0, 0, 0, 0)
    assert (found.buckets, found.invoices) == (Buckets(), {})
