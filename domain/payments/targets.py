"""What a payer, a user or a file names as the place of money: the target of an allocation (PAY-064).

A target is asked for, never guaranteed: what it takes is decided by `domain.payments.manual_allocation` on the dues of
the moment. Drafts and preset allocations store targets as they were given.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TargetKind(StrEnum):
    INVOICE = "INVOICE"
    INVOICE_MEMBER = "INVOICE_MEMBER"
    MEMBER = "MEMBER"
    MASTER_POLICY = "MASTER_POLICY"
    UNAPPLIED = "UNAPPLIED"


#: What a target of each kind names; a field it has no use for is a mistake of whoever sends it (PAY-064, PAY-100).
NAMED_BY_KIND: dict[TargetKind, frozenset[str]] = {
    TargetKind.INVOICE: frozenset(("invoice",)),
    TargetKind.INVOICE_MEMBER: frozenset(("invoice", "member_record")),
    TargetKind.MEMBER: frozenset(("member_record",)),
    TargetKind.MASTER_POLICY: frozenset(("master_policy",)),
    TargetKind.UNAPPLIED: frozenset(),
}


class Remainder(StrEnum):
    """What becomes of money that no target takes (PAY-067)."""

    DISTRIBUTE = "DISTRIBUTE"
    KEEP_UNAPPLIED = "KEEP_UNAPPLIED"


@dataclass(frozen=True, slots=True)
class Target:
    """One target and its amount in minor units; the fields that its kind does not use are None."""

    kind: TargetKind
    amount: int
    invoice: str | None = None
    member_record: str | None = None
    master_policy: str | None = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """Money that came with a designation: an invoice and an amount, or an amount for the account alone (PAY-025)."""

    amount: int
    invoice: str | None = None
