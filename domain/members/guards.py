"""The conditions under which a transaction may take effect, in the rulebook's order; each a code of its own.

A guard sees the record as it stands *before* the transaction in the order of PRM-004: the same conditions hold for a
transaction that arrives, for one that is rolled on, and, as far as they can come to fail later, for one that is kept
while others before it change (PRM-113). Where the rulebook states an order the first failing check is the answer.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from domain.accounts.bill_type import BillType
from domain.errors import Problem
from domain.members.events import GroupOrigin
from domain.members.placements import MOVES_TO_DIRECT, Placement, last_move, last_placement, placements_of
from domain.members.record import MemberRecord, cancellation_in_force, terms_of
from domain.members.requests import TransactionFacts
from domain.premium.sequences import registration_conflict, sequences_after
from domain.premium.timeline import OPEN_END, RunningWaiver, Timeline, build_timeline, order_key
from domain.premium.transactions import (
    AmendmentKind,
    PolicyTransaction,
    TransactionType,
    WaiverSource,
)

_T = TransactionType
#: PRM-007.
_NEED_COVER: Final = frozenset(
    {
        _T.AMENDMENT,
        _T.RENEWAL,
        _T.CONTINUATION,
        _T.PORTABILITY,
        _T.MOVED_TO_LIST_BILL,
        _T.WAIVER_ADD,
    }
)
#: Types whose dates have bounds of their own: moves (MEM-122, MEM-125), waivers (PRM-092), clamped and account ones.
_OWN_BOUNDS: Final = frozenset(
    {
        _T.NEW_BUSINESS,
        _T.REWRITE,
        _T.EMPLOYMENT_CHANGE,
        _T.WAIVER_ADD,
        _T.WAIVER_REMOVE,
        _T.INVOICING_MODALITY_CHANGE,
        _T.SEASONAL_UPDATE,
    }
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A record as a transaction finds it: the timeline before it, and everything in force whatever its date."""

    record: MemberRecord
    in_force: tuple[PolicyTransaction, ...]
    before: Timeline
    placements: tuple[Placement, ...]

    @classmethod
    def of(cls, record: MemberRecord, transaction: PolicyTransaction, facts: TransactionFacts) -> Circumstances:
        """The circumstances of a transaction, whether it is already in force or not."""
        others = tuple(
            one for one in record.transactions if one.in_force and one.transaction_id != transaction.transaction_id
        )
        return cls.among(record, others, transaction, facts)

    @classmethod
    def among(
        cls,
        record: MemberRecord,
        others: Iterable[PolicyTransaction],
        transaction: PolicyTransaction,
        facts: TransactionFacts,
    ) -> Circumstances:
        """The circumstances of a transaction among others that are in force."""
        in_force = tuple(others)
        key = order_key(transaction)
        policy = facts.policy
        terms = terms_of(record, policy.expiration, policy.terms.multiple_premium_sequences)
        before = build_timeline((one for one in in_force if order_key(one) < key), terms)
        placements = placements_of(before.transactions, record.direct_accounts, record.fallbacks)
        return cls(record, in_force, before, placements)

    def is_in_force(self, day: dt.date) -> bool:
        """Whether the record covers the day."""
        return self.before.is_in_force(day)

    def cancelled_on(self, day: dt.date) -> dt.date | None:
        """The cancellation date under which the day lies, None when the record covers it."""
        segment = self.before.at(day)
        return None if segment is None else segment.cancelled_on

    def placement(self, day: dt.date) -> Placement | None:
        """The placement on the day, also under a cancellation."""
        return last_placement(self.placements, day)

    def is_direct(self, day: dt.date) -> bool:
        """Whether an individual direct account bills the day (MEM-123)."""
        placed = self.placement(day)
        return placed is not None and placed.direct

    @property
    def everything(self) -> Timeline:
        """The timeline of all that is in force, later transactions included."""
        return build_timeline(self.in_force, self.before.terms)


def bounds_problems(transaction: PolicyTransaction, record: MemberRecord, facts: TransactionFacts) -> list[Problem]:
    """The effective date bounds, the first failing one (PRM-006)."""
    day = transaction.effective_date
    if transaction.type in _OWN_BOUNDS and transaction.type not in (_T.NEW_BUSINESS, _T.REWRITE):
        return []
    if transaction.type not in _OWN_BOUNDS and day < record.effective_date:
        return [_before_start(record)]
    if not facts.policy.covers(day):
        return [
            Problem(
                "OUTSIDE_PRODUCT_DATES",
                "the effective date lies outside the product's dates",
                "/effective_date",
                entity=facts.policy.number,
            )
        ]
    return []


