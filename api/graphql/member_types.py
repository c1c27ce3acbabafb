"""What the schema shows of member records: transactions, modal premium rows, charges, what is not billed yet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from fractions import Fraction

import strawberry

from api.graphql.scalars import Money, money
from domain.calendar.periods import Period
from domain.members.events import AnybLine, ModalPremiumRow, VersionStatus
from domain.members.record import MemberRecord as RecordState
from domain.premium.charges import Charge as DomainCharge
from domain.premium.explanation import Explanation
from domain.premium.transactions import ItemKey, PolicyTransaction

_DAY = dt.timedelta(days=1)


@strawberry.type(description="What a premium is for; empty parts do not apply.")
class Item:
    coverage: str = strawberry.field(description="The coverage.")
    plan: str = strawberry.field(description="The plan.")
    coverage_class: str = strawberry.field(description="The class.")
    tier: str = strawberry.field(description="The tier.")
    sub_group: str = strawberry.field(description="The sub-group.")


def item_of(key: ItemKey) -> Item:
    return Item(
        coverage=key.coverage, plan=key.plan, coverage_class=key.coverage_class, tier=key.tier, sub_group=key.sub_group
    )


@strawberry.type(description="An annual amount that a transaction states.")
class StatedAmount:
    item: Item = strawberry.field(description="What it is for.")
    annual_amount: Money | None = strawberry.field(description="The annual amount; null: the item ends.")


@strawberry.type(description="A policy transaction of a member record.")
class MemberTransaction:
    transaction_id: strawberry.ID = strawberry.field(description="Its id, as the policy system sent it.")
    type: str = strawberry.field(description="NEW_BUSINESS, AMENDMENT, CANCELLATION ...")
    kinds: list[str] = strawberry.field(description="The kinds of an amendment.")
    origin: str = strawberry.field(description="Where it came from.")
    effective_date: dt.date = strawberry.field(description="From when it takes effect.")
    transaction_date: dt.date = strawberry.field(description="When it was made.")
    recorded_at: dt.datetime = strawberry.field(description="When it was recorded.")
    status: str = strawberry.field(description="APPLIED, BACKED_OFF, ROLLED_ON, DROPPED, INEFFECTIVE ...")
    version: int | None = strawberry.field(description="The version of the modal premium it made.")
    rolled_on_from: str | None = strawberry.field(description="The backed-off transaction it was rolled on from.")
    caused_back_off: str | None = strawberry.field(description="The transaction that backed it off.")
    account: str | None = strawberry.field(description="The account it places the record on.")
    reason: str | None = strawberry.field(description="Its reason.")
    amounts: list[StatedAmount] = strawberry.field(description="The annual amounts it states.")


def transaction_of(one: PolicyTransaction, currency: str) -> MemberTransaction:
    return MemberTransaction(
        transaction_id=strawberry.ID(one.transaction_id),
        type=str(one.type),
        kinds=[str(kind) for kind in one.kinds],
        origin=str(one.origin),
        effective_date=one.effective_date,
        transaction_date=one.transaction_date,
        recorded_at=one.recorded_at,
        status=str(one.status),
        version=one.version,
        rolled_on_from=one.rolled_on_from,
        caused_back_off=one.caused_back_off,
        account=one.account,
        reason=one.reason,
        amounts=[
            StatedAmount(
                item=item_of(part.key), annual_amount=None if part.annual is None else money(part.annual, currency)
            )
            for part in one.amounts
        ],
    )


@strawberry.type(description="A row of the modal premium history (PRM-041).")
class ModalPremium:
    version: int = strawberry.field(description="The version that shows it.")
    version_status: str = strawberry.field(description="ACTIVE, PENDING, INACTIVE or OBSOLETE.")
    origin_version: int = strawberry.field(description="The version in which its transaction first appeared.")
    current: bool = strawberry.field(description="Whether it belongs to the ACTIVE version.")
    transaction_id: str = strawberry.field(description="The transaction that made it.")
    transaction_type: str = strawberry.field(description="The type of that transaction.")
    transaction_effective_date: dt.date = strawberry.field(description="Its date, as the history screen shows it.")
    effective_date: dt.date = strawberry.field(description="From when the row holds.")
    account: str = strawberry.field(description="The account that bills it.")
    item: Item = strawberry.field(description="What it is for.")
    location: str | None = strawberry.field(description="The location.")
    division: str | None = strawberry.field(description="The division.")
    modality: str = strawberry.field(description="The frequency of the modal premium.")
    annual_amount: Money = strawberry.field(description="The annual amount.")
    modal_amount: Money = strawberry.field(description="The premium of a whole period.")
    prorated_amount: Money | None = strawberry.field(description="The premium of the part of a period it covers.")
    days: int | None = strawberry.field(description="The days of that part.")
    period_start: dt.date = strawberry.field(description="The first day of the period in which it begins.")
    period_end: dt.date = strawberry.field(description="The last day of that period.")
    flags: list[str] = strawberry.field(description="STOP, RESUME, SEASONAL, ROLLED_ON, WAIVER.")
    sequences: list[str] = strawberry.field(description="Its premium sequences.")


def modal_premium_of(
    row: ModalPremiumRow,
    record: RecordState,
    version: int,
    status: VersionStatus,
    transactions: Mapping[str, PolicyTransaction],
    *,
    later_date: bool,
    waived: bool,
) -> ModalPremium:
    """A row as a version shows it. `later_date`: an individual direct account shows the later of both dates."""
    transaction = transactions.get(row.transaction_id)
    dated = transaction.effective_date if transaction is not None else row.effective
    flags = {
        "STOP": row.stop,
        "RESUME": row.resume,
        "SEASONAL": row.seasonal,
        "ROLLED_ON": row.rolled_on,
        "WAIVER": waived,
    }
    currency = record.currency
    return ModalPremium(
        version=version,
        version_status=str(status),
        origin_version=row.origin_version,
        current=status is VersionStatus.ACTIVE,
        transaction_id=row.transaction_id,
        transaction_type=str(transaction.type) if transaction is not None else "",
        transaction_effective_date=max(dated, row.effective) if later_date else dated,
        effective_date=row.effective,
        account=row.account,
        item=item_of(row.key),
        location=row.location,
        division=row.division,
        modality=str(row.modality),
        annual_amount=money(row.annual, currency),
        modal_amount=money(row.modal, currency),
        prorated_amount=None if row.prorated is None else money(row.prorated, currency),
        days=row.days,
        period_start=row.period_start,
        period_end=row.period_end - _DAY,
        flags=[flag for flag, is_set in flags.items() if is_set],
        sequences=list(row.sequences),
    )


@strawberry.type(description="What is not billed yet of one charge (PRM-121).")
class AnybItem:
    account: str = strawberry.field(description="The account.")
    item: Item = strawberry.field(description="What it is for.")
    sequence: str = strawberry.field(description="The premium sequence.")
    modality: str = strawberry.field(description="The frequency.")
    modal_start: dt.date = strawberry.field(description="The first day of the modal period.")
    billing_start: dt.date = strawberry.field(description="The first day of the invoicing period that billed it.")
    kind: str = strawberry.field(description="RETRO, or PRIOR_PERIOD_CHARGE for what no invoice carries.")
    invoiced: Money = strawberry.field(description="What live invoices carry, waivers included.")
    corrected: Money = strawberry.field(description="What it should be, waivers included.")
    charge: Money = strawberry.field(description="The charge part of the difference.")
    waiver: Money = strawberry.field(description="The waiver part of the difference.")
    amount: Money = strawberry.field(description="Both parts together.")
    sources: list[str] = strawberry.field(description="The transactions behind it, the latest recorded one last.")


def anyb_item_of(line: AnybLine, account: str, currency: str) -> AnybItem:
    invoiced = line.invoiced_charge + line.invoiced_waiver
    return AnybItem(
        account=account,
        item=item_of(line.item),
        sequence=line.sequence,
        modality=str(line.modality),
        modal_start=line.period_start,
        billing_start=line.billing_start,
        kind=str(line.kind),
        invoiced=money(invoiced, currency),
        corrected=money(invoiced + line.amount, currency),
        charge=money(line.charge, currency),
        waiver=money(line.waiver, currency),
        amount=money(line.amount, currency),
        sources=list(line.sources),
    )


@strawberry.type(description="What a member record costs on an account in a modal period (PRM-020 to PRM-032).")
class Charge:
    member_record: str = strawberry.field(description="The member record.")
    account: str = strawberry.field(description="The account.")
    item: Item = strawberry.field(description="What it is for.")
    sequence: str = strawberry.field(description="The premium sequence.")
    modality: str = strawberry.field(description="The frequency.")
    period_start: dt.date = strawberry.field(description="The first day of the modal period.")
    period_end: dt.date = strawberry.field(description="The last day of the modal period.")
    covered_from: dt.date = strawberry.field(description="The first covered day.")
    covered_to: dt.date = strawberry.field(description="The last covered day.")
    days: int = strawberry.field(description="The charged days.")
    whole: bool = strawberry.field(description="Whether the whole period is charged at modal premium.")
    annual_amount: Money = strawberry.field(description="The annual amount on the last day.")
    gross: Money = strawberry.field(description="The charge.")
    waiver: Money = strawberry.field(description="What of it is waived, never positive.")
    net: Money = strawberry.field(description="Charge and waiver together.")
    billing_start: dt.date = strawberry.field(description="The first day of the invoicing period that bills it.")
    billing_end: dt.date = strawberry.field(description="The last day of that invoicing period.")
    invoices: list[str] = strawberry.field(description="Live invoices that carry it.")


@strawberry.type(description="A piece of a charge with one rate.")
class ExplainedPiece:
    start: dt.date = strawberry.field(description="The first day.")
    end: dt.date = strawberry.field(description="The last day.")
    days: int = strawberry.field(description="Its days.")
    annual_amount: Money = strawberry.field(description="The annual amount in it; 0 while stopped.")
    unrounded: str = strawberry.field(
        description="Its exact premium by days in minor units, as a fraction such as 3000/365. The pieces add up to "
        "the charge, rounded once, unless it is `whole`: that costs the modal amount."
    )
    stopped: bool = strawberry.field(description="Whether billing is stopped.")
    waiver: str | None = strawberry.field(description="The waiver in it.")
    location: str | None = strawberry.field(description="The location.")
    division: str | None = strawberry.field(description="The division.")
    sources: list[str] = strawberry.field(description="The transactions behind it.")


@strawberry.type(description="How a charge comes about: pieces, proration, rounding, the share of the sequence.")
class ChargeExplanation:
    charge: Charge = strawberry.field(description="The charge.")
    basis: str = strawberry.field(description="The proration basis.")
    paymode: int = strawberry.field(description="Modal periods a year.")
    modal_amount: Money = strawberry.field(description="The premium of a whole period.")
    full_period_days: int = strawberry.field(description="The days of the whole period.")
    whole: bool = strawberry.field(description="Whether the whole period is charged at modal premium.")
    capped: bool = strawberry.field(description="Whether the modal premium is the limit that was reached.")
    gross: Money = strawberry.field(description="The item's charge before it is split by sequence, rounded once.")
    net: Money = strawberry.field(description="The same less waivers.")
    coefficient: str = strawberry.field(description="The share of the sequence, as a fraction; 1 for a single one.")
    pieces: list[ExplainedPiece] = strawberry.field(description="Its pieces in order of days.")
    transactions: list[MemberTransaction] = strawberry.field(description="The transactions behind it, in order.")
    version: int | None = strawberry.field(description="The ACTIVE version of the modal premium.")


def charge_of(charge: DomainCharge, currency: str, billing: Period, invoices: list[str]) -> Charge:
    """A charge with the invoicing period that bills it, and the live invoices that carry it."""
    return Charge(
        member_record=charge.member_record,
        account=charge.account,
        item=item_of(charge.item),
        sequence=charge.sequence,
        modality=str(charge.modality),
        period_start=charge.period_start,
        period_end=charge.period_end - _DAY,
        covered_from=charge.covered_from,
        covered_to=charge.covered_to,
        days=charge.days,
        whole=charge.whole,
        annual_amount=money(charge.annual, currency),
        gross=money(charge.gross, currency),
        waiver=money(charge.waiver, currency),
        net=money(charge.net, currency),
        billing_start=billing.start,
        billing_end=billing.end - _DAY,
        invoices=invoices,
    )


def explanation_of(found: Explanation, charge: Charge, record: RecordState) -> ChargeExplanation:
    currency = record.currency
    named = dict.fromkeys(source for piece in found.pieces for source in piece.sources)
    ordered = sorted(record.active_transactions, key=lambda one: one.sort_key)
    transactions = [one for one in ordered if one.transaction_id in named]
    active = record.active_version
    return ChargeExplanation(
        charge=charge,
        basis=found.basis,
        paymode=found.paymode,
        modal_amount=money(found.modal, currency),
        full_period_days=found.full_period_days,
        whole=found.whole,
        capped=found.capped,
        gross=money(found.gross, currency),
        net=money(found.net, currency),
        coefficient=_fraction(found.coefficient),
        pieces=[
            ExplainedPiece(
                start=piece.start,
                end=piece.end - _DAY,
                days=piece.days,
                annual_amount=money(piece.annual, currency),
                unrounded=_fraction(piece.unrounded),
                stopped=piece.stopped,
                waiver=piece.waiver_id,
                location=piece.location,
                division=piece.division,
                sources=list(piece.sources),
            )
            for piece in found.pieces
        ],
        transactions=[transaction_of(one, currency) for one in transactions],
        version=None if active is None else active.number,
    )


def _fraction(value: Fraction) -> str:
    return str(value)
