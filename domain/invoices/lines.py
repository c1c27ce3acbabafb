"""Invoice lines, in columns.

An invoice may have 300,000 lines, but few different terms: most lines of a month share coverage, period and location
and differ in member and amount. A chunk of lines is therefore a small table of terms and three long columns beside it;
it is what an `InvoiceProjected` event carries and what the register stores. A line is identified by invoice and line
number, from 1. The two parts of one key, charge and waiver, stand next to each other and form one net line, which every
total, status and allocation treats as one item: the charge line carries the net, the waiver line counts nothing
(INV-007). A net line is positive (payable) or negative (credit).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from domain.calendar.frequency import Frequency

#: Lines in one event at most: bounds the size of an event and of a reader's batch.
LINES_PER_EVENT = 2_000


class LineKind(StrEnum):
    """INV-001."""

    CHARGE = "CHARGE"
    WAIVER_OFFSET = "WAIVER_OFFSET"
    RETRO = "RETRO"
    PRODUCT_ITEM = "PRODUCT_ITEM"


class LinePart(StrEnum):
    """Which part of a charge a line belongs to (PRM-121): the gross charge or the waiver line."""

    CHARGE = "CHARGE"
    WAIVER = "WAIVER"


@dataclass(frozen=True, slots=True)
class InstallmentItem:
    """What a PRODUCT_ITEM line bills: a price component (NET, TAX) of an installment of the account (CAL-130)."""

    product: str
    installment: int
    component: str


@dataclass(frozen=True, slots=True)
class LineTerms:
    """What many lines of an invoice have in common.

    Periods and covered days are half-open: `modal_end`, `billing_end` and `covered_end` are the first day after.
    `modal_start` and `modal_end` are those of the full modal period, which identifies the charge (PRM-032), and
    `sequence_root` is the root of the sequence's lineage (PRM-055). `cause` names the transaction type behind a
    retroactive line; `waiver_start` labels waived lines (INV-007). `installment` stands on PRODUCT_ITEM lines alone:
    they have no member record and no master policy, their coverage is the product, their period the installment's.
    """

    kind: LineKind
    part: LinePart
    coverage: str
    plan: str
    coverage_class: str
    tier: str
    sub_group: str
    sequence: int
    sequence_id: str
    sequence_root: str
    sequence_effective: dt.date | None
    master_policy: str
    modality: Frequency
    modal_start: dt.date
    modal_end: dt.date
    covered_from: dt.date
    covered_end: dt.date
    billing_start: dt.date
    billing_end: dt.date
    location: str | None = None
    division: str | None = None
    cause: str | None = None
    waiver_start: dt.date | None = None
    installment: InstallmentItem | None = None


@dataclass(frozen=True, slots=True)
class LineSources:
    """Transactions behind one line, where they are recorded with it (retroactive lines)."""

    line: int
    transactions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineChunk:
    """Consecutive lines in columns: line number = `first_line` + index; `term` indexes `terms`; amounts are signed.

    `counted` is what each line counts, decided when the chunk was made: a charge its amount and that of the waiver line
    behind it, that waiver line nothing (INV-007). Empty where every line counts its amount.
    """

    first_line: int
    terms: tuple[LineTerms, ...]
    members: tuple[str, ...]
    term: tuple[int, ...]
    amounts: tuple[int, ...]
    sources: tuple[LineSources, ...] = ()
    counted: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.amounts)

    def nets(self) -> tuple[int, ...]:
        """What each line counts, in minor units: its net amount as decided when the line was billed (INV-007)."""
        return self.counted or self.amounts


def _counted(
    terms: Sequence[LineTerms], members: Sequence[str], term: Sequence[int], amounts: Sequence[int]
) -> tuple[int, ...]:
    """The column `counted` of a chunk: a waiver line counts with the charge of the same key right before it."""
    waived = [one.part is LinePart.WAIVER for one in terms]
    if not any(waived):
        return ()
    keys = [_key(one) for one in terms]
    counted = list(amounts)
    for row in range(1, len(term)):
        charge, waiver = term[row - 1], term[row]
        if not waived[waiver] or waived[charge] or members[row - 1] != members[row]:
            continue
        if keys[charge] == keys[waiver]:
            counted[row - 1] += counted[row]
            counted[row] = 0
    return tuple(counted)


def _key(terms: LineTerms) -> tuple[object, ...]:
    return (
        terms.coverage,
        terms.plan,
        terms.coverage_class,
        terms.tier,
        terms.sub_group,
        terms.sequence_root,
        terms.modality,
        terms.modal_start,
        terms.location,
        terms.division,
    )


@dataclass(slots=True)
class LineColumns:
    """Lines being collected for an invoice before it is numbered; cut into chunks at the end."""

    members: list[str] = field(default_factory=list)
    terms: list[LineTerms] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    sources: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def add(self, member: str, terms: LineTerms, amount: int, sources: tuple[str, ...] = ()) -> None:
        """Add one line behind the others."""
        if sources:
            self.sources[len(self.amounts)] = sources
        self.members.append(member)
        self.terms.append(terms)
        self.amounts.append(amount)

    def __len__(self) -> int:
        return len(self.amounts)

    def chunks(self, size: int = LINES_PER_EVENT) -> Iterator[LineChunk]:
        """The lines in chunks of at most `size`, numbered from 1."""
        begin = 0
        while begin < len(self.amounts):
            end = min(begin + size, len(self.amounts))
            if end < len(self.amounts) and self.terms[end].part is LinePart.WAIVER:
                end += 1  # a waiver line stays with its charge
            index: dict[LineTerms, int] = {}
            term = tuple(index.setdefault(one, len(index)) for one in self.terms[begin:end])
            terms, members, amounts = tuple(index), tuple(self.members[begin:end]), tuple(self.amounts[begin:end])
            yield LineChunk(
                first_line=begin + 1,
                terms=terms,
                members=members,
                term=term,
                amounts=amounts,
                sources=tuple(
                    LineSources(row + 1, self.sources[row]) for row in range(begin, end) if row in self.sources
                ),
                counted=_counted(terms, members, term, amounts),
            )
            begin = end