def guard_problems(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> list[Problem]:
    """Why the transaction may not take effect in these circumstances; empty when it may."""
    return _cover_problems(transaction, found, facts) or _registration_problems(transaction, found, facts)


def _registration_problems(
    transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts
) -> list[Problem]:
    """Premium sequences that do not go with those of the item that go on (MEM-035)."""
    segment = found.before.at(transaction.effective_date)
    known = {} if segment is None else {one.key: one.sequences for one in segment.amounts}
    if not facts.policy.terms.multiple_premium_sequences:
        return []
    problems = []
    for index, one in enumerate(transaction.amounts):
        after = sequences_after(known.get(one.key, ()), one, transaction.effective_date)
        conflict = registration_conflict(after) if one.sequences else None
        if conflict is not None:
            problems.append(Problem("SEQUENCE_CONFLICT", conflict, f"/amounts/{index}/sequences"))
    return problems


def _cover_problems(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> list[Problem]:
    """What the type asks of cover, stops, cancellations, placements and waivers on the date."""
    kind = transaction.type
    if kind in MOVES_TO_DIRECT:
        return _move_problems(transaction, found)
    if kind in (_T.MOVED_TO_LIST_BILL, _T.CONTINUATION_REMOVED):
        return _return_problems(transaction, found)
    if kind is _T.WAIVER_ADD:
        return _waiver_problems(transaction, found, facts)
    if kind is _T.WAIVER_REMOVE:
        return _waiver_end_problems(transaction, found)
    if kind in _NEED_COVER and not found.is_in_force(transaction.effective_date):
        return [_not_in_force()]
    if kind is _T.AMENDMENT:
        return _stop_problems(transaction, found, facts)
    if kind is _T.CANCELLATION and found.cancelled_on(transaction.effective_date) is not None:
        return [Problem("ALREADY_CANCELLED", "the member is already cancelled on the date", "/effective_date")]
    if kind is _T.RESCIND_CANCELLATION:
        return _rescission_problems(transaction, found)
    if kind is _T.REINSTATEMENT:
        return _reinstatement_problems(transaction, found)
    if kind is _T.RENEWAL:
        return _renewal_problems(transaction, found, facts)
    return []


def kept_problem(transaction: PolicyTransaction, found: Circumstances) -> str | None:
    """The code of a guard that holds no longer for a kept transaction, None while all do (PRM-113).

    What can come to fail when earlier transactions change: cover on its date, the cancellation a reinstatement ends,
    the stop a resume ends, the account a move leaves, the waiver an end belongs to. A stop under an earlier stop stays
    (PRM-103), and an employment change needs no cover.
    """
    kind, day = transaction.type, transaction.effective_date
    if kind in _NEED_COVER and not found.is_in_force(day):
        return "MEMBER_NOT_IN_FORCE"
    if kind is _T.AMENDMENT and AmendmentKind.RESUME_BILLING in transaction.kinds and not _is_stopped(found, day):
        return "NO_ACTIVE_STOP_BILLING"
    if kind is _T.CANCELLATION and found.cancelled_on(day) is not None:
        return "ALREADY_CANCELLED"
    if kind is _T.REINSTATEMENT and found.cancelled_on(day) is None:
        return "NO_CANCELLATION_IN_FORCE"
    if kind in MOVES_TO_DIRECT and found.is_direct(day):
        return "ALREADY_INDIVIDUAL_DIRECT"
    if kind in (_T.MOVED_TO_LIST_BILL, _T.CONTINUATION_REMOVED) and not found.is_direct(day):
        return "NOT_ON_INDIVIDUAL_DIRECT"
    if kind is _T.WAIVER_REMOVE and _waiver_before(transaction, found) is None:
        return "NO_ACTIVE_WAIVER"
    return None


# ------------------------------------------------------------------------------------------------ cover, stop, renewal


def _stop_problems(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> list[Problem]:
    """PRM-080, PRM-082, PRM-083."""
    stopped = _is_stopped(found, transaction.effective_date)
    if AmendmentKind.STOP_BILLING in transaction.kinds and stopped:
        return [Problem("ALREADY_STOPPED", "billing is already stopped on the date", "/effective_date")]
    if AmendmentKind.RESUME_BILLING not in transaction.kinds:
        return []
    if not stopped:
        return [Problem("NO_ACTIVE_STOP_BILLING", "billing is not stopped on the date", "/effective_date")]
    if facts.reconciliation_open:
        return [Problem("RECONCILIATION_INCOMPLETE", "the premium of the member is not reconciled")]
    return []


def _is_stopped(found: Circumstances, day: dt.date) -> bool:
    segment = found.before.at(day)
    return segment is not None and segment.stopped


def _rescission_problems(transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """PRM-065, PRM-101: a cancellation that a reinstatement ended is not in force."""
    in_force = cancellation_in_force(found.in_force)
    ended = any(
        one.type is _T.CANCELLATION and one.effective_date == transaction.effective_date for one in found.in_force
    )
    if in_force is None or (in_force.effective_date != transaction.effective_date and ended):
        return [Problem("NO_CANCELLATION_IN_FORCE", "no cancellation is in force", "/effective_date")]
    if in_force.effective_date != transaction.effective_date:
        return [
            Problem(
                "RESCIND_DATE_MISMATCH",
                "a rescission has the effective date of the cancellation",
                "/effective_date",
                params={"cancelled_on": in_force.effective_date.isoformat()},
            )
        ]
    return []


def _reinstatement_problems(transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """PRM-066: a cancellation in force, on or before the date."""
    if found.cancelled_on(transaction.effective_date) is not None:
        return []
    later = cancellation_in_force(found.in_force)
    if later is not None and later.effective_date > transaction.effective_date:
        return [
            Problem(
                "REINSTATEMENT_BEFORE_CANCELLATION",
                "a reinstatement is not dated before the cancellation",
                "/effective_date",
                params={"cancelled_on": later.effective_date.isoformat()},
            )
        ]
    return [Problem("NO_CANCELLATION_IN_FORCE", "no cancellation is in force", "/effective_date")]


def _renewal_problems(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> list[Problem]:
    """PRM-007."""
    placed = found.placement(transaction.effective_date)
    bill_type = None if placed is None else facts.terms_of(placed.account).bill_type
    if bill_type in (BillType.LIST_BILL, BillType.INDIVIDUAL_DIRECT):
        return []
    return [Problem("RENEWAL_NOT_ALLOWED", "the record is not on a list bill or individual direct account")]


def _not_in_force() -> Problem:
    return Problem("MEMBER_NOT_IN_FORCE", "the member is not in force on the date", "/effective_date")


def _before_start(record: MemberRecord) -> Problem:
    return Problem(
        "BEFORE_MEMBER_EFFECTIVE",
        "the effective date lies before the member record's",
        "/effective_date",
        params={"member_effective_date": record.effective_date.isoformat()},
    )


# -------------------------------------------------------------------------------------------------------------- moves


def _move_problems(transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """MEM-122 and MEM-123, the first failing one: after the previous move, within cover, from a group account."""
    day, record = transaction.effective_date, found.record
    previous = last_move(found.in_force)
    if previous is not None and day <= previous.effective_date:
        return [
            Problem(
                "TRANSITION_DATE_NOT_AFTER_PREVIOUS",
                "a move is dated after the previous one",
                "/effective_date",
                params={"previous": previous.effective_date.isoformat()},
            )
        ]
    if day < record.effective_date:
        return [_before_start(record)]
    if not found.is_in_force(day):
        return [_not_in_force()]
    if found.is_direct(day):
        return [Problem("ALREADY_INDIVIDUAL_DIRECT", "the record is on individual direct on the date")]
    return []


def _return_problems(transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """MEM-125 and MEM-128: from individual direct, of the right origin, not before the present placement began."""
    record, day = found.record, transaction.effective_date
    current = placements_of(found.in_force, record.direct_accounts)
    if not current or not current[-1].direct or record.group_origin is GroupOrigin.NONE:
        return [Problem("NOT_ON_INDIVIDUAL_DIRECT", "the record does not continue a group arrangement")]
    is_return = transaction.type is _T.MOVED_TO_LIST_BILL
    if is_return and record.group_origin is GroupOrigin.SELF_BILL:
        return [Problem("SELF_BILL_ORIGIN", "a record of self-bill origin cannot return; remove its continuation")]
    if not is_return and record.group_origin is not GroupOrigin.SELF_BILL:
        return [Problem("NOT_SELF_BILL_ORIGIN", "only a continuation of self-bill origin can be removed")]
    if day < current[-1].start:
        return [
            Problem(
                "RETURN_BEFORE_CONTINUATION",
                "the date lies before the individual direct placement began",
                "/effective_date",
                params={"placed_on": current[-1].start.isoformat()},
            )
        ]
    if is_return and not found.is_in_force(day):
        return [_not_in_force()]
    return []


# ------------------------------------------------------------------------------------------------------------ waivers


def _waiver_problems(transaction: PolicyTransaction, found: Circumstances, facts: TransactionFacts) -> list[Problem]:
    """PRM-091 and PRM-092, in their order."""
    source, start = transaction.waiver_source, transaction.effective_date
    terms = facts.policy.terms
    if source is not terms.premium_waiver_source:
        return [
            Problem(
                "WAIVER_SOURCE_NOT_ALLOWED",
                "the master policy takes its waivers from another source",
                "/source",
                params={"source": terms.premium_waiver_source.value},
            )
        ]
    ends = [one for one in (transaction.until, transaction.expiration) if one is not None]
    end = min(ends, default=OPEN_END)
    others = _running(found.everything, start, end) | _running(found.everything, facts.today, _next(facts.today))
    if any(one.source is not source for one in others):
        return [Problem("WAIVER_OTHER_SOURCE_ACTIVE", "a waiver of another source is active for the member")]
    if start < found.record.effective_date or _filed_late(transaction, facts):
        return [Problem("WAIVER_DATE_MISALIGNED", "the start lies outside its bounds", "/effective_date")]
    if not found.is_in_force(start):
        return [_not_in_force()]
    if end <= start:
        return [Problem("WAIVER_DATES_INVALID", "the end of a waiver is later than its start", "/end_date")]
    if any(_shares_coverage(one, transaction.coverages) for one in _running(found.everything, start, end)):
        return [Problem("WAIVER_OVERLAP", "another waiver covers the same coverage on the same days")]
    return []


def _filed_late(transaction: PolicyTransaction, facts: TransactionFacts) -> bool:
    """Whether a claims waiver starts longer before its receipt than may be filed (PRM-092)."""
    limit = facts.policy.terms.waiver_claim_filing_days
    if limit is None or transaction.waiver_source is not WaiverSource.CLAIMS:
        return False
    return (facts.today - transaction.effective_date).days > limit


def _waiver_end_problems(transaction: PolicyTransaction, found: Circumstances) -> list[Problem]:
    """PRM-095: the waiver covers the day before its end; an end on its start voids it."""
    added = waiver_start(transaction, found.in_force)
    if added is None:
        return [_no_waiver()]
    if transaction.effective_date < added.effective_date:
        return [Problem("WAIVER_DATES_INVALID", "the end of a waiver is not before its start", "/effective_date")]
    return [] if _waiver_before(transaction, found) is not None else [_no_waiver()]


def _no_waiver() -> Problem:
    return Problem("NO_ACTIVE_WAIVER", "no such waiver is active on the day before the end", "/waiver_id")


def waiver_start(transaction: PolicyTransaction, in_force: Iterable[PolicyTransaction]) -> PolicyTransaction | None:
    """The waiver in force to which an end belongs."""
    return next((one for one in in_force if one.type is _T.WAIVER_ADD and one.waiver_id == transaction.waiver_id), None)


def _waiver_before(transaction: PolicyTransaction, found: Circumstances) -> PolicyTransaction | None:
    """The waiver that runs on the day before the end, or starts on it (then the end voids it)."""
    added = waiver_start(transaction, found.in_force)
    if added is None or added.effective_date == transaction.effective_date:
        return added
    segment = found.before.at(transaction.effective_date - dt.timedelta(days=1))
    running = segment is not None and any(one.waiver_id == transaction.waiver_id for one in segment.waivers)
    return added if running else None


def _running(timeline: Timeline, start: dt.date, end: dt.date) -> set[RunningWaiver]:
    """The waivers that run on a day of [start, end)."""
    return {waiver for segment in timeline.between(start, end) for waiver in segment.waivers}


def _shares_coverage(waiver: RunningWaiver, coverages: tuple[str, ...]) -> bool:
    return not waiver.coverages or not coverages or bool(set(waiver.coverages) & set(coverages))


def _next(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1)
