"""ANYB, the amount not yet billed: what billed periods should have cost, less what invoices already carry.

It is never a counter. For every charge key of a billed period the corrected charge of today is compared with the key's
items on live invoices; the difference, in its parts charge and waiver line, is what the next invoice takes (PRM-120 to
PRM-131). A key is *billed* when its billing period has a live invoice of the account; a key never invoiced there counts
in full. The functions here compare; which items are live and which periods are billed, the register tells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Container, Iterable
from dataclasses import dataclass
from enum import StrEnum

from domain.calendar.months import add_months
from domain.calendar.periods import Period, period_at
from domain.premium.account_terms import AccountTerms
from domain.premium.charges import Charge, ChargeKey, billing_period_of, charges, days_billed_in
from domain.premium.timeline import Timeline
from domain.premium.transactions import TransactionType

_WAIVING = frozenset({TransactionType.WAIVER_ADD, TransactionType.WAIVER_REMOVE})
_STATING = frozenset({TransactionType.AMENDMENT, TransactionType.RENEWAL})


class AnybKind(StrEnum):
    """As which kind of item the next invoice takes the key (PRM-126)."""

    RETRO = "RETRO"
    PRIOR_PERIOD_CHARGE = "PRIOR_PERIOD_CHARGE"


@dataclass(frozen=True, slots=True)
class InvoicedAmount:
    """What live invoices of the account carry for a charge key, in minor units; one value an item, or summed.

    `charge` and `waiver` are the two parts (PRM-121), `billing_start` the first day of the billing period of the item.
    `key.sequence` is the root of the lineage, so that what was invoiced under a replaced sequence counts (PRM-055).
    `sources` are the transactions that made the charge when it was invoiced, where known.
    """

    key: ChargeKey
    charge: int
    waiver: int
    billing_start: dt.date
    sources: tuple[str, ...] = ()

    @property
    def net(self) -> int:
        """Both parts together."""
        return self.charge + self.waiver


@dataclass(frozen=True, slots=True)
class AnybKey:
    """The amount not yet billed of one charge key, in minor units.

    `invoiced_*` and `corrected_*` are what was compared, part by part; `corrected` is the charge of today, None when
    the key costs nothing any more. `sources` are the transactions behind the difference, the latest recorded one last.
    """

    key: ChargeKey
    kind: AnybKind
    billing_start: dt.date
    invoiced_charge: int
    invoiced_waiver: int
    corrected_charge: int
    corrected_waiver: int
    corrected: Charge | None
    sources: tuple[str, ...] = ()

    @property
    def charge(self) -> int:
        """The charge part: corrected gross charge less what is invoiced."""
        return self.corrected_charge - self.invoiced_charge

    @property
    def waiver(self) -> int:
        """The waiver part: corrected waiver line less what is invoiced."""
        return self.corrected_waiver - self.invoiced_waiver

    @property
    def amount(self) -> int:
        """ANYB of the key: both parts together."""
        return self.charge + self.waiver

    @property
    def is_open(self) -> bool:
        """Whether there is anything to bill; parts that cancel each other out are."""
        return self.charge != 0 or self.waiver != 0


def anyb(
    corrected: Iterable[Charge],
    invoiced: Iterable[InvoicedAmount],
    terms: AccountTerms,
    billed: Container[dt.date],
    timeline: Timeline | None = None,
) -> tuple[AnybKey, ...]:
    """The open ANYB keys of a member record on the account, in order of key.

    `corrected` are the charges of today (any that are not billed yet are left out), `invoiced` the items of the record
    on live invoices of the account, `billed` tells by its start whether an invoicing period has a live invoice. An
    invoiced key keeps the billing period for which it was first invoiced; others have that of INV-020 to INV-024.
    With `timeline` every key names the transactions behind its difference.
    """
    return tuple(key for key in compared(corrected, invoiced, terms, billed, timeline) if key.is_open)


def compared(
    corrected: Iterable[Charge],
    invoiced: Iterable[InvoicedAmount],
    terms: AccountTerms,
    billed: Container[dt.date],
    timeline: Timeline | None = None,
) -> tuple[AnybKey, ...]:
    """Every billed key with a corrected charge or an invoiced item, settled ones included (PRM-122; see `anyb`)."""
    items = _by_key(invoiced)
    charges_now = {charge.key: charge for charge in corrected}
    causes = _Causes(timeline, terms.invoicing.sticky) if timeline is not None else None
    found = []
    for key in sorted(charges_now.keys() | items.keys()):
        charge, item = charges_now.get(key), items.get(key)
        if item is not None:
            billing_start = item.billing_start
        elif charge is not None and charge.has_item:
            billing_start = billing_period_of(charge, terms).start
        else:
            continue
        if billing_start not in billed:
            continue
        found.append(
            AnybKey(
                key=key,
                kind=AnybKind.RETRO if item is not None else AnybKind.PRIOR_PERIOD_CHARGE,
                billing_start=billing_start,
                invoiced_charge=item.charge if item is not None else 0,
                invoiced_waiver=item.waiver if item is not None else 0,
                corrected_charge=charge.gross if charge is not None else 0,
                corrected_waiver=charge.waiver if charge is not None else 0,
                corrected=charge,
                sources=causes.of(key, item) if causes is not None else (),
            )
        )
    return tuple(found)


def member_anyb(
    timeline: Timeline,
    terms: AccountTerms,
    invoiced: Iterable[InvoicedAmount],
    billed: Collection[Period],
    since: dt.date = dt.date.min,
) -> tuple[AnybKey, ...]:
    """The open ANYB keys of a member record on the account whose modal period ends after `since`.

    `billed` are the invoicing periods with a live invoice. A transaction changes only periods that end after its
    effective date: with that date as `since` the cost is that of the days from it on, and the keys of earlier periods
    are those found before. A rewrite, which moves the grid, is compared from the beginning.
    """
    live = [one for one in invoiced if _period_of(one.key, timeline, terms).end > since]
    starts = {one.key: one.billing_start for one in _by_key(live).values()}
    first, end = _reach(timeline, terms, billed, live)
    first = max(first, _first_of_periods_at(since, timeline, terms))
    corrected = [one for one in charges(timeline, terms, first, end, starts) if one.period_end > since]
    return anyb(corrected, live, terms, {period.start for period in billed}, timeline)


def charge_sources(timeline: Timeline, charge: Charge) -> tuple[str, ...]:
    """The transactions that made the charge, in order of recording: what an item may keep as its sources."""
    return _Causes(timeline).between(charge.period_start, charge.period_end, charge.item.coverage)


def reductions(now: Iterable[AnybKey], before: Iterable[AnybKey] = ()) -> tuple[AnybKey, ...]:
    """The keys whose corrected charge fell below what is invoiced, for `BilledPremiumReduced` (PRM-131).

    With `before`, the open keys of the version that was active until now, only those that fell further.
    """
    known = {one.key: one.amount for one in before}
    return tuple(one for one in now if one.amount < min(known.get(one.key, 0), 0))


def _by_key(invoiced: Iterable[InvoicedAmount]) -> dict[ChargeKey, InvoicedAmount]:
    """The items summed by key, each with the billing period for which the key was first invoiced."""
    found: dict[ChargeKey, InvoicedAmount] = {}
    for item in invoiced:
        known = found.get(item.key)
        if known is None:
            found[item.key] = item
        else:
            found[item.key] = InvoicedAmount(
                item.key,
                known.charge + item.charge,
                known.waiver + item.waiver,
                known.billing_start,
                tuple(dict.fromkeys((*known.sources, *item.sources))),
            )
    return found


def _period_of(key: ChargeKey, timeline: Timeline, terms: AccountTerms) -> Period:
    return period_at(timeline.terms.anchor, key.modality, key.period_start, terms.invoicing.sticky)


def _first_of_periods_at(day: dt.date, timeline: Timeline, terms: AccountTerms) -> dt.date:
    """A day on or before the start of every modal period of the account that holds the day."""
    if day == dt.date.min:
        return day
    segments = timeline.between(add_months(day, -12), add_months(day, 12))
    modalities = {one.modality for one in segments if one.account == terms.account}
    known = {one for one in modalities if one is not None}
    if None in modalities:
        known |= terms.modalities
    starts = (period_at(timeline.terms.anchor, one, day, terms.invoicing.sticky).start for one in known)
    return min(starts, default=day)


def _reach(
    timeline: Timeline, terms: AccountTerms, billed: Collection[Period], invoiced: Iterable[InvoicedAmount]
) -> tuple[dt.date, dt.date]:
    """Days that touch every charge of a billed period and of an invoiced key."""
    bounds = [days_billed_in(timeline, terms, period) for period in billed]
    bounds += [(one.start, one.end) for one in (_period_of(item.key, timeline, terms) for item in invoiced)]
    if not bounds:
        return dt.date.min, dt.date.min
    return min(first for first, _ in bounds), max(end for _, end in bounds)


class _Causes:
    """Which transactions stand behind the difference of a key: those that were not there when it was invoiced.

    Where what made the item is not recorded, or nothing new came (a transaction fell away), all that made the charge.
    """

    def __init__(self, timeline: Timeline, sticky: bool = True) -> None:
        self._timeline = timeline
        self._sticky = sticky
        self._transactions = {one.transaction_id: one for one in timeline.transactions}

    def of(self, key: ChargeKey, item: InvoicedAmount | None) -> tuple[str, ...]:
        end = period_at(self._timeline.terms.anchor, key.modality, key.period_start, self._sticky).end
        made = self.between(key.period_start, end, key.item.coverage)
        known = item.sources if item is not None else ()
        fresh = tuple(one for one in made if one not in known)
        if fresh:
            return fresh
        return tuple(one for one in known if one not in made) or made

    def between(self, first: dt.date, end: dt.date, coverage: str) -> tuple[str, ...]:
        """The transactions that made what the coverage costs on the days [first, end), in order of recording."""
        made = self._timeline.sources_between(first, end, coverage)
        return tuple(sorted((one for one in made if self._concerns(one, coverage)), key=self._recorded))

    def _recorded(self, transaction_id: str) -> int:
        transaction = self._transactions.get(transaction_id)
        return transaction.order if transaction is not None else -1

    def _concerns(self, transaction_id: str, coverage: str) -> bool:
        transaction = self._transactions.get(transaction_id)
        if transaction is None:
            return True
        if transaction.type in _WAIVING:
            return not transaction.coverages or coverage in transaction.coverages
        if transaction.type not in _STATING or not transaction.amounts:
            return True
        places = transaction.account is not None or transaction.modality is not None
        return places or any(one.key.coverage == coverage for one in transaction.amounts)
