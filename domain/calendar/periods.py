"""Periods: where an invoicing or modal period starts and ends, for any frequency, anchor and day.

The one trick: a period start is a function of the anchor, the frequency and a number k alone (CAL-043), never of the
start before it. So nothing drifts (31 January, 28 February, 31 March), any period is found at once from any day, and
two neighbours agree on their boundary because it is the same function value: `end(k) = start(k + 1)`.

Three layers, each on the one before:

- the boundary functions `start_of`, `index_at`, `period_at`: one anchor, one frequency, for all k of any sign;
- `InvoicingGrid`: the periods of an account, a chain of sequences, each with its own frequency, that meet on the first
  day of the later one, if need be with a partial *stub* in front of it (CAL-051 to CAL-055);
- `ModalGrid`: the modal periods of a premium, one anchor, cut where the modality changes and where the term ends
  (CAL-101 to CAL-104).

    invoicing    |--weekly--|--weekly--|-stub-|------monthly------|------monthly------|
                 ISD                   S      A (aligned with the ISD's day)

    modal        |------monthly--|              the monthly grid up to the change
                                 |--|--biweekly--|--biweekly--|   the biweekly grid of the same anchor from the change

Alignment: the *aligned date* of a month is the anchor's day limited to the month's length, and the last day of every
month when the anchor is itself a month end. Both are "day d limited to the month", with d = 31 in the second case, so
a single number holds all there is to know about an anchor's alignment.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Self

from domain.calendar.frequency import Frequency
from domain.calendar.months import day_of_month, is_month_end, month_number

_DAY = dt.timedelta(days=1)
_HALF_MONTH = dt.timedelta(days=15)

#: Upper bound of each cache below, in periods: an installation's anchors times the periods of a few years.
_CACHED = 1 << 15


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A half-open interval of days `[start, end)`; `partial` when shorter than its frequency makes it (CAL-055)."""

    start: dt.date
    end: dt.date
    partial: bool = field(default=False, compare=False)

    @property
    def to(self) -> dt.date:
        """The last day of the period, inclusive, as it is shown."""
        return self.end - _DAY

    @property
    def days(self) -> int:
        """Number of days in the period."""
        return (self.end - self.start).days

    def __contains__(self, day: dt.date) -> bool:
        return self.start <= day < self.end


def alignment_day(anchor: dt.date, sticky: bool = True) -> int:
    """The day 1-31 that, limited to a month's length, is its aligned date: 31 for a month end (CAL-045, CAL-046).

    With `sticky` false (`period.month_end_sticky`) a month end counts as its own day number.
    """
    return 31 if sticky and is_month_end(anchor) else anchor.day


def aligned_date(anchor: dt.date, month: int, sticky: bool = True) -> dt.date:
    """The aligned date of a month, given by its month number (CAL-045)."""
    return day_of_month(month, alignment_day(anchor, sticky))


@dataclass(frozen=True, slots=True)
class _Steps:
    """The starts of a sequence: every `days` from an ordinal, every `months` from a month number, else half months.

    `origin` is that ordinal or month number, `align` the alignment day, `half` the half of the origin month (0 or 1)
    with which a semi-monthly sequence begins.
    """

    origin: int
    days: int
    months: int
    align: int
    half: int

    def start_of(self, k: int) -> dt.date:
        if self.days:
            return dt.date.fromordinal(self.origin + k * self.days)
        if self.months:
            return day_of_month(self.origin + k * self.months, self.align)
        months, half = divmod(k + self.half, 2)
        start = day_of_month(self.origin + months, self.align)
        return start + _HALF_MONTH if half else start

    def index_at(self, day: dt.date) -> int:
        if self.days:
            return (day.toordinal() - self.origin) // self.days
        month = month_number(day)
        if self.months:
            k, rest = divmod(month - self.origin, self.months)
            return k - 1 if rest == 0 and day < day_of_month(month, self.align) else k
        start = day_of_month(month, self.align)
        if day < start:
            month -= 1
            start = day_of_month(month, self.align)
        return 2 * (month - self.origin) + (day - start >= _HALF_MONTH) - self.half


