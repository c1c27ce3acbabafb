"""The premium timeline of a member: what holds on each day, as a sorted tuple of half-open segments.

Whatever order the transactions arrived in, the state of a day is a function of those in force, taken in the order of
PRM-004. The timeline is that function, worked out once: it walks the dates on which something changes and keeps one
segment for the days in between.

    NB 01-01        AM 04-11          STOP 06-01     RESUME 07-16      CANCEL 10-01
    |---1200.00-----|---1320.00-------|--stopped-----|---1320.00-------|--absent------ ...
                        |~~~waiver~~~|

The one trick is that a segment keeps everything needed to go on from it: the amounts under a cancellation or a stop,
the amounts a resume would restore, the waivers still running and their ends. A rescission, a reinstatement "as if the
cancellation were disregarded" or a resume "as if the stop were disregarded" then needs no look back; and a further
transaction costs only the days from its date on, because the segments before it are taken over as they are.

What the fields of a transaction mean here: a text of None is not stated and changes nothing, an empty text clears
(MEM-099). `account` places the record from the date on; it is stated only where the transaction does so. A stated
`modality` holds until another one is stated; a start without one, or `modality_from_account`, resolves the modality by
day from the account's invoicing frequency (PRM-073). Account-level transactions (modality change, seasonal update) act
through the terms of their account and change no segment.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from domain.calendar.frequency import Frequency
from domain.premium.sequences import sequences_after
from domain.premium.transactions import (
    AmendmentKind,
    ItemKey,
    PolicyTransaction,
    PremiumSequence,
    TransactionType,
    WaiverSource,
)

#: The end of an interval that has none.
OPEN_END = dt.date.max


@dataclass(frozen=True, slots=True)
class MemberTerms:
    """What of a member record, besides its transactions, decides its premium.

    `anchor` is the start of the member's modal grid; it changes by a rewrite only (PRM-034). `term_expiration` is the
    first day not covered. Without `multiple_sequences` every item key has the single sequence 1 (PRM-050).
    """

    member_record: str
    effective_date: dt.date
    anchor: dt.date
    term_expiration: dt.date | None = None
    multiple_sequences: bool = True
    master_policy: str = ""


@dataclass(frozen=True, slots=True)
class CoverageAmount:
    """The item key of a coverage and its annual amount in minor units; `source` is the transaction that set it."""

    key: ItemKey
    annual: int
    sequences: tuple[PremiumSequence, ...]
    source: str


@dataclass(frozen=True, slots=True)
class RunningWaiver:
    """A premium waiver in effect on a segment: [start, end), all coverages when none is listed (PRM-090)."""

    waiver_id: str
    source: WaiverSource | None
    start: dt.date
    end: dt.date
    coverages: tuple[str, ...]
    transaction_id: str

    def covers(self, coverage: str) -> bool:
        """Whether the premium of the coverage is waived."""
        return not self.coverages or coverage in self.coverages


@dataclass(frozen=True, slots=True)
class ActiveStop:
    """A stop of billing in effect on a segment (PRM-080)."""

    since: dt.date
    nonforfeiture: str | None
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Days [start, end) on which nothing changes; `end` is OPEN_END for the last one.

    `amounts` are the stored annual amounts, at most one a coverage, ordered by item key; what is charged of them is
    nothing while the record is not in force or stopped (`annual_of`). `modality` None: from the account, by day.
    `cancelled_on` is the date of the cancellation under which the segment lies. `resumable` are the amounts a resume
    would restore (PRM-082). `sources` are the transactions effective on `start`.
    """

    start: dt.date
    end: dt.date
    in_force: bool
    account: str
    modality: Frequency | None
    payroll_frequency: Frequency | None
    location: str | None
    division: str | None
    member_class: str | None
    amounts: tuple[CoverageAmount, ...]
    stops: tuple[ActiveStop, ...]
    waivers: tuple[RunningWaiver, ...]
    cancelled_on: dt.date | None
    resumable: tuple[CoverageAmount, ...]
    sources: tuple[str, ...]

    @property
    def stopped(self) -> bool:
        """Billing is stopped (PRM-030)."""
        return bool(self.stops)

    @property
    def nonforfeiture(self) -> str | None:
        """The nonforfeiture value of the earliest active stop (PRM-080)."""
        return self.stops[0].nonforfeiture if self.stops else None

    @property
    def charged_amounts(self) -> tuple[CoverageAmount, ...]:
        """The amounts in force on the segment, stopped ones included; empty when the record is not in force."""
        return self.amounts if self.in_force else ()

    def annual_of(self, amount: CoverageAmount) -> int:
        """The annual amount by which the days of the segment are charged, in minor units (PRM-030)."""
        return 0 if self.stops or not self.in_force else amount.annual

    def waiver_of(self, coverage: str) -> RunningWaiver | None:
        """The waiver of the coverage on the segment, if any."""
        for waiver in self.waivers:
            if waiver.covers(coverage):
                return waiver
        return None


