"""The rows of the modal premium history, worked out from the timeline; and what one version changes of them.

A *lane* is a coverage's item key on an account. Walking the segments of the timeline, a lane gets a row wherever what
it costs changes: amount, modality, place, stop. On the first day of a modal period that is one row with the full modal
amount; inside a period it is two, one for the part of the period, prorated, and one from the next period on (PRM-042).
A lane that ends, by class change, move, cancellation or removal, gets a row of 0.00 (PRM-044, PRM-045).

    annual 1200.00, amended to 1560.00 on 04-16

    01-01  full 100.00
    04-16  part 64.11, 15 days        05-01  full 130.00

An event carries only the rows its version adds and those it ends: a version costs what it changes, not what there is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.calendar.frequency import Frequency
from domain.calendar.periods import Period, period_at
from domain.errors import refuse
from domain.members.events import ModalPremiumRow, RowReference
from domain.money import half_up_ratio
from domain.premium.account_terms import AccountTerms
from domain.premium.modal import DailyRate, ProrationBasis
from domain.premium.sequences import holder_changes, holdings_on
from domain.premium.timeline import Segment, Timeline
from domain.premium.transactions import AmendmentKind, ItemKey, PolicyTransaction, PremiumSequence, TransactionType


@dataclass(frozen=True, slots=True)
class _Cost:
    """What a lane costs from a day on; `source` is the transaction that set the amount."""

    annual: int
    modality: Frequency
    location: str | None
    division: str | None
    stop: bool
    sequences: tuple[PremiumSequence, ...]
    source: str


_Lane = tuple[str, ItemKey]


def rows_of(
    timeline: Timeline,
    accounts: Mapping[str, AccountTerms],
    version_of: Mapping[str, int],
) -> tuple[ModalPremiumRow, ...]:
    """All rows of the record by its timeline, in order of date, account and item key.

    `version_of` gives the version in which a transaction first appeared. Refuses MODAL_CALCULATION_BLOCKED where a
    modality cannot be resolved (PRM-047).
    """
    transactions = {one.transaction_id: one for one in timeline.transactions}
    lanes: dict[_Lane, list[tuple[dt.date, _Cost, str]]] = {}
    costs: dict[_Lane, _Cost] = {}
    before: Segment | None = None
    for day, segment, first in _steps(timeline, accounts):
        now = _costs(segment, accounts, day)
        causes = [transactions[one] for one in segment.sources if one in transactions] if first else []
        for lane, cost in now.items():
            if _differs(costs.get(lane), cost):
                lanes.setdefault(lane, []).append((day, cost, _cause(cost.source, causes, before, segment)))
        for lane in costs.keys() - now.keys():
            ended = _ended(costs[lane])
            if _differs(costs[lane], ended):
                lanes[lane].append((day, ended, _cause(costs[lane].source, causes, before, segment)))
            now[lane] = ended
        costs, before = now, segment
    found = [
        row
        for lane, changes in lanes.items()
        for row in _lane_rows(timeline, accounts[lane[0]], lane, changes, transactions, version_of)
    ]
    return tuple(sorted(found, key=lambda one: (one.effective, one.account, one.key)))


def changed_rows(
    before: Iterable[ModalPremiumRow], after: Iterable[ModalPremiumRow]
) -> tuple[tuple[ModalPremiumRow, ...], tuple[RowReference, ...]]:
    """The rows added and those ended between two versions.

    The mark `seasonal` and the origin version of a row that stays are kept, so they make no difference.
    """
    known = {_content(one) for one in before}
    now = {_content(one) for one in after}
    added = tuple(one for one in after if _content(one) not in known)
    ended = tuple(RowReference(one.account, one.key, one.effective) for one in before if _content(one) not in now)
    return added, ended


def refuse_gaps(timeline: Timeline, since: dt.date) -> None:
    """Refuse MODAL_CALCULATION_BLOCKED when a split has no holder on a charged day from `since` on (PRM-047)."""
    if not timeline.terms.multiple_sequences:
        return
    for segment in timeline.segments:
        if segment.end <= since or not segment.in_force or segment.stopped:
            continue
        for amount in segment.amounts:
            if not amount.sequences or amount.annual == 0:
                continue
            start = max(segment.start, since)
            cuts = [start, *holder_changes(amount.sequences, start, segment.end), segment.end]
            for first, end in pairwise(cuts):
                if not holdings_on(amount.sequences, first):
                    raise refuse(
                        "MODAL_CALCULATION_BLOCKED",
                        "a premium sequence split has no effective holder on a charged day",
                        entity=timeline.terms.member_record,
                        coverage=amount.key.coverage,
                        first=first.isoformat(),
                        end=end.isoformat(),
                    )


def _content(row: ModalPremiumRow) -> tuple[object, ...]:
    return (
        row.transaction_id, row.account, row.key, row.effective, row.modality, row.annual, row.modal, row.period_start,
        row.period_end, row.prorated, row.days, row.location, row.division, row.stop, row.resume, row.sequences,
    )  # fmt: skip


def _steps(timeline: Timeline, accounts: Mapping[str, AccountTerms]) -> Iterable[tuple[dt.date, Segment, bool]]:
    """(first day, segment, whether that is the segment's own): segments, cut where the account's modality changes."""
    for segment in timeline.segments:
        yield segment.start, segment, True
        if segment.modality is not None:
            continue
        terms, day = accounts[segment.account], segment.start
        while (day := terms.modality_on(day).end) < segment.end:
            yield day, segment, False


def _costs(segment: Segment, accounts: Mapping[str, AccountTerms], day: dt.date) -> dict[_Lane, _Cost]:
    if not segment.in_force:
        return {}
    modality = segment.modality or accounts[segment.account].modality_on(day).modality
    return {
        (segment.account, amount.key): _Cost(
            segment.annual_of(amount),
            modality,
            segment.location,
            segment.division,
            segment.stopped,
            amount.sequences,
            amount.source,
        )
        for amount in segment.amounts
    }


def _ended(cost: _Cost) -> _Cost:
    return _Cost(0, cost.modality, cost.location, cost.division, False, (), cost.source)


def _differs(before: _Cost | None, now: _Cost) -> bool:
    if before is None:
        return True
    return (before.annual, before.modality, before.location, before.division, before.stop, before.sequences) != (
        now.annual, now.modality, now.location, now.division, now.stop, now.sequences
    )  # fmt: skip


def _cause(source: str, causes: Sequence[PolicyTransaction], before: Segment | None, segment: Segment) -> str:
    """The transaction to which a row belongs, of those effective on its day.

    The one that set the amount, when it is of that day; else the one that ended or began cover, that placed the record
    elsewhere, or the last one of the day that has a version. Without any the amount's own: the account's modality
    changed under it.
    """
    if any(one.transaction_id == source for one in causes):
        return source
    versioned = [one for one in causes if one.version is not None]
    if before is not None and before.in_force != segment.in_force:
        covering = (TransactionType.REINSTATEMENT,) if segment.in_force else (TransactionType.CANCELLATION,)
        preferred = [one for one in versioned if one.type in covering]
    elif before is not None and before.account != segment.account:
        preferred = [one for one in versioned if one.account == segment.account]
    else:
        preferred = []
    chosen = preferred or versioned
    return chosen[-1].transaction_id if chosen else source


def _lane_rows(
    timeline: Timeline,
    terms: AccountTerms,
    lane: _Lane,
    changes: list[tuple[dt.date, _Cost, str]],
    transactions: Mapping[str, PolicyTransaction],
    version_of: Mapping[str, int],
) -> Iterable[ModalPremiumRow]:
    ends = [day for day, _, _ in changes[1:]] + [dt.date.max]
    for (day, cost, cause), end in zip(changes, ends, strict=True):
        period = period_at(timeline.terms.anchor, cost.modality, day, terms.invoicing.sticky)
        basis = _basis(timeline, terms, period.start)
        rate = DailyRate(basis, terms.paymode(cost.modality), period.start, period.end)
        transaction = transactions.get(cause)
        kinds = transaction.kinds if transaction is not None else ()
        part_end = min(period.end, end)
        is_full = day == period.start
        row = ModalPremiumRow(
            origin_version=version_of.get(cause, 0),
            transaction_id=cause,
            account=lane[0],
            key=lane[1],
            effective=day,
            modality=cost.modality,
            annual=cost.annual,
            modal=rate.modal(cost.annual),
            period_start=period.start,
            period_end=period.end,
            prorated=None if is_full else half_up_ratio(rate.weight(cost.annual, day, part_end), rate.denominator),
            days=None if is_full else (part_end - day).days,
            location=cost.location,
            division=cost.division,
            stop=cost.stop,
            resume=AmendmentKind.RESUME_BILLING in kinds,
            seasonal=transaction is not None and transaction.type is TransactionType.SEASONAL_UPDATE,
            rolled_on=transaction is not None and transaction.rolled_on_from is not None,
            sequences=tuple(one.sequence_id for one in cost.sequences),
        )
        yield row
        if not is_full and period.end < end:
            following = period_at(timeline.terms.anchor, cost.modality, period.end, terms.invoicing.sticky)
            yield _full_row(row, following, _basis(timeline, terms, following.start), terms, cost)


def _basis(timeline: Timeline, terms: AccountTerms, period_start: dt.date) -> ProrationBasis:
    """The basis of a modal period, taken as billed in the invoicing period that holds its first day."""
    constant = terms.constant_basis
    if constant is not None:
        return constant
    day = period_start if terms.first_period is None else max(period_start, terms.first_period)
    return terms.basis_of(timeline.terms.master_policy, period_start, terms.invoicing.period_at(day).start)


def _full_row(
    row: ModalPremiumRow, period: Period, basis: ProrationBasis, terms: AccountTerms, cost: _Cost
) -> ModalPremiumRow:
    """The second row of a change inside a period: the full modal amount from the next one on (PRM-042)."""
    start, end = period.start, period.end
    rate = DailyRate(basis, terms.paymode(cost.modality), start, end)
    return ModalPremiumRow(
        row.origin_version, row.transaction_id, row.account, row.key, start, row.modality, row.annual,
        rate.modal(cost.annual), start, end, None, None, row.location, row.division, row.stop, row.resume,
        row.seasonal, row.rolled_on, row.sequences,
    )  # fmt: skip
