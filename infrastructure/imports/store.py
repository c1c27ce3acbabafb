"""Files and their steps in the database. A file is worked on under an advisory lock that ends with its connection."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from psycopg.types.json import Json

from application.files.identity import Place
from application.imports.enrolment import Pseudonym
from application.imports.importer import NumberedStep, TakenFile
from application.imports.steps import ATTENTION, RECEIPT, Step, StepState
from application.uploads import FileCase, FileState
from infrastructure.postgres.connection import StoreConnection
from infrastructure.postgres.database import Database

_LOCK_CLASS: Final = 7_246_005
_PAGE: Final = 500
_FILE: Final = "sha256, kind, format, name, size, state, received_at, received_by, scope, defects"
_STEP: Final = "sha256, number, state, action, line, segment, payload, match_key, line_key, code, result"


class PostgresImports:
    """The port `ImportStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, sha256: str) -> TakenFile | None:
        with self._database.writing() as connection:
            row = connection.execute(f"SELECT {_FILE} FROM file_import WHERE sha256 = %s", [sha256]).fetchone()
        return None if row is None else _file(row)

    def keep(self, file: TakenFile, steps: Iterable[Step]) -> bool:
        """Keep a file with its steps in one transaction; False when it was kept before.

        A file refused before and taken now (its reader was mended) replaces the refusal.
        """
        with self._database.writing() as connection, connection.transaction():
            cursor = connection.execute(
                f"INSERT INTO file_import ({_FILE}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (sha256) DO UPDATE SET kind = EXCLUDED.kind, format = EXCLUDED.format,"
                " name = EXCLUDED.name, state = EXCLUDED.state, received_at = EXCLUDED.received_at,"
                " received_by = EXCLUDED.received_by, scope = EXCLUDED.scope, defects = EXCLUDED.defects"
                " WHERE file_import.state = 'REJECTED'",
                [
                    file.sha256,
                    file.kind,
                    file.format,
                    file.name,
                    file.size,
                    file.state.value,
                    file.received_at,
                    file.received_by,
                    list(file.scope) if file.scope is not None else None,
                    Json([dict(defect) for defect in file.defects]),
                ],
            )
            if cursor.rowcount != 1:
                return False
            _copy_steps(connection, file.sha256, steps)
        return True

    def report(self, sha256: str, named: int) -> Mapping[str, Any]:
        with self._database.writing() as connection:
            counts: dict[str, int] = dict(
                connection.execute(
                    "SELECT state, count(*) FROM file_step WHERE sha256 = %s GROUP BY state", [sha256]
                ).fetchall()
            )
            cases = connection.execute(
                "SELECT number, state, action, line, segment, code FROM file_step"
                " WHERE sha256 = %s AND state = ANY(%s) ORDER BY number LIMIT %s",
                [sha256, [state.value for state in ATTENTION], named],
            ).fetchall()
        names = ("number", "state", "action", "line", "segment", "code")
        return {
            "steps": sum(counts.values()),
            "left": counts.get("PENDING", 0),
            **{state.value.lower(): counts.get(state.value, 0) for state in StepState if state != StepState.PENDING},
            "cases": [dict(zip(names, case, strict=True)) for case in cases],
        }

    def cases(
        self, kinds: Collection[str], received_by: str, kind: str | None, after: tuple[str, int] | None, limit: int
    ) -> list[FileCase]:
        sha256, number = after or ("", 0)
        with self._database.writing() as connection:
            rows = connection.execute(
                "SELECT s.sha256, s.number, f.kind, f.name, f.received_at, s.state, s.action, s.line, s.segment,"
                " s.code, s.payload->>'amount', s.payload->>'currency'"
                " FROM file_step s JOIN file_import f USING (sha256)"
                " WHERE s.state = ANY(%s) AND (f.kind = ANY(%s) OR f.received_by = %s)"
                " AND (%s::text IS NULL OR f.kind = %s)"
                " AND (%s = '' OR (f.received_at, s.sha256, s.number) >"
                "  ((SELECT received_at FROM file_import WHERE sha256 = %s), %s, %s))"
                " ORDER BY f.received_at, s.sha256, s.number LIMIT %s",
                [
                    [state.value for state in ATTENTION],
                    sorted(kinds),
                    received_by,
                    kind,
                    kind,
                    sha256,
                    sha256,
                    sha256,
                    number,
                    limit,
                ],
            ).fetchall()
        return [FileCase(*row) for row in rows]

    def unfinished(self) -> list[str]:
        with self._database.writing() as connection:
            rows = connection.execute(
                "SELECT sha256 FROM file_import f WHERE EXISTS"
                " (SELECT FROM file_step s WHERE s.sha256 = f.sha256 AND s.state = 'PENDING') ORDER BY received_at"
            ).fetchall()
        return [row[0] for row in rows]

    @contextmanager
    def claim(self, sha256: str) -> Iterator[Claim | None]:
        file = self.find(sha256)
        with self._database.writing() as connection:
            key = [_LOCK_CLASS, sha256]
            row = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", key).fetchone()
            if file is None or not (row and row[0]):
                yield None
                return
            try:
                yield Claim(connection, file)
            finally:
                if not connection.closed:
                    connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", key)

    def matching(self, match_key: str, action: str, state: StepState) -> NumberedStep | None:
        with self._database.writing() as connection:
            row = connection.execute(
                f"SELECT {_STEP} FROM file_step WHERE match_key = %s AND action = %s AND state = %s"
                " ORDER BY sha256, number LIMIT 1",
                [match_key, action, state.value],
            ).fetchone()
        return None if row is None else _step(row)

    def pseudonym(self) -> Pseudonym:
        with self._database.writing() as connection:
            row = connection.execute("SELECT key FROM pseudonym_key").fetchone()
        assert row is not None
        key = bytes(row[0])
        return lambda identifier: hmac.new(key, identifier.replace("-", "").encode(), hashlib.sha256).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Claim:
    """The port `ClaimedFile`: the connection that holds the lock, and the file."""

    connection: StoreConnection
    file: TakenFile

    def open_steps(self, *, again: bool) -> Iterator[NumberedStep]:
        states = ["PENDING", "FAILED"] if again else ["PENDING"]
        after = -1
        while True:
            rows = self.connection.execute(
                f"SELECT {_STEP} FROM file_step WHERE sha256 = %s AND number > %s AND state = ANY(%s)"
                " ORDER BY number LIMIT %s",
                [self.file.sha256, after, states, _PAGE],
            ).fetchall()
            if not rows:
                return
            yield from map(_step, rows)
            after = rows[-1][1]

    def settle(
        self,
        step: NumberedStep,
        state: StepState,
        *,
        code: str | None = None,
        result: Mapping[str, Any] | None = None,
        reopening: NumberedStep | None = None,
    ) -> None:
        with self.connection.transaction():
            self.connection.execute(
                "UPDATE file_step SET state = %s, code = %s, result = %s WHERE sha256 = %s AND number = %s",
                [state.value, code, Json(dict(result or {})), step.sha256, step.number],
            )
            if reopening is not None:
                self.connection.execute(
                    "UPDATE file_step SET state = 'PENDING', code = NULL WHERE sha256 = %s AND number = %s",
                    [reopening.sha256, reopening.number],
                )


def _copy_steps(connection: StoreConnection, sha256: str, steps: Iterable[Step]) -> None:
    """Write the steps by COPY; a bank line that is known already is kept as a note without its key (ARO-022)."""
    connection.execute("CREATE TEMP TABLE new_step (LIKE file_step INCLUDING DEFAULTS) ON COMMIT DROP")
    columns = "sha256, number, state, action, line, segment, payload, match_key, line_key, code"
    with connection.cursor().copy(f"COPY new_step ({columns}) FROM STDIN") as copy:
        for number, step in enumerate(steps):
            copy.write_row(
                [
                    sha256,
                    number,
                    step.state.value,
                    step.action,
                    step.place.line,
                    step.place.number,
                    Json(dict(step.payload)),
                    step.match_key,
                    step.line_key,
                    step.code,
                ]
            )
    connection.execute(
        "UPDATE new_step n SET state = 'NOTED', code = 'DUPLICATE_LINE', line_key = NULL, match_key = NULL"
        " WHERE n.action = %s AND (EXISTS (SELECT FROM file_step s WHERE s.line_key = n.line_key)"
        " OR EXISTS (SELECT FROM new_step o WHERE o.line_key = n.line_key AND o.number < n.number))",
        [RECEIPT],
    )
    connection.execute("INSERT INTO file_step SELECT * FROM new_step")


def _file(row: tuple[Any, ...]) -> TakenFile:
    sha256, kind, form, name, size, state, received_at, received_by, scope, defects = row
    return TakenFile(
        sha256,
        kind,
        form,
        name,
        size,
        FileState(state),
        received_at,
        received_by,
        None if scope is None else tuple(scope),
        tuple(defects),
    )


def _step(row: tuple[Any, ...]) -> NumberedStep:
    sha256, number, state, action, line, segment, payload, match_key, line_key, code, result = row
    step = Step(action, Place(segment, line), StepState(state), payload, match_key, line_key, code)
    return NumberedStep(sha256, number, step, result)
