"""Fields that need a privilege. The check comes first: without the privilege nothing is looked at (PLT-016)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import strawberry
from strawberry.permission import BasePermission

from domain.errors import refuse


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


def read(privilege: str, description: str, **options: Any) -> Callable[[Any], Any]:
    """A root field that needs a privilege, which its description names."""
    made: Callable[[Any], Any] = strawberry.field(
        description=f"{description} Needs `{privilege}`.", permission_classes=[needs(privilege)], **options
    )
    return made
