"""Fields that need a privilege, and whose objects lie in the caller's scope.

The privilege comes first: without it nothing is looked at (PLT-016). Then a root field's arguments are held against the
scope of a caller who has one (PLT-033): an object outside it is answered exactly as an unknown one, and a field that
names no object is for callers with scope ALL.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import strawberry
from strawberry.permission import BasePermission

from application.scope import outside
from domain.errors import refuse, refuse_if_any

#: By the name of an argument: what kind of object it names, as commands call it.
_ARGUMENTS: Final = {
    "account": "account",
    "owner": "owner",
    "customer": "owner",
    "reference": "owner",
    "member_record": "member_record",
    "master_policy": "master_policy",
    "setup_ref": "setup_ref",
    "invoice": "invoice",
}
#: Root fields whose argument `number` names an object, and of what kind.
_NUMBERED: Final = {
    "billingAccount": "account",
    "invoice": "invoice",
    "payment": "payment",
    "memberRecord": "member_record",
    "masterPolicy": "master_policy",
    "task": "task",
}
#: Numbers that fields take in any case.
_UPPER: Final = frozenset({"invoice", "payment"})
#: Root fields that themselves leave out what is not visible, also when the object they start from is not.
_PARTIAL: Final = frozenset({"installmentSchedule", "installmentPurchases", "tasks", "consolidatedBilling"})
#: Root fields that show nothing of any customer.
_OPEN: Final = frozenset({"billingCalendar", "billingCalendars", "paymentPlan", "paymentPlans", "freshness"})


@cache
def needs(*privileges: str) -> type[BasePermission]:
    """A permission that lets holders of any of the privileges pass. Raises FORBIDDEN for others."""

    class Needs(BasePermission):
        message = "The privilege for this field is missing."

        def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
            if info.context.principal.privileges.isdisjoint(privileges):
                raise refuse("FORBIDDEN", self.message)
            return True

    return Needs


class InScope(BasePermission):
    """Lets a root field pass when the objects it names lie in the caller's scope."""

    message = "The object is outside the caller's scope."

    def has_permission(self, source: Any, info: strawberry.Info, **kwargs: Any) -> bool:
        from api.graphql.reading import reading  # the module of reads is built on this one's fields

        scope = info.context.principal.scope
        if scope is None or info.field_name in _OPEN | _PARTIAL:
            return True
        named = {kind: kwargs[name] for name, kind in _ARGUMENTS.items() if isinstance(kwargs.get(name), str)}
        if info.field_name in _NUMBERED:
            named[_NUMBERED[info.field_name]] = kwargs["number"]
        for kind in _UPPER & named.keys():
            named[kind] = named[kind].strip().upper()
        refuse_if_any(outside(reading(info.context), scope, named))
        return True


def read(privilege: str, description: str, **options: Any) -> Callable[[Any], Any]:
    """A root field that needs a privilege, which its description names."""
    made: Callable[[Any], Any] = strawberry.field(
        description=f"{description} Needs `{privilege}`.", permission_classes=[needs(privilege), InScope], **options
    )
    return made