_START = attrgetter("start")
_STARTS = frozenset({TransactionType.NEW_BUSINESS, TransactionType.REWRITE})
_MOVES = frozenset({TransactionType.CONTINUATION, TransactionType.PORTABILITY, TransactionType.MOVED_TO_LIST_BILL})
#: Types that may place the record and state attributes of it; of these, an employment change states no amount.
_PLACING = (
    _STARTS
    | _MOVES
    | {
        TransactionType.AMENDMENT,
        TransactionType.RENEWAL,
        TransactionType.REINSTATEMENT,
        TransactionType.EMPLOYMENT_CHANGE,
    }
)


def order_key(transaction: PolicyTransaction) -> tuple[dt.date, bool, int, str]:
    """The order of PRM-004; a start comes first on its date: what stays over a rewrite lies on top (PRM-069)."""
    return (
        transaction.effective_date,
        transaction.type not in _STARTS,
        transaction.order,
        transaction.transaction_id,
    )


@dataclass(frozen=True, slots=True)
class Timeline:
    """The transactions in force of a member record, ordered, and the segments they give: none before the start."""

    terms: MemberTerms
    transactions: tuple[PolicyTransaction, ...]
    segments: tuple[Segment, ...]

    def at(self, day: dt.date) -> Segment | None:
        """The segment that holds the day; None before the start and from the term expiration on."""
        index = bisect_right(self.segments, day, key=_START) - 1
        if index < 0 or day >= self.segments[index].end:
            return None
        return self.segments[index]

    def between(self, first: dt.date, end: dt.date) -> tuple[Segment, ...]:
        """The segments that share a day with [first, end); none when that is empty."""
        segments = self.segments
        if first >= end:
            return ()
        low = max(bisect_right(segments, first, key=_START) - 1, 0)
        high = bisect_left(segments, end, lo=low, key=_START)
        if low < high and segments[low].end <= first:
            low += 1
        return segments[low:high]

    def is_in_force(self, day: dt.date) -> bool:
        """Whether the member is covered on the day (PRM-007); a stopped or waived member is."""
        segment = self.at(day)
        return segment is not None and segment.in_force

    def transaction(self, transaction_id: str) -> PolicyTransaction | None:
        """The transaction in force of that id."""
        return next((one for one in self.transactions if one.transaction_id == transaction_id), None)

    def sources_between(self, first: dt.date, end: dt.date, coverage: str) -> tuple[str, ...]:
        """The transactions that made what holds on the days [first, end): the segments and the coverage's amounts."""
        found: dict[str, None] = {}
        for segment in self.between(first, end):
            found.update(dict.fromkeys(segment.sources))
            found.update((amount.source, None) for amount in segment.amounts if amount.key.coverage == coverage)
        return tuple(found)

    def with_transaction(self, transaction: PolicyTransaction) -> Timeline:
        """The timeline with one more transaction; the segments before its date are taken over (see `changed`)."""
        return self.changed(added=(transaction,))

    def changed(self, added: Iterable[PolicyTransaction] = (), removed: Iterable[PolicyTransaction] = ()) -> Timeline:
        """The timeline with transactions added and others no longer in force; only days from the earliest one on cost.

        `removed` ones are recognised by id, date and order. Raises KeyError when one of them is not in force here.
        """
        transactions = list(self.transactions)
        dates: list[dt.date] = []
        for transaction in removed:
            key = order_key(transaction)
            index = bisect_left(transactions, key, key=order_key)
            if index == len(transactions) or order_key(transactions[index]) != key:
                raise KeyError(transaction.transaction_id)
            del transactions[index]
            dates.append(transaction.effective_date)
        for transaction in added:
            transactions.insert(bisect_right(transactions, order_key(transaction), key=order_key), transaction)
            dates.append(transaction.effective_date)
        if not dates:
            return self
        since = min(dates)
        kept = self.segments[: bisect_left(self.segments, since, key=_START)]
        first = bisect_left(transactions, since, key=attrgetter("effective_date"))
        return Timeline(
            self.terms,
            tuple(transactions),
            _folded(kept, since, transactions[first:], self.terms.term_expiration or OPEN_END),
        )


