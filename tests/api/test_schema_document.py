"""The schema clients build against is that of the service. `python -m api.graphql.document` writes it anew."""

from __future__ import annotations

from pathlib import Path

from graphql import build_schema

from api.graphql.document import schema_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "api" / "schema.graphql"


def test_the_schema_document_is_current() -> None:
    assert DOCUMENT.read_text() == schema_text()


def test_it_is_a_schema_of_queries_alone() -> None:
    built = build_schema(DOCUMENT.read_text())
    assert built.query_type is not None
    assert built.mutation_type is None
    assert {"billingAccount", "memberRecord", "explainCharge"} <= built.query_type.fields.keys()
