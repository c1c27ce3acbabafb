"""The embedded server, the pools and their limits, and the migrations."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infrastructure.postgres.database import Database, Limits, connect
from infrastructure.postgres.migrate import FOLDER, MigrationError, migrate, migrations, pending
from infrastructure.postgres.server import EmbeddedServer
from tests.conftest import throwaway_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def empty(database_server: EmbeddedServer) -> Iterator[str]:
    """The connection string of a database without any migration."""
    yield database_server.ensure_database("empty")
    database_server.drop_database("empty")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with throwaway_folder() as folder:
        yield folder


def setting(conninfo: str, name: str) -> str:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_a_data_folder_outlives_its_server_and_several_databases_live_in_one(short_folder: Path) -> None:
    folder = short_folder / "pg"
    with EmbeddedServer(folder) as server:
        one, two = server.ensure_database("one"), server.ensure_database("two")
        assert server.ensure_database("one") == one
        with psycopg.connect(one) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        with psycopg.connect(two) as connection:
            assert connection.execute("SELECT to_regclass('kept')").fetchone() == (None,)
        for name, value in (("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")):
            assert setting(one, name) == value
        assert setting(one, "server_version").startswith("18.")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(one)
    with EmbeddedServer(folder) as server, psycopg.connect(server.conninfo("one")) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
    assert "database system was not properly shut down" not in (folder / "log").read_text()


def test_two_processes_share_a_server_and_the_last_to_leave_stops_it(short_folder: Path) -> None:
    folder = str(short_folder / "pg")
    child = (
        "import sys; from pathlib import Path; from infrastructure.postgres.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1])).start(); print(server.conninfo(), flush=True); sys.stdin.read()"
    )
    with EmbeddedServer(Path(folder)) as server:
        conninfo = server.conninfo()
        command = [sys.executable, "-c", child, folder]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().strip() == conninfo
    psycopg.connect(conninfo).close()  # this process has left, the other still uses it
    process.communicate()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo)


def test_text_is_ordered_by_code_point(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        rows = connection.execute("SELECT x FROM unnest(ARRAY['b', 'Z', 'ä', 'a', 'É']) x ORDER BY x").fetchall()
    assert [row[0] for row in rows] == ["Z", "a", "b", "É", "ä"]


def test_a_given_database_is_used_instead_of_the_embedded_one(conninfo: str, tmp_path: Path) -> None:
    given, server = connect({"DATABASE_URL": conninfo}, folder=tmp_path / "never")
    with given:
        assert server is None
        with given.writing() as connection:
            assert connection.execute("SELECT to_regclass('event') IS NOT NULL").fetchone() == (True,)
    assert not (tmp_path / "never").exists()


def test_queries_go_to_the_replica_when_there_is_one(conninfo: str, empty: str) -> None:
    database, _ = connect({"DATABASE_URL": conninfo, "DATABASE_READ_URL": empty})
    with database, database.reading() as reader, database.writing() as writer:
        assert reader.info.dbname == psycopg.conninfo.conninfo_to_dict(empty)["dbname"]
        assert writer.info.dbname == psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]


def test_a_reading_connection_cannot_write(database: Database) -> None:
    with database.reading() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("INSERT INTO number_sequence VALUES ('x', 1)")


def test_no_connection_waits_for_ever(conninfo: str) -> None:
    limits = Limits(statement=1_000, lock=50, idle_in_transaction=600, query=70)
    with Database(conninfo, limits=limits) as database:
        with database.reading() as reader, pytest.raises(psycopg.errors.QueryCanceled):
            reader.execute("SELECT pg_sleep(5)")
        with database.writing() as one, database.writing() as two:
            one.execute("BEGIN")
            one.execute("SELECT pg_advisory_xact_lock(1)")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                two.execute("SELECT pg_advisory_lock(1)")
            threading.Event().wait(0.9)
            with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
                one.execute("SELECT 1")


# Migrations


def test_migrations_are_applied_once_in_order(empty: str) -> None:
    names = [migration.name for migration in migrations()]
    assert names == sorted(path.name for path in FOLDER.glob("*.sql"))
    assert pending(empty) == names
    assert migrate(empty) == names
    assert migrate(empty) == []
    assert pending(empty) == []


def test_processes_that_migrate_at_once_do_it_once(empty: str) -> None:
    applied: list[list[str]] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(empty))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.sql").write_text(text)


def test_a_failing_migration_is_undone_and_those_before_it_stay(empty: str, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_one": "CREATE TABLE one ()", "0002_two": "CREATE TABLE two (); SELECT 1 / 0"})
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, tmp_path)
    assert pending(empty, tmp_path) == ["0002_two.sql"]
    write(tmp_path, **{"0002_two": "CREATE TABLE two ()"})
    assert migrate(empty, tmp_path) == ["0002_two.sql"]


def test_a_migration_changed_after_it_was_applied_is_refused(empty: str, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_one": "CREATE TABLE one ()"})
    migrate(empty, tmp_path)
    write(tmp_path, **{"0001_one": "CREATE TABLE other ()"})
    with pytest.raises(MigrationError, match="0001_one"):
        migrate(empty, tmp_path)


@pytest.mark.rule("PLT-109")
def test_an_older_release_runs_on_a_database_that_a_newer_one_expanded(empty: str, tmp_path: Path) -> None:
    newer, older = tmp_path / "newer", tmp_path / "older"
    newer.mkdir()
    older.mkdir()
    write(newer, **{"0001_one": "CREATE TABLE one ()", "0002_two": "CREATE TABLE two ()"})
    write(older, **{"0001_one": "CREATE TABLE one ()"})
    migrate(empty, newer)
    assert (pending(empty, older), migrate(empty, older)) == ([], [])


@pytest.mark.parametrize("names", [("0001_one", "0001_other"), ("1_one",), ("0001-one",)])
def test_migrations_are_named_by_distinct_numbers(tmp_path: Path, names: tuple[str, ...]) -> None:
    write(tmp_path, **dict.fromkeys(names, "SELECT 1"))
    with pytest.raises(MigrationError):
        migrations(tmp_path)


@pytest.mark.rule("PLT-109")
def test_a_migration_that_cannot_have_its_lock_gives_up_soon(empty: str, tmp_path: Path) -> None:
    write(tmp_path, **{"0001_one": "CREATE TABLE one (n int)"})
    migrate(empty, tmp_path)
    write(tmp_path, **{"0002_two": "ALTER TABLE one ADD COLUMN m int"})
    with psycopg.connect(empty) as busy:
        busy.execute("SELECT * FROM one")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(empty, tmp_path)
