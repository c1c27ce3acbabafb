"""The GraphQL schema as a document for clients: `python -m api.graphql.document` writes docs/api/schema.graphql."""

from __future__ import annotations

import sys
from pathlib import Path

from api.graphql.schema import schema

#: Where it is kept, from the root of the source.
DOCUMENT = Path("docs/api/schema.graphql")


def schema_text() -> str:
    """The schema in GraphQL's own language."""
    return schema().as_str() + "\n"


def main() -> None:
    DOCUMENT.write_text(schema_text())
    sys.stdout.write(f"{DOCUMENT} written\n")


if __name__ == "__main__":
    main()
