"""What an incoming transaction does to each later one: the matrix of PRM-103, cell by cell, and its application.

A transaction may arrive although others with a later effective date are already in force. Each of those later ones is
then backed off until Policy decides, kept and recalculated, or made ineffective, or the incoming one is refused. The
table below is the rulebook's, in its order of rows and columns, so that the two can be held side by side. Nothing here
knows the state of a member record: `react` takes the incoming transaction and those in force and sorts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.errors import InvariantError
from domain.premium.transactions import AmendmentKind, PolicyTransaction, TransactionType, WaiverSource


class Action(StrEnum):
    """What happens to a later transaction in force (PRM-102)."""

    B1 = "B1"
    """Backed off; awaits a roll-on or a drop."""
    B2 = "B2"
    """Stays in force, recalculated on its own calendar."""
    RO = "RO"
    """Stays in force, recalculated on top at its own date."""
    R0 = "R0"
    """As RO, with charge 0.00 and the inherited stop flag."""
    IN = "IN"
    """Becomes ineffective."""
    IN_STAR = "IN*"
    """As IN, but the end of a waiver that starts on or before the incoming date is kept."""
    OB = "OB"
    """Becomes obsolete."""
    X = "X"
    """The incoming transaction is refused."""
    NEVER = "–"
    """Cannot occur."""
    CLAMPED = "clamped"
    """The incoming date is moved to the member's start, so nothing is later."""


class Incoming(StrEnum):
    """Rows of PRM-103."""

    NEW_BUSINESS = "NEW_BUSINESS"
    AMENDMENT = "AMENDMENT general, class, payroll"
    STOP = "AMENDMENT stop"
    RESUME = "AMENDMENT resume"
    CANCELLATION = "CANCELLATION"
    RESCIND_CANCELLATION = "RESCIND_CANCELLATION"
    REINSTATEMENT = "REINSTATEMENT"
    RENEWAL = "RENEWAL"
    REWRITE_STANDALONE = "REWRITE standalone"
    REWRITE_CASCADED = "REWRITE cascaded"
    CONTINUATION = "CONTINUATION"
    PORTABILITY = "PORTABILITY"
    RETURN_OR_REMOVAL = "MOVED_TO_LIST_BILL, CONTINUATION_REMOVED"
    EMPLOYMENT = "EMPLOYMENT_CHANGE"
    WAIVER_POLICY = "WAIVER add/remove policy"
    WAIVER_CLAIMS = "WAIVER add/remove claims"
    MODALITY = "INVOICING_MODALITY_CHANGE"
    SEASONAL = "SEASONAL_UPDATE"


class Later(StrEnum):
    """Columns of PRM-103. A rescission has none: it counts for nothing later (PRM-012)."""

    AMENDMENT = "AMENDMENT (general, class, payroll)"
    STOP = "STOP"
    RESUME = "RESUME"
    CANCELLATION = "CANCELLATION"
    REINSTATEMENT = "REINSTATEMENT"
    RENEWAL = "RENEWAL"
    CONTINUATION = "CONTINUATION"
    PORTABILITY = "PORTABILITY"
    RETURN_OR_REMOVAL = "MOVED TO LB / CONT. REMOVED"
    EMPLOYMENT = "EMPLOYMENT"
    WAIVER_POLICY = "WAIVER policy"
    WAIVER_CLAIMS = "WAIVER claims"
    MODALITY = "MODALITY (account)"
    SEASONAL = "SEASONAL (account)"
    MEMBER_START = "member start (NB, REWRITE)"


B1, B2, RO, R0, IN, INS, OB, X, NO, CL = (
    Action.B1,
    Action.B2,
    Action.RO,
    Action.R0,
    Action.IN,
    Action.IN_STAR,
    Action.OB,
    Action.X,
    Action.NEVER,
    Action.CLAMPED,
)

