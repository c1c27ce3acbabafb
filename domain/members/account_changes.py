"""Changes of an account that reach every record on it: the invoicing modality and the seasonal gaps.

Neither states an amount, and neither is ever out of sequence for a member (PRM-100). Both act through the terms of the
account, which `facts` hold as they are from now on; what the record keeps of them is that they happened, on which day,
and the versions that show the new modal amounts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from domain.calendar.frequency import Frequency
from domain.errors import Problem, refuse_if_any
from domain.members.events import (
    MemberPremiumRecalculated,
    ModalityChanged,
    ModalPremiumRow,
    ModalPremiumVersionCreated,
    Rerouting,
    SeasonalPremiumRecalculated,
    VersionStatus,
)
from domain.members.modality import derived_modality
from domain.members.placements import ACCOUNT_LEVEL
from domain.members.requests import TransactionRequest
from domain.members.rows import changed_rows, rows_of
from domain.members.unit import Unit, apply, next_version, put_in_force
from domain.premium.timeline import order_key
from domain.premium.transactions import Origin, PolicyTransaction, TransactionType

_T = TransactionType


def change(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """The effect of an account's change on the record; none when the account does not concern it."""
    if request.kind is _T.INVOICING_MODALITY_CHANGE:
        _change_modality(unit, request, mark)
    else:
        _change_gaps(unit, request, mark)


def _change_modality(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """PRM-073: records placed on the account on or after the day whose modality comes from its invoicing frequency.

    Refuses LATER_FREQUENCY_CHANGE_EXISTS when the account has a later one.
    """
    account, modality, first_day = request.account, request.modality, request.effective_date
    assert account is not None
    assert modality is not None
    assert first_day is not None
    concerned = [
        one
        for one in unit.timeline.segments
        if one.account == account and one.modality is None and one.in_force and one.end > first_day
    ]
    if not concerned:
        return
    refuse_if_any(_later_change(unit, account, first_day))
    transaction = _account_transaction(unit, request, max(first_day, concerned[0].start))
    apply(
        unit,
        replace(transaction, modality=modality),
        mark,
        consequences=(
            ModalityChanged(
                member_record=unit.record.number,
                transaction_id=transaction.transaction_id,
                master_policy=unit.record.master_policy,
                account=account,
                old_modality=_modality_before(unit, account, transaction.effective_date) or modality,
                modality=modality,
                effective_date=transaction.effective_date,
            ),
        ),
    )


def _later_change(unit: Unit, account: str, first_day: dt.date) -> list[Problem]:
    for one in unit.in_force:
        dated = one.original_date or one.effective_date
        if one.type is _T.INVOICING_MODALITY_CHANGE and one.account == account and dated > first_day:
            return [
                Problem(
                    "LATER_FREQUENCY_CHANGE_EXISTS",
                    "the account has a later change of its invoicing frequency",
                    "/effective_date",
                    params={"later": dated.isoformat()},
                )
            ]
    return []


def _modality_before(unit: Unit, account: str, day: dt.date) -> Frequency | None:
    """The modality the record had on the account until the day, by its rows."""
    rows = [one for one in unit.record.rows if one.account == account and one.effective <= day]
    return max(rows, key=lambda one: one.effective).modality if rows else None


def _change_gaps(unit: Unit, request: TransactionRequest, mark: str) -> None:
    """PRM-148: one version for each applied transaction with rows on the account, in order; the last is ACTIVE."""
    account = request.account
    assert account is not None
    assert request.effective_date is not None
    if not any(one.account == account for one in unit.record.placements):
        return
    day = max(request.effective_date, unit.record.effective_date)
    transaction = _account_transaction(unit, request, day)
    put_in_force(unit, transaction, mark, before=unit.in_force)
    _lock_modality(unit, account, transaction)
    versions = {one.transaction_id: one.version for one in unit.record.transactions if one.version is not None}
    rows = rows_of(unit.timeline, unit.facts.accounts, versions)
    made = []
    for one in _with_rows(unit, account, rows):
        made.append(unit.record.latest_version + 1)
        unit.emit(_seasonal_version(unit, one, made[-1], rows))
    unit.emit(
        SeasonalPremiumRecalculated(
            member_record=unit.record.number,
            transaction_id=transaction.transaction_id,
            account=account,
            gap_months=tuple(sorted(unit.facts.terms_of(account).seasonal_gaps)),
            versions=tuple(made),
        )
    )


def _with_rows(unit: Unit, account: str, rows: Sequence[ModalPremiumRow]) -> list[PolicyTransaction]:
    """The applied transactions with rows on the account, in the order of PRM-004."""
    having = {one.transaction_id for one in (*unit.record.rows, *rows) if one.account == account}
    return [one for one in unit.in_force if one.transaction_id in having]


def _seasonal_version(
    unit: Unit, origin: PolicyTransaction, number: int, rows: Sequence[ModalPremiumRow]
) -> ModalPremiumVersionCreated:
    """The version of one transaction with its rows at the new paymode; their origin version is kept."""
    own = [one for one in rows if one.transaction_id == origin.transaction_id]
    added, ended = changed_rows([one for one in unit.record.rows if one.transaction_id == origin.transaction_id], own)
    return ModalPremiumVersionCreated(
        member_record=unit.record.number,
        version=number,
        status=VersionStatus.ACTIVE,
        origin=origin.transaction_id,
        type=origin.type,
        effective_date=origin.effective_date,
        rows=tuple(replace(one, seasonal=True) for one in added),
        withdrawn=ended,
        seasonal=True,
        rolled_on=origin.rolled_on_from is not None,
    )


def _lock_modality(unit: Unit, account: str, cause: PolicyTransaction) -> None:
    """A seasonal account wins over every other source of the modality: stored ones give way (MEM-112)."""
    terms = unit.facts.terms_of(account)
    if not terms.seasonal_gaps:
        return
    changes = []
    for one in unit.in_force:
        segment = unit.timeline.at(one.effective_date)
        if one.modality is None or one.type in ACCOUNT_LEVEL or segment is None or segment.account != account:
            continue
        choice = derived_modality(terms, segment.payroll_frequency, unit.facts.policy.terms.allowed_modalities)
        if choice is None or choice.modality is one.modality:
            continue
        fallback = one.transaction_id in unit.record.fallbacks
        changes.append(Rerouting(one.transaction_id, one.account, choice.modality, choice.from_account, fallback))
    if changes:
        unit.emit(
            MemberPremiumRecalculated(
                member_record=unit.record.number,
                caused_by=cause.transaction_id,
                kept=tuple(one.transaction_id for one in sorted(unit.in_force, key=order_key) if one is not cause),
                rerouted=tuple(changes),
            )
        )


def _account_transaction(unit: Unit, request: TransactionRequest, day: dt.date) -> PolicyTransaction:
    assert request.transaction_id is not None
    assert request.transaction_date is not None
    assert request.kind is not None
    return PolicyTransaction(
        transaction_id=request.transaction_id,
        type=request.kind,
        effective_date=day,
        transaction_date=request.transaction_date,
        recorded_at=unit.facts.now,
        order=unit.record.next_order,
        origin=request.origin or Origin.BILLING,
        version=next_version(unit.record, request.kind),
        account=request.account,
        original_date=request.effective_date if request.effective_date != day else None,
    )
