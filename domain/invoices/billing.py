"""From charges to invoice lines: what the invoiced period costs, and what earlier invoices left unbilled.

A charge gives one line, or two when it is waived: the gross charge and, right behind it, its waiver line (INV-007). An
ANYB key gives the same two parts as differences: retroactive where the key was invoiced before, a prior-period charge
where it was not (INV-003, PRM-126). Lines that share everything but member and amount share one `LineTerms`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from domain.calendar.periods import Period, period_at
from domain.invoices.lines import LineChunk, LineColumns, LineKind, LinePart, LineTerms
from domain.premium.anyb import AnybKey, AnybKind
from domain.premium.charges import Charge, ChargeKey
from domain.premium.explanation import LocationLine
from domain.premium.transactions import TransactionType

_WAIVERS = (TransactionType.WAIVER_ADD, TransactionType.WAIVER_REMOVE)


class LineCollector:
    """Collects the lines of one invoice, member by member."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self.columns = LineColumns()
        self._terms: dict[tuple[object, ...], LineTerms] = {}

    def add_charges(
        self,
        charges: Iterable[Charge],
        master_policy: str,
        locations: Callable[[Charge], Iterable[LocationLine]],
    ) -> None:
        """Lines of charges billed in the invoiced period; `locations` splits one that lies on several (INV-008)."""
        period = self.period
        for charge in charges:
            if not charge.has_item:
                continue
            if charge.one_location:
                self._add_charge(charge, master_policy, period, charge.gross, charge.waiver)
            else:
                for part in locations(charge):
                    located = charge._replace(
                        covered_from=part.start, covered_end=part.end, location=part.location, division=part.division
                    )
                    self._add_charge(located, master_policy, period, part.gross, part.waiver)

    def add_anyb(
        self,
        keys: Iterable[AnybKey],
        master_policy: str,
        anchor: dt.date,
        billing_period: Callable[[dt.date], Period],
        types: Mapping[str, TransactionType],
        invoiced: Mapping[ChargeKey, LineTerms],
    ) -> int:
        """Lines of a member's open ANYB keys; returns their total in minor units.

        `types` gives the type of each transaction, `invoiced` the terms under which a key was billed before.
        """
        total = 0
        for key in keys:
            kind = LineKind.RETRO if key.kind is AnybKind.RETRO else LineKind.CHARGE
            base = self._anyb_terms(key, master_policy, anchor, billing_period(key.billing_start), invoiced)
            causes = [types[source] for source in key.sources if source in types]
            if key.charge:
                cause = next((one for one in reversed(causes) if one not in _WAIVERS), None)
                terms = _with(base, kind, LinePart.CHARGE, cause.value if cause else None)
                self.columns.add(key.key.member_record, terms, key.charge, key.sources)
            if key.waiver:
                waiver_kind = kind if kind is LineKind.RETRO else LineKind.WAIVER_OFFSET
                cause = next((one for one in reversed(causes) if one in _WAIVERS), TransactionType.WAIVER_ADD)
                terms = _with(base, waiver_kind, LinePart.WAIVER, cause.value)
                self.columns.add(key.key.member_record, terms, key.waiver, key.sources)
            total += key.amount
        return total

    def _add_charge(self, charge: Charge, master_policy: str, period: Period, gross: int, waiver: int) -> None:
        identity = (charge[2:9], charge[14:19], charge.waiver_from, master_policy, period.start)
        terms = self._terms.get(identity)
        if terms is None:
            terms = self._terms[identity] = _terms_of(charge, LineKind.CHARGE, master_policy, period)
        columns = self.columns
        columns.members.append(charge.member_record)
        columns.terms.append(terms)
        columns.amounts.append(gross)
        if waiver:
            offset = (*identity, "waiver")
            waived = self._terms.get(offset)
            if waived is None:
                waived = _with(terms, LineKind.WAIVER_OFFSET, LinePart.WAIVER, None)
                self._terms[offset] = waived
            columns.members.append(charge.member_record)
            columns.terms.append(waived)
            columns.amounts.append(waiver)

    def _anyb_terms(
        self,
        key: AnybKey,
        master_policy: str,
        anchor: dt.date,
        billing: Period,
        invoiced: Mapping[ChargeKey, LineTerms],
    ) -> LineTerms:
        if key.corrected is not None:
            return _terms_of(key.corrected, LineKind.RETRO, master_policy, billing)
        known = invoiced.get(key.key)
        if known is not None:
            return known
        modal = period_at(anchor, key.key.modality, key.key.period_start)
        item = key.key.item
        return LineTerms(
            kind=LineKind.RETRO,
            part=LinePart.CHARGE,
            coverage=item.coverage,
            plan=item.plan,
            coverage_class=item.coverage_class,
            tier=item.tier,
            sub_group=item.sub_group,
            sequence=1,
            sequence_id=key.key.sequence,
            sequence_root=key.key.sequence,
            sequence_effective=None,
            master_policy=master_policy,
            modality=key.key.modality,
            modal_start=modal.start,
            modal_end=modal.end,
            covered_from=modal.start,
            covered_end=modal.end,
            billing_start=billing.start,
            billing_end=billing.end,
        )


def _terms_of(charge: Charge, kind: LineKind, master_policy: str, billing: Period) -> LineTerms:
    item = charge.item
    return LineTerms(
        kind=kind,
        part=LinePart.CHARGE,
        coverage=item.coverage,
        plan=item.plan,
        coverage_class=item.coverage_class,
        tier=item.tier,
        sub_group=item.sub_group,
        sequence=charge.sequence_number,
        sequence_id=charge.sequence_id,
        sequence_root=charge.sequence,
        sequence_effective=charge.sequence_effective,
        master_policy=master_policy,
        modality=charge.modality,
        modal_start=charge.period_start,
        modal_end=charge.period_end,
        covered_from=charge.covered_from,
        covered_end=charge.covered_end,
        billing_start=billing.start,
        billing_end=billing.end,
        location=charge.location,
        division=charge.division,
        waiver_start=charge.waiver_from,
    )


def _with(terms: LineTerms, kind: LineKind, part: LinePart, cause: str | None) -> LineTerms:
    return replace(terms, kind=kind, part=part, cause=cause)


def billed_amounts(chunks: Iterable[LineChunk], period_start: dt.date) -> tuple[int, int, int]:
    """Current period amount, retro added and retro credit of an invoice, by net lines (INV-051)."""
    current = added = credit = 0
    for chunk in chunks:
        own = [terms.billing_start == period_start and terms.kind is not LineKind.RETRO for terms in chunk.terms]
        for term, net in zip(chunk.term, chunk.nets(), strict=True):
            if own[term]:
                current += net
            elif net > 0:
                added += net
            else:
                credit -= net
    return current, added, credit
