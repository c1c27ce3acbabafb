"""Which account bills a member record on which days: a chain of placements, told by the transactions that place it.

Placements are half-open intervals from the record's effective date without gap or overlap; the last one is open, or
ends at the cancellation date, which `closed` shows (MEM-069). A change of account dated d ends the placement before it
at d and starts the new one at d; of two with the same date the one recorded later wins, and the other stays as a
placement of no days (MEM-070).

    NB on A          class change, to B        portability, to C         the same date again, to D
    |------- A ------|------------- B ---------|C|----------- D ------->
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final

from domain.premium.timeline import order_key
from domain.premium.transactions import PolicyTransaction, TransactionType

MOVES_TO_DIRECT: Final = frozenset({TransactionType.CONTINUATION, TransactionType.PORTABILITY})
#: Moves and returns; a removed continuation moves nothing but closes the way back (MEM-122, MEM-128).
MOVES: Final = MOVES_TO_DIRECT | {TransactionType.MOVED_TO_LIST_BILL, TransactionType.CONTINUATION_REMOVED}
STARTS: Final = frozenset({TransactionType.NEW_BUSINESS, TransactionType.REWRITE})
#: Operations on an account: their `account` is the one concerned, it places nobody (PRM-100).
ACCOUNT_LEVEL: Final = frozenset({TransactionType.INVOICING_MODALITY_CHANGE, TransactionType.SEASONAL_UPDATE})


@dataclass(frozen=True, slots=True)
class Placement:
    """Days [start, end) on which the account bills the record; `end` None is open.

    `start` is also the record's invoicing start on the account (MEM-073). `direct` tells an individual direct account,
    `root_fallback` that it is the root's for want of another (MEM-104).
    """

    account: str
    start: dt.date
    end: dt.date | None = None
    direct: bool = False
    root_fallback: bool = False

    def holds(self, day: dt.date) -> bool:
        """Whether the day lies in the placement."""
        return self.start <= day and (self.end is None or day < self.end)


def placements_of(
    transactions: Iterable[PolicyTransaction], direct_accounts: Collection[str], fallbacks: Collection[str] = ()
) -> tuple[Placement, ...]:
    """The placements by those of the transactions that are in force, in order; empty before a start.

    `direct_accounts` bill individual direct, `fallbacks` are the transactions that placed on the root's account.
    """
    chain: list[Placement] = []
    for one in sorted((one for one in transactions if one.in_force), key=order_key):
        if one.type in STARTS:
            chain = []
        if one.account is None or one.type in ACCOUNT_LEVEL:
            continue
        fallback = one.transaction_id in fallbacks
        if chain and chain[-1].account == one.account:
            chain[-1] = replace(chain[-1], root_fallback=fallback)
            continue
        if chain:
            chain[-1] = replace(chain[-1], end=one.effective_date)
        direct = one.type in MOVES_TO_DIRECT or one.account in direct_accounts
        chain.append(Placement(one.account, one.effective_date, None, direct, fallback))
    return tuple(chain)


def closed(placements: tuple[Placement, ...], cancelled_on: dt.date | None) -> tuple[Placement, ...]:
    """The placements as they end at a cancellation; those of a record in force stay open (MEM-069)."""
    if cancelled_on is None or not placements:
        return placements
    *earlier, last = placements
    return (*earlier, replace(last, end=max(last.start, cancelled_on)))


def placement_on(placements: Iterable[Placement], day: dt.date) -> Placement | None:
    """The placement that holds the day."""
    return next((one for one in placements if one.holds(day)), None)


def last_placement(placements: tuple[Placement, ...], day: dt.date) -> Placement | None:
    """The placement begun last on or before the day, whether or not a cancellation closed it since."""
    return next((one for one in reversed(placements) if one.start <= day), None)


def last_move(transactions: Iterable[PolicyTransaction]) -> PolicyTransaction | None:
    """The latest move or return in force (MEM-122)."""
    moves = [one for one in transactions if one.in_force and one.type in MOVES]
    return max(moves, key=order_key, default=None)