def build_timeline(transactions: Iterable[PolicyTransaction], terms: MemberTerms) -> Timeline:
    """The timeline of a member record from its transactions in force (PRM-012), given in any order.

    Transactions that are not in force are left out; a cancellation and the rescission that voids it have no effect.
    """
    ordered = sorted((one for one in transactions if one.in_force), key=order_key)
    return Timeline(terms, tuple(ordered), _folded((), dt.date.min, ordered, terms.term_expiration or OPEN_END))


def _folded(
    kept: Sequence[Segment], since: dt.date, transactions: Sequence[PolicyTransaction], expiration: dt.date
) -> tuple[Segment, ...]:
    """The kept segments, continued from `since` by the transactions of that date and later ones."""
    segments = list(kept)
    state = _State()
    if segments:
        state.load(segments[-1])
        segments.pop()
    position, count = 0, len(transactions)
    while True:
        day = state.next_end_of_waiver() if state.since is not None else OPEN_END
        if position < count and transactions[position].effective_date <= day:
            day = transactions[position].effective_date
        if day >= expiration:
            break
        begin = position
        while position < count and transactions[position].effective_date == day:
            position += 1
        batch = transactions[begin:position]
        if state.since is None and not any(one.type in _STARTS for one in batch):
            continue
        if state.since is not None and state.since < day:
            segments.append(state.segment(day))
        state.begin(day, _without_voided(batch))
    if state.since is not None and state.since < expiration:
        segments.append(state.segment(expiration))
    return tuple(segments)


def _without_voided(batch: Sequence[PolicyTransaction]) -> Sequence[PolicyTransaction]:
    """One date's transactions without the cancellations that a later rescission of it voids (PRM-012, PRM-065)."""
    if not any(one.type is TransactionType.RESCIND_CANCELLATION for one in batch):
        return batch
    left: list[PolicyTransaction] = []
    for one in batch:
        left.append(one)
        if one.type is not TransactionType.RESCIND_CANCELLATION:
            continue
        for index in range(len(left) - 1, -1, -1):
            if left[index].type is TransactionType.CANCELLATION:
                del left[index]
                break
    return left


