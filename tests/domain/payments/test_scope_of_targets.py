"""Targets are served on the items they concern as they are on the whole account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.errors import Refusal
from domain.payments.allocation import OpenAccount, OpenItems, PriorityKey, SpreadSettings
from domain.payments.classification import AccountKind, Bucket
from domain.payments.distribution import Distribution
from domain.payments.manual_allocation import Scope, TargetFacts, distribute_to_targets, scope_of_targets
from domain.payments.receiving import NamedInvoice
from domain.payments.targets import Remainder, Target, TargetKind
from tests.domain.payments.builders import Row, open_invoices, open_items

INVOICES = ("INV-1", "INV-2", "INV-3")
MEMBERS = ("MR-1", "MR-2", "MR-3")

_rows = st.lists(
    st.builds(
        Row,
        invoice=st.sampled_from(INVOICES),
        due=st.integers(0, 400),
        member=st.sampled_from(MEMBERS),
        coverage=st.sampled_from(["DENTAL", "VISION"]),
        sequence_date=st.sampled_from([None, dt.date(2024, 1, 1), dt.date(2025, 1, 1)]),
    ),
    min_size=1,
    max_size=14,
)
_amounts = st.integers(1, 300)
_targets = st.lists(
    st.one_of(
        st.builds(Target, st.just(TargetKind.INVOICE), _amounts, invoice=st.sampled_from(INVOICES)),
        st.builds(
            Target,
            st.just(TargetKind.INVOICE_MEMBER),
            _amounts,
            invoice=st.sampled_from(INVOICES),
            member_record=st.sampled_from(MEMBERS),
        ),
        st.builds(Target, st.just(TargetKind.MEMBER), _amounts, member_record=st.sampled_from(MEMBERS)),
    ),
    max_size=3,
)
_settings = st.builds(
    SpreadSettings,
    use_priority_rules=st.booleans(),
    order=st.lists(st.sampled_from(PriorityKey), unique=True, max_size=3).map(tuple),
)


def _inside(items: OpenItems, scope: Scope) -> OpenItems:
    """The rows of a scope, in the order in which they are read: members' first, then invoice by invoice."""
    of_members = [
        row
        for row in range(len(items))
        if items.members[row] in scope.members and items.invoices[row] not in scope.invoices
    ]
    order = of_members + [row for one in scope.invoices for row in items.rows_of(invoice=one)]
    columns = (getattr(items, name) for name in OpenItems.__dataclass_fields__)
    return OpenItems(*([column[row] for row in order] for column in columns))


def _served(
    items: OpenItems, spread: SpreadSettings, amount: int, targets: Sequence[Target], remainder: Remainder, whose: str
) -> Distribution:
    named = {number: NamedInvoice(number, "BA-1", False) for number in INVOICES}
    account = OpenAccount(items, open_invoices(*INVOICES), spread)
    facts = TargetFacts("BA-1", AccountKind.LIST_BILL_INDIVIDUAL, account, named, MEMBERS)
    source = Bucket.MEMBER_UNAPPLIED if whose else Bucket.UNAPPLIED
    return distribute_to_targets(amount, targets, remainder, facts, source=source, member=whose or None)


@given(_rows, _settings, _targets, st.integers(0, 300), st.sampled_from(Remainder), st.sampled_from(["", "MR-1"]))
@settings(max_examples=300, deadline=None)
def test_targets_get_the_same_whether_the_rest_of_the_account_is_known_or_not(
    rows: list[Row], spread: SpreadSettings, targets: list[Target], more: int, remainder: Remainder, whose: str
) -> None:
    scope = scope_of_targets(targets, remainder, whose or None)
    assume(scope is not None)
    assert scope is not None
    items, amount = open_items(rows), sum(target.amount for target in targets) + more
    try:
        whole = _served(items, spread, amount, targets, remainder, whose)
    except Refusal:
        # What is wrong is wrong on fewer items too; which code it has is told from the whole account.
        with pytest.raises(Refusal):
            _served(_inside(items, scope), spread, amount, targets, remainder, whose)
        return
    part = _served(_inside(items, scope), spread, amount, targets, remainder, whose)
    assert _plain(part) == _plain(whole)


def _plain(done: Distribution) -> tuple[object, ...]:
    lines = [(part.invoice, sorted(zip(part.lines, part.amounts, strict=True))) for part in done.lines]
    return lines, done.overpayments, done.rest, done.explanation, done.warnings


def test_what_is_walked_over_the_account_needs_all_of_it() -> None:
    of_invoice = Target(TargetKind.INVOICE, 1, invoice="INV-1")
    of_policy = Target(TargetKind.MASTER_POLICY, 1, master_policy="MP-1")
    of_member = Target(TargetKind.MEMBER, 1, member_record="MR-2")
    assert scope_of_targets([of_invoice], Remainder.DISTRIBUTE) is None
    assert scope_of_targets([of_policy], Remainder.KEEP_UNAPPLIED) is None
    assert scope_of_targets([], Remainder.DISTRIBUTE, "MR-1") == Scope((), ("MR-1",))
    assert scope_of_targets([], Remainder.KEEP_UNAPPLIED) == Scope((), ())
    assert scope_of_targets([of_member, of_invoice], None) == Scope(("INV-1",), ("MR-2",))
