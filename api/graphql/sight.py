"""What a caller with a scope sees of things that lie only partly in it (PLT-034 to PLT-036).

The object itself is let through by the guard of its root field as soon as a part of it is visible; here the rest is
left out: accounts that are not visible, and histories that would name them.

decision: the events of a payment or a member record name every account they touch, and nothing is left out of an event
that was stored; so its history is shown only to who sees all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from api.graphql.context import Context
from api.graphql.reading import reading
from application.scope import covered_accounts
from domain.errors import refuse


def visible_accounts(context: Context, accounts: Iterable[str]) -> frozenset[str]:
    """Those of the accounts that lie in the caller's scope."""
    wanted = frozenset(accounts)
    scope = context.principal.scope
    return wanted if scope is None else covered_accounts(reading(context), scope, wanted)


def require_all_visible(context: Context, accounts: Iterable[str]) -> None:
    """Raises FORBIDDEN with reason SCOPE for what tells of all its accounts, unless all of them are visible."""
    wanted = frozenset(accounts)
    if visible_accounts(context, wanted) != wanted:
        raise refuse("FORBIDDEN", "this tells of accounts outside your scope", reason="SCOPE")
