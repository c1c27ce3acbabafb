"""Publishing what is not yet billed: from the comparison of a record's charges with its invoices to events.

ANYB is derived, never counted: after every transaction, issue or discard the same comparison gives the value, and an
event is written when it differs from the last one published (PRM-123 to PRM-125). While a roll-on decision is open the
last published value is held and nothing is written (PRM-111).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

from domain.calendar.periods import Period, period_at
from domain.members.events import (
    AnybLine,
    AnybUpdateExcluded,
    BilledPremiumReduced,
    BillingRewritten,
    EmploymentChanged,
    EmploymentOutcome,
    MemberAnybChanged,
    PolicyTransactionApplied,
    RollOnCompleted,
    SeasonalPremiumRecalculated,
    TransactionDropped,
)
from domain.members.record import MemberRecord, active_timeline
from domain.members.requests import TransactionFacts
from domain.premium.account_terms import AccountTerms
from domain.premium.anyb import AnybKey, InvoicedAmount, member_anyb
from domain.premium.timeline import Timeline
from domain.premium.transactions import TransactionType


def publish_anyb(
    record: MemberRecord,
    facts: TransactionFacts,
    invoiced: Mapping[str, Sequence[InvoicedAmount]],
    billed: Mapping[str, Collection[Period]],
    events: Iterable[object] = (),
    *,
    since: dt.date = dt.date.min,
) -> tuple[object, ...]:
    """The events by which ANYB of the record changes on the accounts of `billed`; none while a roll-on is pending.

    By account, `invoiced` is what its live invoices carry for the record and `billed` its invoicing periods that have
    one. `events` are those of the unit that caused the comparison: a transaction among them that changes nothing is
    logged (PRM-125). `since`: nothing before that day has changed (`changed_since`), so only modal periods that end
    after it are compared, and items of earlier ones may be left out; the rest is what was last published. Refuses
    MODAL_CALCULATION_BLOCKED (PRM-047).
    """
    if record.is_roll_on_pending or since == dt.date.max:
        return ()
    policy = facts.policy
    timeline = active_timeline(
        record, term_expiration=policy.expiration, multiple_sequences=policy.terms.multiple_premium_sequences
    )
    published: list[object] = []
    for account in sorted(billed):
        items = invoiced.get(account, ())
        published += _account_events(record, timeline, facts, account, items, billed[account], since)
    applied = [one.transaction.transaction_id for one in events if isinstance(one, PolicyTransactionApplied)]
    if not published and applied:
        return (AnybUpdateExcluded(member_record=record.number, transaction_id=applied[-1]),)
    return tuple(published)


def changed_since(before: MemberRecord, events: Iterable[object]) -> dt.date:
    """The first day whose premium the events of a unit may have changed, for `publish_anyb`; date.max: none.

    `before` is the record before the unit. A rewrite or a change of gaps moves everything; and when a lock ends,
    invoices issued and discarded meanwhile may have changed what was held of any period (PRM-111, PRM-122).
    """
    days = [dt.date.max]
    for one in events:
        if isinstance(one, BillingRewritten | SeasonalPremiumRecalculated):
            return dt.date.min
        if isinstance(one, RollOnCompleted) and before.lock is not None:
            return dt.date.min
        if isinstance(one, PolicyTransactionApplied):
            days.append(one.transaction.effective_date)
        elif isinstance(one, EmploymentChanged) and one.outcome is EmploymentOutcome.CHANGED:
            days.append(one.effective_date)
        elif isinstance(one, TransactionDropped) and before.lock is not None:
            cause = before.transaction(before.lock.caused_by)
            days.append(dt.date.min if cause is None else cause.effective_date)
    return min(days)


def _account_events(
    record: MemberRecord,
    timeline: Timeline,
    facts: TransactionFacts,
    account: str,
    invoiced: Sequence[InvoicedAmount],
    billed: Collection[Period],
    since: dt.date,
) -> list[object]:
    terms = facts.terms_of(account)
    published = record.anyb_of(account)
    before = () if published is None else published.lines
    kept = tuple(one for one in before if _end_of(one, timeline, terms) <= since)
    fresh = tuple(_line(one) for one in member_anyb(timeline, terms, invoiced, billed, since))
    lines = tuple(sorted((*kept, *fresh), key=_identity))
    if [_value(one) for one in lines] == [_value(one) for one in before]:
        return []
    changed = MemberAnybChanged(
        member_record=record.number,
        account=account,
        currency=terms.currency,
        total=sum(one.amount for one in lines),
        lines=lines,
        calculated_at=facts.now,
    )
    return [changed, *_reductions(record, account, lines, before)]


def _reductions(
    record: MemberRecord, account: str, lines: Iterable[AnybLine], before: Iterable[AnybLine]
) -> Iterable[BilledPremiumReduced]:
    """The keys whose corrected charge fell further below what is invoiced than it was (PRM-131)."""
    known = {_identity(one): one.amount for one in before}
    for one in lines:
        if one.amount >= min(known.get(_identity(one), 0), 0):
            continue
        invoiced = one.invoiced_charge + one.invoiced_waiver
        yield BilledPremiumReduced(
            member_record=record.number,
            account=account,
            item=one.item,
            sequence=one.sequence,
            modality=one.modality,
            period_start=one.period_start,
            billing_start=one.billing_start,
            invoiced=invoiced,
            corrected=invoiced + one.amount,
            difference=one.amount,
            source_type=_source_type(record, one.sources),
        )


def _source_type(record: MemberRecord, sources: Sequence[str]) -> TransactionType | None:
    """The type of the transaction recorded last among the sources."""
    found = [one for one in record.transactions if one.transaction_id in sources]
    return found[-1].type if found else None


def _line(key: AnybKey) -> AnybLine:
    return AnybLine(
        item=key.key.item,
        sequence=key.key.sequence,
        modality=key.key.modality,
        period_start=key.key.period_start,
        billing_start=key.billing_start,
        kind=key.kind,
        invoiced_charge=key.invoiced_charge,
        invoiced_waiver=key.invoiced_waiver,
        charge=key.charge,
        waiver=key.waiver,
        sources=key.sources,
    )


def _identity(line: AnybLine) -> tuple[object, ...]:
    return (line.item, line.sequence, line.modality.value, line.period_start)


def _value(line: AnybLine) -> tuple[object, ...]:
    return (_identity(line), line.billing_start, line.invoiced_charge, line.invoiced_waiver, line.charge, line.waiver)


def _end_of(line: AnybLine, timeline: Timeline, terms: AccountTerms) -> dt.date:
    return period_at(timeline.terms.anchor, line.modality, line.period_start, terms.invoicing.sticky).end