@lru_cache(maxsize=4096)
def _steps(reference: dt.date, first_day: dt.date, frequency: Frequency, sticky: bool) -> _Steps:
    """The steps of the sequence that begins on `first_day`, aligned with `reference` (CAL-053).

    `start(0)` is `first_day` itself for CYCLE, and for PERIOD the first aligned date (semi-monthly also: aligned date
    plus 15 days) on or after it.
    """
    if frequency.is_cycle:
        return _Steps(first_day.toordinal(), frequency.days, 0, 0, 0)
    align = alignment_day(reference, sticky)
    month = month_number(first_day)
    if frequency.is_month_based:
        origin = month if day_of_month(month, align) >= first_day else month + 1
        return _Steps(origin, 0, frequency.months, align, 0)
    halves = _Steps(month, 0, 0, align, 0)
    k = halves.index_at(first_day)
    if halves.start_of(k) < first_day:
        k += 1
    return _Steps(month + k // 2, 0, 0, align, k % 2)


@lru_cache(maxsize=_CACHED)
def _sequence_period(
    reference: dt.date, first_day: dt.date, frequency: Frequency, sticky: bool, day: dt.date
) -> Period:
    """The period of a sequence that holds the day; between `first_day` and the first aligned date, the stub."""
    steps = _steps(reference, first_day, frequency, sticky)
    if first_day <= day:
        first_aligned = steps.start_of(0)
        if day < first_aligned:
            return Period(first_day, first_aligned, partial=True)
    k = steps.index_at(day)
    return Period(steps.start_of(k), steps.start_of(k + 1))


def start_of(anchor: dt.date, frequency: Frequency, k: int, sticky: bool = True) -> dt.date:
    """The start of period k (any sign; k = 0 starts on the anchor), a function of these arguments alone (CAL-043).

    Raises OverflowError or ValueError outside the years 1 to 9999.
    """
    return _steps(anchor, anchor, frequency, sticky).start_of(k)


def index_at(anchor: dt.date, frequency: Frequency, day: dt.date, sticky: bool = True) -> int:
    """The number k of the period that holds the day: `start_of(k) <= day < start_of(k + 1)`. In constant time."""
    return _steps(anchor, anchor, frequency, sticky).index_at(day)


def period_at(anchor: dt.date, frequency: Frequency, day: dt.date, sticky: bool = True) -> Period:
    """The period that holds the day, before or after the anchor."""
    return _sequence_period(anchor, anchor, frequency, sticky, day)


def periods_between(
    anchor: dt.date, frequency: Frequency, first: dt.date, end: dt.date, sticky: bool = True
) -> Iterator[Period]:
    """All periods that share a day with `[first, end)`, in order; none when the interval is empty."""
    steps = _steps(anchor, anchor, frequency, sticky)
    k = steps.index_at(first)
    start = steps.start_of(k)
    while first < end and start < end:
        k += 1
        following = steps.start_of(k)
        yield Period(start, following)
        start = following


@dataclass(frozen=True, slots=True)
class GridSequence:
    """A stretch of an account's grid: from `first_day` on, periods of one frequency (CAL-051)."""

    first_day: dt.date
    frequency: Frequency


@dataclass(frozen=True, slots=True)
class InvoicingGrid:
    """The invoicing periods of an account: contiguous, without gap or overlap, over all days.

    `invoicing_start` is the ISD, to whose day of the month every PERIOD sequence is aligned, however many sequences lie
    between (CAL-054). Each sequence rules from its first day to the day before the next one's; the first one also
    extends backwards without end, from the same anchor (CAL-041). `sticky`: parameter `period.month_end_sticky`.
    """

    invoicing_start: dt.date
    sequences: tuple[GridSequence, ...]
    sticky: bool = True

    def __post_init__(self) -> None:
        if not self.sequences:
            raise ValueError("an invoicing grid has at least one sequence")
        if any(earlier.first_day >= later.first_day for earlier, later in pairwise(self.sequences)):
            raise ValueError("the sequences of an invoicing grid follow one another")

    @classmethod
    def starting(cls, start: dt.date, frequency: Frequency, sticky: bool = True) -> Self:
        """The grid of a new invoicing start date: one sequence, anchored on it (CAL-038, CAL-042)."""
        return cls(start, (GridSequence(start, frequency),), sticky)

    @property
    def frequency(self) -> Frequency:
        """The frequency in force: that of the last sequence."""
        return self.sequences[-1].frequency

    def sequence_index(self, day: dt.date) -> int:
        """Which of `sequences` rules the day."""
        index = len(self.sequences) - 1
        while index and day < self.sequences[index].first_day:
            index -= 1
        return index

    def period_at(self, day: dt.date) -> Period:
        """The period that holds the day, also before the invoicing start date (CAL-041). Stubs are partial."""
        sequences = self.sequences
        index = len(sequences) - 1
        while index and day < sequences[index].first_day:
            index -= 1
        sequence = sequences[index]
        period = _sequence_period(self.invoicing_start, sequence.first_day, sequence.frequency, self.sticky, day)
        if index + 1 < len(sequences) and period.end > sequences[index + 1].first_day:
            return Period(period.start, sequences[index + 1].first_day, partial=True)
        return period

    def period_after(self, period: Period) -> Period:
        """The period that starts where this one ends."""
        return self.period_at(period.end)

    def period_before(self, period: Period) -> Period:
        """The period that ends where this one starts."""
        return self.period_at(period.start - _DAY)

    def periods_between(self, first: dt.date, end: dt.date) -> Iterator[Period]:
        """All periods that share a day with `[first, end)`, in order; none when the interval is empty."""
        if first >= end:
            return
        period = self.period_at(first)
        while period.start < end:
            yield period
            period = self.period_at(period.end)

    def periods_from(self, day: dt.date) -> Iterator[Period]:
        """The period that holds the day and all later ones, without end."""
        period = self.period_at(day)
        while True:
            yield period
            period = self.period_at(period.end)

    def number_of(self, day: dt.date, earliest: dt.date) -> int:
        """The displayed number of the period that holds the day; 1 is the period that holds `earliest` (CAL-049).

        Zero and below for days before the earliest period.
        """
        if day < earliest:
            return 2 - self.number_of(earliest, day)
        number = 1
        for index in range(self.sequence_index(earliest), self.sequence_index(day) + 1):
            number += self._place(index, day) - self._place(index, earliest)
        return number

    def _place(self, index: int, day: dt.date) -> int:
        """How many periods of a sequence begin after its first day (or, negative, at or before) up to the day's period.

        The day is limited to the sequence; its end counts as the place of the next sequence's first period.
        """
        sequence = self.sequences[index]
        steps = _steps(self.invoicing_start, sequence.first_day, sequence.frequency, self.sticky)
        stub = int(steps.start_of(0) > sequence.first_day)
        if index and day <= sequence.first_day:
            return 0
        if index + 1 < len(self.sequences) and day >= self.sequences[index + 1].first_day:
            return steps.index_at(self.sequences[index + 1].first_day - _DAY) + stub + 1
        return steps.index_at(day) + stub

    def with_frequency(
        self, frequency: Frequency, first_day: dt.date, *, fixed_from: dt.date | None = None
    ) -> InvoicingGrid:
        """The grid after a frequency change whose new sequence starts on `first_day`, S of CAL-051.

        Sequences that would begin on S or later fall away; earlier ones stay and keep their boundaries (CAL-052).
        A change on the ISD gives a fresh grid, unless `fixed_from`, the start of the earliest fixed period, lies before
        it: then the periods before S, opened by the backward extension of CAL-041, stay as they are.
        """
        if first_day == self.invoicing_start and fixed_from is None:
            return InvoicingGrid.starting(first_day, frequency, self.sticky)
        kept = tuple(sequence for sequence in self.sequences if sequence.first_day < first_day)
        if not kept:
            # Every fixed period lies in the backward extension of the first sequence. Any of its starts anchors it.
            earliest = first_day - _DAY if fixed_from is None else fixed_from
            kept = (GridSequence(self.period_at(earliest).start, self.sequences[0].frequency),)
        return InvoicingGrid(self.invoicing_start, (*kept, GridSequence(first_day, frequency)), self.sticky)


@dataclass(frozen=True, slots=True)
class ModalPeriod:
    """A modal period `[start, end)` after all cuts; `start` is its identity.

    `full_start` and `full_end` (exclusive) are the boundaries of the uncut period of its own grid, by whose days a
    partial period is prorated (PRM-023).
    """

    start: dt.date
    end: dt.date
    full_start: dt.date
    full_end: dt.date
    modality: Frequency

    @property
    def partial(self) -> bool:
        """Cut by a modality change or by the expiration (CAL-103, CAL-104)."""
        return self.start != self.full_start or self.end != self.full_end

    @property
    def to(self) -> dt.date:
        """The last day of the period, inclusive, as it is shown."""
        return self.end - _DAY

    @property
    def days(self) -> int:
        """Number of days in the period."""
        return (self.end - self.start).days

    @property
    def full_days(self) -> int:
        """Number of days of the uncut period."""
        return (self.full_end - self.full_start).days

    def __contains__(self, day: dt.date) -> bool:
        return self.start <= day < self.end


@lru_cache(maxsize=_CACHED)
def _full_modal_period(anchor: dt.date, modality: Frequency, sticky: bool, day: dt.date) -> ModalPeriod:
    period = _sequence_period(anchor, anchor, modality, sticky, day)
    return ModalPeriod(period.start, period.end, period.start, period.end, modality)


def modal_anchor(effective: dt.date, invoicing: InvoicingGrid | None, align_first_period: bool) -> dt.date:
    """The anchor of a member's modal periods: the effective date, or the start of the invoicing period that holds it.

    The latter with `modal.align_first_period`; only days from the effective date are charged then (CAL-102).
    """
    if align_first_period and invoicing is not None:
        return invoicing.period_at(effective).start
    return effective


@dataclass(frozen=True, slots=True)
class ModalGrid:
    """The modal periods of a premium from its anchor to its expiration, exclusive, None if perpetual (CAL-101 to 104).

    `modalities` are (first day, modality) in order; the first holds from the anchor, whatever its date. Each modality
    has its own grid from the one anchor; the grid of the day decides. Entries that change nothing are dropped on
    construction, so that equal grids are equal values and no period is cut where nothing changes.
    """

    anchor: dt.date
    modalities: tuple[tuple[dt.date, Frequency], ...]
    expiration: dt.date | None = None
    sticky: bool = True

    def __post_init__(self) -> None:
        if not self.modalities:
            raise ValueError("a modal grid has at least one modality")
        if any(earlier[0] >= later[0] for earlier, later in pairwise(self.modalities)):
            raise ValueError("the modalities of a modal grid follow one another")
        if self.modalities != ((self.anchor, self.modalities[0][1]),):
            object.__setattr__(self, "modalities", _effective_modalities(self.anchor, self.modalities))

    def period_at(self, day: dt.date) -> ModalPeriod | None:
        """The modal period that holds the day; None before the anchor and from the expiration on."""
        expiration = self.expiration
        if day < self.anchor or (expiration is not None and day >= expiration):
            return None
        modalities = self.modalities
        index = len(modalities) - 1
        while day < modalities[index][0]:
            index -= 1
        valid_from, modality = modalities[index]
        full = _full_modal_period(self.anchor, modality, self.sticky, day)
        start, end = full.start, full.end
        if start < valid_from:  # noqa: PLR1730 - max() costs a call, and bulk pricing comes through here
            start = valid_from
        if index + 1 < len(modalities) and end > modalities[index + 1][0]:
            end = modalities[index + 1][0]
        if expiration is not None and end > expiration:
            end = expiration
        if start == full.start and end == full.end:
            return full
        return ModalPeriod(start, end, full.start, full.end, modality)

    def periods_between(self, first: dt.date, end: dt.date) -> Iterator[ModalPeriod]:
        """All modal periods that share a day with `[first, end)`, in order."""
        day = max(first, self.anchor)
        while day < end:
            period = self.period_at(day)
            if period is None:
                return
            yield period
            day = period.end


def _effective_modalities(
    anchor: dt.date, modalities: tuple[tuple[dt.date, Frequency], ...]
) -> tuple[tuple[dt.date, Frequency], ...]:
    """The changes that take effect: the first from the anchor, none already superseded there, none without a change."""
    effective = [(anchor, modalities[0][1])]
    for day, modality in modalities[1:]:
        if day <= anchor:
            effective = [(anchor, modality)]
        elif modality != effective[-1][1]:
            effective.append((day, modality))
    return tuple(effective)
