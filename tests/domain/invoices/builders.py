"""Lines of an invoice to build chunks from: the charge of a month for one coverage, and its waiver line."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from domain.calendar.frequency import Frequency
from domain.invoices.lines import LineChunk, LineColumns, LineKind, LinePart, LineTerms

JANUARY, FEBRUARY = dt.date(2025, 1, 1), dt.date(2025, 2, 1)

CHARGE = LineTerms(
    kind=LineKind.CHARGE,
    part=LinePart.CHARGE,
    coverage="LIFE",
    plan="P",
    coverage_class="C1",
    tier="EE",
    sub_group="",
    sequence=1,
    sequence_id="S-1",
    sequence_root="S-1",
    sequence_effective=JANUARY,
    master_policy="MP-1",
    modality=Frequency.MONTHLY,
    modal_start=JANUARY,
    modal_end=FEBRUARY,
    covered_from=JANUARY,
    covered_end=FEBRUARY,
    billing_start=JANUARY,
    billing_end=FEBRUARY,
)
WAIVER = replace(CHARGE, kind=LineKind.WAIVER_OFFSET, part=LinePart.WAIVER)


def columns(*lines: tuple[str, LineTerms, int]) -> LineColumns:
    collected = LineColumns()
    for member, terms, amount in lines:
        collected.add(member, terms, amount)
    return collected


def only_chunk(*lines: tuple[str, LineTerms, int]) -> LineChunk:
    (chunk,) = columns(*lines).chunks()
    return chunk
