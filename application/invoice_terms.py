"""Under which terms a key was billed before: for corrections of keys that cost nothing any more."""

from __future__ import annotations

from collections.abc import Iterable

from application.register import ItemRow
from domain.calendar.frequency import Frequency
from domain.invoices.lines import LineKind, LinePart, LineTerms
from domain.premium.charges import ChargeKey
from domain.premium.transactions import ItemKey


def terms_of_items(rows: Iterable[ItemRow], account: str) -> dict[ChargeKey, LineTerms]:
    """The terms of the oldest item of each key; `rows` come newest invoice first."""
    found: dict[ChargeKey, LineTerms] = {}
    for row in rows:
        item = ItemKey(row.coverage, row.plan, row.coverage_class, row.tier, row.sub_group)
        key = ChargeKey(row.member, account, item, row.sequence_root, Frequency(row.modality), row.modal_start)
        found[key] = LineTerms(
            kind=LineKind.RETRO,
            part=LinePart.CHARGE,
            coverage=row.coverage,
            plan=row.plan,
            coverage_class=row.coverage_class,
            tier=row.tier,
            sub_group=row.sub_group,
            sequence=row.sequence,
            sequence_id=row.sequence_id,
            sequence_root=row.sequence_root,
            sequence_effective=row.sequence_effective,
            master_policy=row.master_policy,
            modality=Frequency(row.modality),
            modal_start=row.modal_start,
            modal_end=row.modal_end,
            covered_from=row.covered_from,
            covered_end=row.covered_end,
            billing_start=row.billing_start,
            billing_end=row.billing_end,
            location=row.location,
            division=row.division,
        )
    return found