# fmt: off
_ROWS: Final[dict[Incoming, tuple[Action, ...]]] = {
    #                                AMD  STP  RES  CAN  REI  REN  CON  POR  RET  EMP  W-P  W-C  MOD  SEA  START
    Incoming.NEW_BUSINESS:          (X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   B2,  RO,  X),
    Incoming.AMENDMENT:             (B1,  B1,  B1,  B1,  B1,  B1,  RO,  RO,  RO,  RO,  B1,  RO,  B2,  RO,  X),
    Incoming.STOP:                  (R0,  RO,  RO,  RO,  RO,  R0,  RO,  RO,  RO,  RO,  RO,  RO,  B2,  RO,  X),
    Incoming.RESUME:                (B1,  B1,  IN,  B1,  B1,  B1,  RO,  RO,  RO,  RO,  B1,  RO,  B2,  RO,  X),
    Incoming.CANCELLATION:          (IN,  IN,  IN,  IN,  IN,  IN,  IN,  IN,  IN,  RO,  INS, INS, B2,  RO,  X),
    Incoming.RESCIND_CANCELLATION:  (NO,  NO,  NO,  NO,  X,   NO,  NO,  NO,  NO,  RO,  RO,  RO,  B2,  RO,  X),
    Incoming.REINSTATEMENT:         (B1,  B1,  B1,  B1,  IN,  B1,  RO,  RO,  RO,  RO,  B1,  RO,  B2,  RO,  X),
    Incoming.RENEWAL:               (X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   B2,  RO,  X),
    Incoming.REWRITE_STANDALONE:    (X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X,   X),
    Incoming.REWRITE_CASCADED:      (OB,  OB,  OB,  OB,  OB,  OB,  RO,  RO,  RO,  RO,  OB,  RO,  B2,  RO,  OB),
    Incoming.CONTINUATION:          (IN,  IN,  IN,  IN,  IN,  IN,  X,   X,   X,   RO,  INS, RO,  B2,  RO,  X),
    Incoming.PORTABILITY:           (IN,  IN,  IN,  IN,  IN,  IN,  X,   X,   X,   RO,  INS, RO,  B2,  RO,  X),
    Incoming.RETURN_OR_REMOVAL:     (IN,  IN,  IN,  IN,  IN,  IN,  X,   X,   X,   RO,  INS, RO,  B2,  RO,  X),
    Incoming.EMPLOYMENT:            (RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  B2,  RO,  CL),
    Incoming.WAIVER_POLICY:         (RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  B2,  RO,  X),
    Incoming.WAIVER_CLAIMS:         (RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  B2,  RO,  X),
    Incoming.MODALITY:              (RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  X,   RO,  RO),
    Incoming.SEASONAL:              (RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  RO,  B2,  RO,  RO),
}
# fmt: on

#: PRM-103: what an incoming transaction of a row does to a later one of a column.
MATRIX: Final[dict[tuple[Incoming, Later], Action]] = {
    (incoming, later): action for incoming, row in _ROWS.items() for later, action in zip(Later, row, strict=True)
}

#: The code with which an X refuses (PRM-101, PRM-069, PRM-073, MEM-122, MEM-125); before the start it is another.
_REFUSED_AS: Final[dict[Incoming, str]] = {
    Incoming.NEW_BUSINESS: "OOS_NEW_BUSINESS_NOT_SUPPORTED",
    Incoming.RENEWAL: "OOS_RENEWAL_NOT_SUPPORTED",
    Incoming.REWRITE_STANDALONE: "REWRITE_ONLY_FROM_MASTER_POLICY",
    Incoming.RESCIND_CANCELLATION: "NO_CANCELLATION_IN_FORCE",
    Incoming.CONTINUATION: "TRANSITION_DATE_NOT_AFTER_PREVIOUS",
    Incoming.PORTABILITY: "TRANSITION_DATE_NOT_AFTER_PREVIOUS",
    Incoming.RETURN_OR_REMOVAL: "RETURN_BEFORE_CONTINUATION",
    Incoming.MODALITY: "LATER_FREQUENCY_CHANGE_EXISTS",
}

_ROW_OF_TYPE: Final[dict[TransactionType, Incoming]] = {
    TransactionType.NEW_BUSINESS: Incoming.NEW_BUSINESS,
    TransactionType.CANCELLATION: Incoming.CANCELLATION,
    TransactionType.RESCIND_CANCELLATION: Incoming.RESCIND_CANCELLATION,
    TransactionType.REINSTATEMENT: Incoming.REINSTATEMENT,
    TransactionType.RENEWAL: Incoming.RENEWAL,
    TransactionType.CONTINUATION: Incoming.CONTINUATION,
    TransactionType.PORTABILITY: Incoming.PORTABILITY,
    TransactionType.MOVED_TO_LIST_BILL: Incoming.RETURN_OR_REMOVAL,
    TransactionType.CONTINUATION_REMOVED: Incoming.RETURN_OR_REMOVAL,
    TransactionType.EMPLOYMENT_CHANGE: Incoming.EMPLOYMENT,
    TransactionType.INVOICING_MODALITY_CHANGE: Incoming.MODALITY,
    TransactionType.SEASONAL_UPDATE: Incoming.SEASONAL,
}
_COLUMN_OF_TYPE: Final[dict[TransactionType, Later]] = {
    TransactionType.NEW_BUSINESS: Later.MEMBER_START,
    TransactionType.REWRITE: Later.MEMBER_START,
    TransactionType.CANCELLATION: Later.CANCELLATION,
    TransactionType.REINSTATEMENT: Later.REINSTATEMENT,
    TransactionType.RENEWAL: Later.RENEWAL,
    TransactionType.CONTINUATION: Later.CONTINUATION,
    TransactionType.PORTABILITY: Later.PORTABILITY,
    TransactionType.MOVED_TO_LIST_BILL: Later.RETURN_OR_REMOVAL,
    TransactionType.CONTINUATION_REMOVED: Later.RETURN_OR_REMOVAL,
    TransactionType.EMPLOYMENT_CHANGE: Later.EMPLOYMENT,
    TransactionType.INVOICING_MODALITY_CHANGE: Later.MODALITY,
    TransactionType.SEASONAL_UPDATE: Later.SEASONAL,
}
_WAIVERS: Final = (TransactionType.WAIVER_ADD, TransactionType.WAIVER_REMOVE)