class _State:
    """The day state while it is being walked: the fields of the segment that begins on `since`."""

    __slots__ = (
        "account", "amounts", "cancelled_on", "division", "in_force", "location", "member_class", "modality",
        "payroll_frequency", "resumable", "since", "sources", "stops", "waivers",
    )  # fmt: skip

    def __init__(self) -> None:
        self.since: dt.date | None = None
        self._clear()

    def _clear(self) -> None:
        self.in_force = False
        self.account = ""
        self.modality: Frequency | None = None
        self.payroll_frequency: Frequency | None = None
        self.location: str | None = None
        self.division: str | None = None
        self.member_class: str | None = None
        self.amounts: tuple[CoverageAmount, ...] = ()
        self.stops: tuple[ActiveStop, ...] = ()
        self.waivers: tuple[RunningWaiver, ...] = ()
        self.cancelled_on: dt.date | None = None
        self.resumable: tuple[CoverageAmount, ...] = ()
        self.sources: tuple[str, ...] = ()

    def load(self, segment: Segment) -> None:
        """Stand where the segment stands."""
        self.since = segment.start
        self.in_force = segment.in_force
        self.account = segment.account
        self.modality = segment.modality
        self.payroll_frequency = segment.payroll_frequency
        self.location = segment.location
        self.division = segment.division
        self.member_class = segment.member_class
        self.amounts = segment.amounts
        self.stops = segment.stops
        self.waivers = segment.waivers
        self.cancelled_on = segment.cancelled_on
        self.resumable = segment.resumable
        self.sources = segment.sources

    def segment(self, end: dt.date) -> Segment:
        """The segment of the days from `since` to the day before `end`."""
        assert self.since is not None
        return Segment(
            self.since, end, self.in_force, self.account, self.modality, self.payroll_frequency, self.location,
            self.division, self.member_class, self.amounts, self.stops, self.waivers, self.cancelled_on,
            self.resumable, self.sources,
        )  # fmt: skip

    def next_end_of_waiver(self) -> dt.date:
        return min((waiver.end for waiver in self.waivers), default=OPEN_END)

    def begin(self, day: dt.date, batch: Sequence[PolicyTransaction]) -> None:
        """Begin a segment on the day: waivers that end on it end, then its transactions apply in order."""
        self.since = day
        self.sources = ()
        if self.waivers:
            ended = [waiver.transaction_id for waiver in self.waivers if waiver.end <= day]
            if ended:
                self.sources = tuple(ended)
                self.waivers = tuple(waiver for waiver in self.waivers if waiver.end > day)
        for transaction in batch:
            self._apply(transaction)
        self.sources += tuple(transaction.transaction_id for transaction in batch)

    def _apply(self, transaction: PolicyTransaction) -> None:
        kind = transaction.type
        if kind in _PLACING and AmendmentKind.STOP_BILLING not in transaction.kinds:
            if AmendmentKind.RESUME_BILLING in transaction.kinds:
                self._resume()
                return
            if kind in _STARTS:
                self._clear()
                self.in_force = True
            elif kind is TransactionType.REINSTATEMENT:
                self._reinstate(transaction.effective_date)
            self._place(transaction)
            if kind is not TransactionType.EMPLOYMENT_CHANGE:
                self._state_amounts(transaction)
        elif kind is TransactionType.AMENDMENT:
            self._stop(transaction)
        elif kind is TransactionType.CANCELLATION:
            self.in_force = False
            self.cancelled_on = transaction.effective_date
        elif kind is TransactionType.CONTINUATION_REMOVED:
            self._zero_amounts(transaction)
        elif kind is TransactionType.WAIVER_ADD:
            self._waive(transaction)
        elif kind is TransactionType.WAIVER_REMOVE:
            self._end_waiver(transaction)

    def _place(self, transaction: PolicyTransaction) -> None:
        if transaction.account is not None:
            self.account = transaction.account
        if transaction.modality is not None:
            self.modality = transaction.modality
        elif transaction.modality_from_account:
            self.modality = None
        if transaction.payroll_frequency is not None:
            self.payroll_frequency = transaction.payroll_frequency
        if transaction.location is not None:
            self.location = transaction.location or None
        if transaction.division is not None:
            self.division = transaction.division or None
        if transaction.member_class is not None:
            self.member_class = transaction.member_class or None

    def _state_amounts(self, transaction: PolicyTransaction) -> None:
        if not transaction.amounts:
            return
        self.amounts = _stated(self.amounts, transaction)
        if self.stops and self.stops[0].since == transaction.effective_date:
            # "In force on the stop date" is what the whole day gives, whichever of its transactions came first.
            self.resumable = self.amounts

    def _zero_amounts(self, transaction: PolicyTransaction) -> None:
        """PRM-071. Decision: a later resume restores nothing either, for the cover continued is gone."""
        source = transaction.transaction_id
        self.amounts = tuple(CoverageAmount(one.key, 0, one.sequences, source) for one in self.amounts)
        self.resumable = tuple(CoverageAmount(one.key, 0, one.sequences, source) for one in self.resumable)

    def _stop(self, transaction: PolicyTransaction) -> None:
        if not self.stops:
            self.resumable = self.amounts
        stop = ActiveStop(transaction.effective_date, transaction.nonforfeiture, transaction.transaction_id)
        self.stops = (*self.stops, stop)

    def _resume(self) -> None:
        """PRM-082: the amounts of the stop date under the item keys of today; a coverage that came later has none."""
        if not self.stops:
            return
        restored = {one.key.coverage: one for one in self.resumable}
        amounts = []
        for one in self.amounts:
            before = restored.get(one.key.coverage)
            if before is None:
                # decision: its only amount was stated while stopped, and those are not used
                amounts.append(CoverageAmount(one.key, 0, (), one.source))
            else:
                amounts.append(CoverageAmount(one.key, before.annual, before.sequences, before.source))
        self.amounts, self.stops, self.resumable = tuple(amounts), (), ()

    def _reinstate(self, day: dt.date) -> None:
        if self.cancelled_on is not None and self.cancelled_on < day:
            # decision: "on or after a cancellation a waiver has no effect" (PRM-097) also holds after a lapse; only a
            # cancellation that counts for nothing leaves the waiver running.
            self.waivers = ()
        self.in_force = True
        self.cancelled_on = None

    def _waive(self, transaction: PolicyTransaction) -> None:
        end = min(transaction.until or OPEN_END, transaction.expiration or OPEN_END)
        if end > transaction.effective_date:
            waiver = RunningWaiver(
                transaction.waiver_id or transaction.transaction_id,
                transaction.waiver_source,
                transaction.effective_date,
                end,
                transaction.coverages,
                transaction.transaction_id,
            )
            self.waivers = (*self.waivers, waiver)

    def _end_waiver(self, transaction: PolicyTransaction) -> None:
        self.waivers = tuple(one for one in self.waivers if not _ends(transaction, one))


