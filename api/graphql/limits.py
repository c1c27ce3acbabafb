"""What a query may ask for (PLT-072): at most ten levels deep, at most a thousand fields in all.

A field counts once; the fields of a list's rows count once for every ten rows of the page asked for. Introspection
reads nothing but the schema: each time it is asked for counts as a hundred fields, whatever is asked. Both limits are
checked on the parsed document, before anything is resolved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.language import FragmentSpreadNode, InlineFragmentNode, SelectionSetNode

from api.graphql.paging import DEFAULT_PAGE
from api.json_text import UNSTORABLE
from domain.errors import refuse

DEPTH_LIMIT = 10
COST_LIMIT = 1_000
#: Tokens of a document; a thousand fields fit easily.
TOKEN_LIMIT = 8_000
_ROWS_PER_COST = 10
_INTROSPECTION_COST = 100
_LISTED = frozenset({"edges", "nodes"})


class _Counting:
    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]) -> None:
        self._fragments = fragments
        self._variables = variables
        self._cost = 0

    def count(
        self, selections: SelectionSetNode | None, depth: int, weight: int, page: int, within: tuple[str, ...]
    ) -> None:
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FieldNode):
                self._field(node, depth, weight, page, within)
            elif isinstance(node, InlineFragmentNode):
                self.count(node.selection_set, depth, weight, page, within)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                fragment = self._fragments.get(name)
                if name in within or fragment is None:
                    continue  # validation refuses it
                self.count(fragment.selection_set, depth, weight, page, (*within, name))

    def _field(self, node: FieldNode, depth: int, weight: int, page: int, within: tuple[str, ...]) -> None:
        name = node.name.value
        introspection = name in ("__schema", "__type")
        self._cost += _INTROSPECTION_COST if introspection else weight
        if self._cost > COST_LIMIT:
            raise refuse("QUERY_TOO_COMPLEX", f"the query asks for more than {COST_LIMIT} fields", limit=COST_LIMIT)
        if depth > DEPTH_LIMIT:
            raise refuse("QUERY_TOO_COMPLEX", f"the query is more than {DEPTH_LIMIT} levels deep", limit=DEPTH_LIMIT)
        if node.selection_set is None or introspection:
            return
        if name in _LISTED:
            weight *= max(1, -(-page // _ROWS_PER_COST))
        self.count(node.selection_set, depth + 1, weight, self._page(node), within)

    def _page(self, node: FieldNode) -> int:
        for argument in node.arguments or ():
            if argument.name.value == "first":
                value: Any = argument.value
                if isinstance(value, IntValueNode) and len(value.value) < 10:
                    return int(value.value)
                if isinstance(value, VariableNode) and isinstance(self._variables.get(value.name.value), int):
                    return int(self._variables[value.name.value])
        return DEFAULT_PAGE


def check_limits(document: DocumentNode, variables: Mapping[str, Any]) -> None:
    """Raises QUERY_TOO_COMPLEX."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            given = {**_defaults(node), **variables}
            _Counting(fragments, given).count(node.selection_set, 1, 1, DEFAULT_PAGE, ())


def _defaults(operation: OperationDefinitionNode) -> dict[str, Any]:
    """What whole numbers the operation takes for variables that are not given."""
    return {
        definition.variable.name.value: int(definition.default_value.value)
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode) and len(definition.default_value.value) < 20
    }


def check_texts(document: DocumentNode) -> None:
    """Texts written in the document itself, which the reading of JSON has not seen. Raises REQUEST_INVALID for one that
    the database could not take as a value to look for."""

    class Reading(Visitor):
        def enter_string_value(self, node: StringValueNode, *_: Any) -> None:
            if UNSTORABLE.search(node.value):
                raise refuse("REQUEST_INVALID", "a text holds a character that cannot be stored", pointer="/query")

    visit(document, Reading())


def check_no_introspection(document: DocumentNode) -> None:
    """For users of the portal, who are not told what else there is (PLT-097). Raises FORBIDDEN; `__typename` is free,
    since it names only what was asked for anyway."""

    class Looking(Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            if node.name.value in ("__schema", "__type"):
                raise refuse("FORBIDDEN", "the schema is not shown to users of the portal", pointer="/query")

    visit(document, Looking())


#: Root fields whose answer rests on read models fed behind the log, and must hold what the inline ones hold, each with
#: the arguments of which one must be given for that; none: always. `ledgerReconciliation` compares them (LED-049).
COMPARING: Final[Mapping[str, frozenset[str]]] = {
    "ledgerReconciliation": frozenset(),
    "accountBalances": frozenset({"on", "asOf"}),
}


def asks_for(document: DocumentNode, fields: Mapping[str, frozenset[str]], variables: Mapping[str, Any]) -> bool:
    """Whether a root field of one of these names is asked for with one of its arguments."""
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        defaults = {one.variable.name.value for one in node.variable_definitions or () if one.default_value is not None}
        empty = {name for name, value in variables.items() if value is None}
        given = (defaults | variables.keys()) - empty
        for selection in node.selection_set.selections:
            wanted = fields.get(selection.name.value) if isinstance(selection, FieldNode) else None
            if wanted is None:
                continue
            assert isinstance(selection, FieldNode)
            named = {one.name.value for one in selection.arguments or () if _is_given(one.value, given)}
            if not wanted or wanted & named:
                return True
    return False


def _is_given(value: ValueNode, variables: Collection[str]) -> bool:
    """Whether an argument has a value: it is no null, nor a variable without one."""
    if isinstance(value, VariableNode):
        return value.name.value in variables
    return not isinstance(value, NullValueNode)


def wanted_position(
    document: DocumentNode, variables: Mapping[str, Any], operation: str | None
) -> tuple[int | None, int | None]:
    """The highest `minPosition` and `waitMs` that root fields name, literally or by variable."""
    found: dict[str, list[int]] = {"minPosition": [], "waitMs": []}
    for node in document.definitions:
        if not isinstance(node, OperationDefinitionNode):
            continue
        if operation is not None and (node.name is None or node.name.value != operation):
            continue
        given = {**_defaults(node), **variables}
        for selection in node.selection_set.selections:
            for argument in selection.arguments or () if isinstance(selection, FieldNode) else ():
                values = found.get(argument.name.value)
                if values is None:
                    continue
                value: Any = argument.value
                if isinstance(value, IntValueNode) and len(value.value) < 20:
                    values.append(int(value.value))
                elif isinstance(value, VariableNode) and type(given.get(value.name.value)) is int:
                    values.append(given[value.name.value])
    return max(found["minPosition"], default=None), max(found["waitMs"], default=None)