def row_of(transaction: PolicyTransaction, *, cascaded: bool = False) -> Incoming:
    """The row of an incoming transaction; `cascaded` tells a rewrite that comes from the master policy."""
    if transaction.type is TransactionType.AMENDMENT:
        if AmendmentKind.STOP_BILLING in transaction.kinds:
            return Incoming.STOP
        return Incoming.RESUME if AmendmentKind.RESUME_BILLING in transaction.kinds else Incoming.AMENDMENT
    if transaction.type is TransactionType.REWRITE:
        return Incoming.REWRITE_CASCADED if cascaded else Incoming.REWRITE_STANDALONE
    if transaction.type in _WAIVERS:
        claims = transaction.waiver_source is WaiverSource.CLAIMS
        return Incoming.WAIVER_CLAIMS if claims else Incoming.WAIVER_POLICY
    return _ROW_OF_TYPE[transaction.type]


def column_of(transaction: PolicyTransaction) -> Later | None:
    """The column of a transaction in force; None for a rescission, which counts for nothing (PRM-012)."""
    if transaction.type is TransactionType.AMENDMENT:
        if AmendmentKind.STOP_BILLING in transaction.kinds:
            return Later.STOP
        return Later.RESUME if AmendmentKind.RESUME_BILLING in transaction.kinds else Later.AMENDMENT
    if transaction.type in _WAIVERS:
        claims = transaction.waiver_source is WaiverSource.CLAIMS
        return Later.WAIVER_CLAIMS if claims else Later.WAIVER_POLICY
    return _COLUMN_OF_TYPE.get(transaction.type)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What an incoming transaction does to those in force: transaction ids by outcome, in the order of PRM-004.

    `refused` is the code with which the matrix refuses the incoming transaction, `by` the transaction that stands in
    its way; with a refusal nothing else is to be read. `kept` are the later ones that stay (B2, RO, R0).
    """

    backed_off: tuple[str, ...] = ()
    ineffective: tuple[str, ...] = ()
    obsolete: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    refused: str | None = None
    by: str | None = None


def react(incoming: PolicyTransaction, in_force: Iterable[PolicyTransaction], *, cascaded: bool = False) -> Reaction:
    """Treat every transaction in force that is later than the incoming one by the matrix (PRM-100, PRM-102, PRM-103).

    Later means a strictly later effective date; a cascaded rewrite treats those of every date, keeping what is dated on
    or after the new effective date only (PRM-069, PRM-103).
    """
    row = row_of(incoming, cascaded=cascaded)
    transactions = sorted(in_force, key=lambda transaction: transaction.sort_key)
    every_date = row is Incoming.REWRITE_CASCADED
    outcome: dict[Action, list[str]] = {action: [] for action in Action}
    for transaction in transactions:
        column = column_of(transaction)
        later = transaction.effective_date > incoming.effective_date
        if column is None or not (later or every_date):
            continue
        action = MATRIX[row, column]
        if column is Later.MODALITY and row is Incoming.MODALITY and transaction.account != incoming.account:
            action = Action.B2
        if action is Action.X:
            return Reaction(refused=_code_of(row, column), by=transaction.transaction_id)
        if action is Action.NEVER:
            raise InvariantError(f"{transaction.type} {transaction.transaction_id} cannot be later than a {row}")
        if action is Action.IN_STAR:
            action = Action.RO if _ends_running_waiver(transaction, transactions, incoming) else Action.IN
        if every_date and action in (Action.RO, Action.B2) and transaction.effective_date < incoming.effective_date:
            action = Action.OB
        outcome[action].append(transaction.transaction_id)
    kept = {*outcome[Action.B2], *outcome[Action.RO], *outcome[Action.R0]}
    return Reaction(
        backed_off=tuple(outcome[Action.B1]),
        ineffective=tuple(outcome[Action.IN]),
        obsolete=tuple(outcome[Action.OB]),
        kept=tuple(transaction.transaction_id for transaction in transactions if transaction.transaction_id in kept),
    )


def _code_of(row: Incoming, column: Later) -> str:
    """The code with which an X of the matrix refuses (PRM-101)."""
    if column is Later.MEMBER_START and row not in (Incoming.NEW_BUSINESS, Incoming.REWRITE_STANDALONE):
        return "BEFORE_MEMBER_EFFECTIVE"
    return _REFUSED_AS[row]


def _ends_running_waiver(
    transaction: PolicyTransaction, in_force: list[PolicyTransaction], incoming: PolicyTransaction
) -> bool:
    """Whether it is the end of a waiver that starts on or before the incoming date (IN* of PRM-103)."""
    return transaction.type is TransactionType.WAIVER_REMOVE and any(
        started.type is TransactionType.WAIVER_ADD
        and started.waiver_id == transaction.waiver_id
        and started.effective_date <= incoming.effective_date
        for started in in_force
    )
