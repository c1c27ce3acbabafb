"""States stored beside their streams: what is written is read again as it was."""

from __future__ import annotations

import datetime as dt
import itertools

from domain.accounts.account import ACCOUNT, InvoicingPeriodInvoiced
from infrastructure.event_store.streams import state_of, state_text


def test_a_state_with_a_mapping_by_date_comes_back_as_it_was() -> None:
    months = [dt.date(2025, month, 1) for month in range(1, 13)]
    state = ACCOUNT.fold(
        InvoicingPeriodInvoiced(
            number="LB000000018",
            period_start=start,
            period_end=end,
            invoice=f"INV-{start:%m}",
            due_date=start,
        )
        for start, end in itertools.pairwise(months)
    )
    assert len(state.periods) == 11
    assert state_of(ACCOUNT, state_text(state)) == state
