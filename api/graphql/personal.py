"""Fields that show personal data: what a query was told of whom is noted, and recorded with its answer (PLT-079)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import strawberry
from graphql import DocumentNode, FieldNode, Undefined, VariableDefinitionNode, Visitor, value_from_ast_untyped, visit
from strawberry.extensions import FieldExtension

from application.query_trail import DataClass
from domain.accounts.account import ACCOUNT
from domain.customers.customer import CUSTOMER
from domain.members.dead_letter import DEAD_LETTER
from domain.members.record import MEMBER_RECORD
from domain.payments.payment import PAYMENT

#: By the kind of a stream, the classes of what its events may say of people; others say nothing of them. decision: an
#: event counts for what events of its stream may say, whatever it says itself.
_EVENTS: Final[Mapping[str, tuple[DataClass, ...]]] = {
    ACCOUNT.stream_type: (DataClass.CONTACT, DataClass.IDENTITY),
    CUSTOMER.stream_type: (DataClass.CONTACT, DataClass.IDENTITY),
    DEAD_LETTER.stream_type: (DataClass.IDENTITY, DataClass.SENSITIVE),
    MEMBER_RECORD.stream_type: (DataClass.IDENTITY, DataClass.SENSITIVE),
    PAYMENT.stream_type: (DataClass.IDENTITY,),
}
#: Arguments in which callers write names of people or their identifiers; what they wrote is not kept.
_WORDS: Final = frozenset({"text", "search", "name"})
_UNTOLD: Final = "***"
#: Fields of one query that its record lists at most.
_LISTED: Final = 100


class _Personal(FieldExtension):
    """Notes the object of every value that is shown; an absent one tells nothing."""

    def __init__(self, classes: tuple[DataClass, ...], stream: Callable[[Any], str]) -> None:
        self._classes = classes
        self._stream = stream

    def resolve(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return self._noted(next_(source, info, **kwargs), source, info)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return self._noted(await next_(source, info, **kwargs), source, info)

    def _noted(self, value: Any, source: Any, info: strawberry.Info) -> Any:
        if value is not None and value != "":
            info.context.tell(self._stream(source), *self._classes)
        return value


def of_member(*classes: DataClass) -> FieldExtension:
    """Data of the person of the source's member record."""
    return _Personal(classes, lambda source: MEMBER_RECORD.stream(str(source.member_record)))


def of_dead_letter(*classes: DataClass) -> FieldExtension:
    """Data in a kept message."""
    return _Personal(classes, lambda source: DEAD_LETTER.stream(str(source.number)))


class _Tells(_Personal):
    """The payload of an event: by its stream it is known what it may say of people."""

    def __init__(self) -> None:
        super().__init__((), lambda source: str(source.stream))

    def _noted(self, value: Any, source: Any, info: strawberry.Info) -> Any:
        classes = _EVENTS.get(str(source.stream).partition(":")[0])
        if classes is not None:
            info.context.tell(str(source.stream), *classes)
        return value


TELLS: Final = _Tells()


def fields_with_arguments(document: DocumentNode, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a query asked for: its fields that have arguments, with what was given for them. Words by which people are
    looked for are left out (PLT-092)."""
    found: list[dict[str, Any]] = []
    known: dict[str, Any] = {}

    class Listing(Visitor):
        def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
            name = node.variable.name.value
            if node.default_value is not None:
                known[name] = value_from_ast_untyped(node.default_value)
            if name in variables:
                known[name] = variables[name]

        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if node.arguments and len(found) < _LISTED:
                given = {one.name.value: value_from_ast_untyped(one.value, known) for one in node.arguments}
                told = {name: _UNTOLD if name in _WORDS else _plain(value) for name, value in given.items()}
                found.append({"field": node.name.value, "arguments": told})

    visit(document, Listing())
    return found


def _plain(value: Any) -> Any:
    """An argument as it is kept; one that was not given is null."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if value is Undefined:
        return None
    return value if isinstance(value, str | int | None) else str(value)