def _ends(removal: PolicyTransaction, waiver: RunningWaiver) -> bool:
    """Whether the removal is meant for the waiver: by its id, else by source and coverages as far as stated."""
    if removal.waiver_id is not None:
        return removal.waiver_id == waiver.waiver_id
    same_source = removal.waiver_source is None or removal.waiver_source is waiver.source
    return same_source and (not removal.coverages or removal.coverages == waiver.coverages)


def _stated(amounts: tuple[CoverageAmount, ...], transaction: PolicyTransaction) -> tuple[CoverageAmount, ...]:
    """The amounts after those stated: a key takes the place of the coverage's former key, None takes it away.

    There is at most one item key per coverage and day (PRM-020); keys not named keep theirs (PRM-061), and so do
    premium sequences.
    """
    by_coverage = {one.key.coverage: one for one in amounts}
    for one in transaction.amounts:
        if one.annual is None:
            known = by_coverage.get(one.key.coverage)
            if known is not None and known.key == one.key:
                del by_coverage[one.key.coverage]
    for one in transaction.amounts:
        if one.annual is not None:
            known = by_coverage.get(one.key.coverage)
            former = known.sequences if known is not None and known.key == one.key else ()
            sequences = sequences_after(former, one, transaction.effective_date)
            by_coverage[one.key.coverage] = CoverageAmount(one.key, one.annual, sequences, transaction.transaction_id)
    return tuple(sorted(by_coverage.values(), key=attrgetter("key")))


def account_days(timeline: Timeline, account: str) -> Iterator[tuple[dt.date, dt.date]]:
    """The intervals [first, end) in which the member is in force and placed on the account, joined where they meet."""
    since: dt.date | None = None
    until = dt.date.min
    for segment in timeline.segments:
        if not segment.in_force or segment.account != account:
            continue
        if since is not None and segment.start != until:
            yield since, until
            since = None
        since = segment.start if since is None else since
        until = segment.end
    if since is not None:
        yield since, until
