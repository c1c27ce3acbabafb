"""Master policy transactions on their way through the member records of the policy (PRM-150 to PRM-152)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Final

import strawberry

from api.graphql.context import Context
from api.graphql.paging import DEFAULT_PAGE, After, Connection, First, page
from api.graphql.sight import visible_accounts
from domain.members.cascade import CascadeOutcome, CascadeStatus, standing_results
from domain.members.cascade_run import CASCADE
from domain.members.record import MEMBER_RECORD
from domain.products.master_policy import CascadeResult
from projections.cascades.reads import RESULTS, waiting_members
from projections.cascades.reads import cascades_of as rows_of
from projections.reads import Row

#: Cascades of one policy that are told at most.
_MOST: Final = 1_000


@strawberry.type(description="What a master policy transaction did to one member record (PRM-151).")
class CascadedRecord:
    member_record: str = strawberry.field(description="The member record.")
    result: str = strawberry.field(
        description="APPLIED, SKIPPED, DEAD_LETTERED, or REFUSED when its dead letter was; a later success counts."
    )
    code: str | None = strawberry.field(description="Why it could not be applied.")
    dead_letter: str | None = strawberry.field(description="The dead letter as which it waits.")


@strawberry.type(description="An account that a rewrite of a master policy started anew (PRM-152).")
class RestartedAccount:
    account: str = strawberry.field(description="The account.")
    invoicing_start: dt.date | None = strawberry.field(description="Its new invoicing start; null: nothing changed.")
    discarded: list[str] = strawberry.field(description="Invoices that were discarded, newest first.")
    not_discarded: list[str] = strawberry.field(description="Invoices that could not be discarded and stay.")
    warnings: list[str] = strawberry.field(description="What is to be looked at, as codes.")


@strawberry.type(description="A master policy transaction on its way through the member records (PRM-150).")
class Cascade:
    transaction_id: strawberry.ID = strawberry.field(description="Its id, as the policy system sent it.")
    activity_id: str | None = strawberry.field(
        description="The activity that lets it reach the records, also the id of its job run; null for old ones."
    )
    type: str = strawberry.field(description="CANCELLATION, RESCIND_CANCELLATION, REINSTATEMENT or REWRITE.")
    effective_date: dt.date = strawberry.field(description="From when it takes effect.")
    status: str = strawberry.field(description="RUNNING, COMPLETED or COMPLETED_WITH_ERRORS.")
    members: int = strawberry.field(description="Member records of the policy when it began.")
    applied: int = strawberry.field(description="Records to which it was applied.")
    skipped: int = strawberry.field(description="Records that needed nothing.")
    dead_lettered: int = strawberry.field(description="Records that wait as dead letters.")
    refused: int = strawberry.field(description="Records whose dead letter was refused when it was processed.")
    _cascade: strawberry.Private[str]
    _standing: strawberry.Private[frozenset[str]]

    @strawberry.field(description="The result of each record that was reached, by record number.")
    def results(
        self, info: strawberry.Info, first: First = DEFAULT_PAGE, after: After = None
    ) -> Connection[CascadedRecord]:
        found = page(info.context, RESULTS, {"cascade": self._cascade}, first, after, _record)
        return found.mapped(
            lambda one: replace(one, result=str(CascadeOutcome.APPLIED)) if one.member_record in self._standing else one
        )

    @strawberry.field(description="The visible accounts that had their turn, in order; only of a rewrite.")
    def accounts(self, info: strawberry.Info) -> list[RestartedAccount]:
        loaded = info.context.state(CASCADE, self._cascade)
        restarted = () if loaded is None else loaded.state.restarted
        visible = visible_accounts(info.context, (one.account for one in restarted))
        return [
            RestartedAccount(
                account=one.account,
                invoicing_start=one.invoicing_start,
                discarded=list(one.discarded),
                not_discarded=list(one.not_discarded),
                warnings=list(one.warnings),
            )
            for one in restarted
            if one.account in visible
        ]


def _record(row: Row) -> CascadedRecord:
    return CascadedRecord(
        member_record=row["member"], result=row["result"], code=row["code"], dead_letter=row["dead_letter"]
    )


def cascades_of(context: Context, policy: str, transaction_id: str | None) -> list[Cascade]:
    """The cascades of a policy in order of recording."""
    return [_cascade(context, row) for row in rows_of(context.reads, policy, transaction_id, _MOST)]


def _cascade(context: Context, row: Row) -> Cascade:
    # A cascade from before cascades had streams does not record what came of its dead letters: the records do.
    standing = frozenset() if row["followed"] else _applied_later(context, row)
    waiting = row["dead_lettered"] - len(standing)
    status = row["status"]
    if status != CascadeStatus.RUNNING:
        failed = waiting or row["refused"]
        status = CascadeStatus.COMPLETED_WITH_ERRORS if failed else CascadeStatus.COMPLETED
    return Cascade(
        transaction_id=strawberry.ID(row["transaction_id"]),
        activity_id=row["cascade"] if row["followed"] else None,
        type=row["type"],
        effective_date=row["effective_date"],
        status=str(status),
        members=row["members"],
        applied=row["applied"] + len(standing),
        skipped=row["skipped"],
        dead_lettered=waiting,
        refused=row["refused"],
        _cascade=row["cascade"],
        _standing=standing,
    )


def _applied_later(context: Context, row: Row) -> frozenset[str]:
    """The records of an old cascade to which it was applied from their dead letters."""
    waiting = waiting_members(context.reads, row["cascade"])
    loaded = context.history.states(MEMBER_RECORD, waiting)
    results = [CascadeResult(number, CascadeOutcome.DEAD_LETTERED) for number in waiting]
    found = standing_results(row["transaction_id"], results, {number: one.state for number, one in loaded.items()})
    return frozenset(one.member_record for one in found if one.result == CascadeOutcome.APPLIED)
