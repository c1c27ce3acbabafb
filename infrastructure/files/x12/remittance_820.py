"""Reading an 820: one payment and the lines it is meant for, and whether its figures agree.

Two equalities hold in a good file, and a file where one does not is refused (FILE_CONTROL_TOTAL_MISMATCH):

    BPR02 (the payment)   = Σ RMR04 (paid) + Σ ADX01 of earlier payments, which stand before the lines of an entity
    RMR04 (paid of line)  = RMR05 (invoiced) + Σ ADX01 behind the line, where the line has RMR05 and adjustments

A line paid short without an adjustment is no contradiction: what is open stays open. Discounts (RMR06) count as paid
less. Amounts are in the currency of CUR, else of the reading limits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from application.files.defects import DefectCode
from application.files.enrolment import QualifiedDate, Reference
from application.files.identity import Envelope, Place
from application.files.personal import Confidential
from application.files.remittance import (
    BankAccount,
    LineCount,
    RemittanceAdjustment,
    RemittanceAdvice,
    RemittanceEntity,
    RemittanceLine,
    RemittanceParty,
)
from domain.money import AmountFormatError, CurrencyNotSupportedError, decimals_of, format_amount
from infrastructure.files.collecting import Findings
from infrastructure.files.text import compact_date, exact_minor, whole_number
from infrastructure.files.x12.enrolment_834 import address_of, contacts_of, minor_of, party_of, references_of
from infrastructure.files.x12.grammar import Guide, Node
from infrastructure.files.x12.segments import Segment

_PARTY_LOOPS = ("1000", "1000A", "1000B", "1000C")


class RemittanceSetReader:
    """Reads one 820 transaction set and appends the advice to `into` when it is complete and without defects."""

    def __init__(
        self,
        guide: Guide,
        opening: Segment,
        envelope: Envelope | None,
        findings: Findings,
        into: list[RemittanceAdvice],
    ) -> None:
        self._findings = findings
        self._found_before = findings.count
        self._envelope = envelope
        self._into = into
        self._currency = findings.limits.currency
        self._payment: Segment | None = None
        self._entities: list[RemittanceEntity] = []
        self._total: int | None = 0
        self._parts = 0
        self._walk = guide.walk(opening, findings, self._take_entity)

    def feed(self, segment: Segment) -> None:
        """The next segment of the set."""
        if segment.id == "CUR":
            self._take_currency(segment)
        elif segment.id == "BPR" and self._payment is None:
            self._payment = segment
        self._walk.feed(segment)

    def finish(self) -> None:
        """The set has ended: compare the total, build the advice."""
        root = self._walk.finish()
        self._compare_total()
        if self._envelope is not None and self._findings.count == self._found_before:
            self._into.append(self._advice(root, self._envelope))

    def _take_currency(self, segment: Segment) -> None:
        code = segment.get(2)
        try:
            decimals_of(code)
        except CurrencyNotSupportedError:
            self._findings.add(
                DefectCode.CURRENCY_INVALID,
                "CUR02 is not a currency this service supports",
                number=segment.number,
                line=segment.line,
                segment="CUR",
                element="CUR02",
            )
        else:
            self._currency = code

    def _take_entity(self, node: Node) -> None:
        self._add_to_total(node)
        for line in node.loops("2300A", "2300B"):
            self._compare_line(line)
        if node.clean:
            self._entities.append(self._entity(node))

    def _add_to_total(self, node: Node) -> None:
        """Add up paid amounts and earlier adjustments; None from the first amount on that cannot be read."""
        self._parts += 1
        amounts = [loop.head.get(1) for loop in node.loops("2200")]
        amounts += [loop.head.get(4) for loop in node.loops("2300A", "2300B")]
        self._total = self._sum([self._total, *(self._known_minor(text) for text in amounts)])

    @staticmethod
    def _sum(amounts: list[int | None]) -> int | None:
        """The sum; None when an amount is not known."""
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if len(known) == len(amounts) else None

    def _known_minor(self, text: str) -> int | None:
        try:
            return exact_minor(text, self._currency)
        except (AmountFormatError, CurrencyNotSupportedError):
            return None

    def _compare_total(self) -> None:
        """BPR02 against the lines; without an entity there is no remittance to compare, only a payment."""
        payment = self._payment
        stated = self._known_minor(payment.get(2)) if payment else None
        if payment is None or stated is None or self._total is None:
            return
        if self._parts == 0:
            self._findings.remark("the payment has no remittance lines", number=payment.number, line=payment.line)
        elif stated != self._total:
            self._mismatch(
                payment,
                f"BPR02 is {self._shown(stated)}, amounts paid and adjustments of its lines add up to "
                f"{self._shown(self._total)}",
                "BPR02",
            )

    def _compare_line(self, node: Node) -> None:
        """RMR04 against RMR05, discount and the line's adjustments."""
        rmr = node.head
        adjustments = [loop.head.get(1) for loop in node.loops("2320")] + ([rmr.get(8)] if rmr.get(8) else [])
        if not rmr.get(5) or not adjustments:
            return
        discount = self._known_minor(rmr.get(6) or "0")
        amounts = [self._known_minor(text) for text in (rmr.get(5), *adjustments)]
        expected = self._sum([*amounts, None if discount is None else -discount])
        paid = self._known_minor(rmr.get(4))
        if paid is not None and expected is not None and paid != expected:
            self._mismatch(
                rmr, f"RMR04 is {self._shown(paid)}, RMR05 with its adjustments is {self._shown(expected)}", "RMR04"
            )

    def _mismatch(self, segment: Segment, message: str, element: str) -> None:
        self._findings.add(
            DefectCode.CONTROL_TOTAL,
            message,
            number=segment.number,
            line=segment.line,
            segment=segment.id,
            element=element,
        )

    def _shown(self, minor: int) -> str:
        return format_amount(minor, self._currency)

    def _advice(self, root: Node, envelope: Envelope) -> RemittanceAdvice:
        bpr, trn = root.all("BPR")[0], root.all("TRN")[0]
        parties = [_party(loop) for loop in root.loops(*_PARTY_LOOPS)]
        payer, receiver = _of_role(parties, "PR"), _of_role(parties, "PE")
        return RemittanceAdvice(
            envelope=envelope,
            handling=bpr.get(1),
            amount=self._minor(bpr, 2),
            currency=self._currency,
            credit=bpr.get(3) == "C",
            method=bpr.get(4),
            format=bpr.get(5),
            payer_account=_account(bpr, 6),
            originating_company=bpr.get(10),
            originating_company_supplement=bpr.get(11),
            receiver_account=_account(bpr, 12),
            payment_date=compact_date(bpr.get(16)) if bpr.get(16) else None,
            trace_kind=trn.get(1),
            trace_number=trn.get(2),
            trace_originator=trn.get(3),
            trace_originator_supplement=trn.get(4),
            payer=payer,
            receiver=receiver,
            references=references_of(root),
            dates=_dates(root.all("DTM")),
            other_parties=tuple(party for party in parties if party is not payer and party is not receiver),
            entities=tuple(self._entities),
        )

    def _entity(self, node: Node) -> RemittanceEntity:
        ent = node.head
        return RemittanceEntity(
            number=whole_number(ent.get(1)) or 0,
            entity=ent.get(2),
            identifier_qualifier=ent.get(3),
            identifier=Confidential(ent.get(4)),
            people=tuple(party_of(loop) for loop in node.loops("2100", "2100B")),
            adjustments=tuple(self._adjustment(loop.head) for loop in node.loops("2200")),
            lines=tuple(self._line(loop) for loop in node.loops("2300A", "2300B")),
            place=Place(ent.number, ent.line),
        )

    def _line(self, node: Node) -> RemittanceLine:
        rmr = node.head
        return RemittanceLine(
            reference_qualifier=rmr.get(1),
            reference=rmr.get(2),
            action=rmr.get(3),
            paid=self._minor(rmr, 4),
            invoiced=self._minor(rmr, 5) if rmr.get(5) else None,
            discount=self._minor(rmr, 6) if rmr.get(6) else None,
            references=references_of(node),
            dates=_dates(node.all("DTM")),
            counts=tuple(self._counts(node)),
            adjustments=(
                *([RemittanceAdjustment(self._minor(rmr, 8), rmr.get(7))] if rmr.get(8) else []),
                *(self._adjustment(loop.head) for loop in node.loops("2320")),
            ),
            place=Place(rmr.number, rmr.line),
        )

    def _counts(self, node: Node) -> Iterable[LineCount]:
        for item in node.loops("IT1"):
            for charge in item.loops("SAC"):
                sac = charge.head
                # SAC05 has two implied decimals whatever the currency (element type N2).
                yield LineCount(f"SAC {sac.get(2)}".strip(), minor=whole_number(sac.get(5)))
            for members in item.loops("SLN"):
                yield LineCount(f"SLN {members.head.get(5)}".strip(), count=members.head.get(4))

    def _adjustment(self, adx: Segment) -> RemittanceAdjustment:
        reference = Reference(adx.get(3), adx.get(4)) if adx.get(3) else None
        return RemittanceAdjustment(self._minor(adx, 1), adx.get(2), reference, Place(adx.number, adx.line))

    def _minor(self, segment: Segment, position: int) -> int:
        return minor_of(segment, position, self._currency, self._findings)


def _of_role(parties: list[RemittanceParty], role: str) -> RemittanceParty:
    return next((party for party in parties if party.role == role), RemittanceParty(role, ""))


def _party(node: Node) -> RemittanceParty:
    n1, contact, delivery = node.head, node.first("PER"), node.first("RDM")
    return RemittanceParty(
        role=n1.get(1),
        name=n1.get(2),
        identifier_qualifier=n1.get(3),
        identifier=n1.get(4),
        additional_names=tuple(name for segment in node.all("N2") for name in segment.elements if name),
        address=address_of(node),
        contact_name=contact.get(2) if contact else "",
        contacts=contacts_of(node),
        delivery=(delivery.get(1), delivery.get(2), delivery.get(3)) if delivery else ("", "", ""),
    )


def _account(bpr: Segment, position: int) -> BankAccount | None:
    parts = [bpr.get(position + offset) for offset in range(4)]
    return BankAccount(parts[0], parts[1], parts[2], Confidential(parts[3])) if any(parts) else None


def _dates(segments: Iterable[Segment]) -> tuple[QualifiedDate, ...]:
    return tuple(item for segment in segments for item in _date(segment))


def _date(segment: Segment) -> Iterable[QualifiedDate]:
    day: dt.date | None = compact_date(segment.get(2)) if segment.get(2) else None
    if day is not None:
        yield QualifiedDate(segment.get(1), day)
    begin, _, end = segment.get(6).partition("-")
    first = compact_date(begin)
    if first is not None:
        yield QualifiedDate(segment.get(1), first, compact_date(end) if end else None)
