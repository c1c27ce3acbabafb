"""Taking a partner's file in at the command line: the same door as the file endpoint, with a rate table if need be."""

from __future__ import annotations

import getpass
import hashlib
import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from api.cli.opening import configured
from api.cli.tables import show
from api.wiring import System, read_partner_file
from application.command import Principal
from application.files.content import FileContent
from application.files.defects import FileRefused
from application.imports.enrolment import EnrolmentTerms
from application.imports.importer import kind_of
from application.uploads import Upload
from domain.money import AmountFormatError, parse_amount

_MOST_DEFECTS = 50


def import_file(
    path: Annotated[Path, typer.Argument(help="The file.", exists=True, dir_okay=False, readable=True)],
    kind: Annotated[str | None, typer.Option(help="Refuse the file if it is of another kind.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would do; change nothing.")] = False,
    rates: Annotated[
        Path | None,
        typer.Option(
            help='JSON: {"policies": {group number: master policy}, "annual": {"LINE:PLAN": "1200.00"}}.',
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    premium_per: Annotated[str, typer.Option(help="What a premium in a file is for: MONTH or YEAR.")] = "MONTH",
) -> None:
    """Take in an X12 834 or 820, BAI2, camt.053 or camt.054 file. The same file again has no further effect."""
    content = path.read_bytes()
    try:
        read = read_partner_file(path.name, content)
    except FileRefused as refused:
        _show_defects(refused)
        raise typer.Exit(1) from None
    found = kind_of(read).name
    if kind is not None and kind != found:
        typer.echo(f"the file is of kind {found}", err=True)
        raise typer.Exit(2)
    with configured() as system:
        terms = _terms(rates, premium_per, take_test=system.settings.sandbox)
        if dry_run:
            _show_steps(system, read, terms)
            return
        sha256 = hashlib.sha256(content).hexdigest()
        upload = Upload(found, path.name, "application/octet-stream", len(content), sha256, BytesIO(content))
        if not take_in(system, upload, terms):
            raise typer.Exit(1)


def take_in(system: System, upload: Upload, terms: EnrolmentTerms) -> bool:
    """Take the file in to its end, with a progress bar; whether nothing is left for a person."""
    system.imports.held.add(upload.sha256)
    receipt = system.imports.accept(upload, _operator(), terms)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(upload.name, total=receipt.report["steps"])
        system.imports.work(
            upload.sha256, progress=lambda number: progress.update(task, completed=number + 1), again=True
        )
        progress.update(task, completed=receipt.report["steps"])
    system.wait_for_background()
    final = system.imports.receipt(upload.sha256, _operator())
    assert final is not None
    report = final.report
    counts = ", ".join(f"{name} {report[name]}" for name in ("done", "noted", "waiting", "queued", "refused", "failed"))
    typer.echo(f"{report['format']} {upload.sha256[:16]}: {report['steps']} steps; {counts}")
    if receipt.repeated:
        typer.echo("the file had been taken in before")
    if report["cases"]:
        _show_cases(report["cases"])
    return not report["cases"]


def _terms(rates: Path | None, premium_per: str, *, take_test: bool) -> EnrolmentTerms:
    """Agreements of the options. Exit code 2 for a table that cannot be used, with everything wrong in it."""
    table: Any = {}
    if rates is not None:
        try:
            table = json.loads(rates.read_text())
        except ValueError:
            _misuse("the rate table is no JSON")
    if not isinstance(table, dict) or not set(table) <= {"policies", "annual"}:
        _misuse("the rate table is an object with policies and annual")
    period: Literal["MONTH", "YEAR"] = "YEAR" if premium_per == "YEAR" else "MONTH"
    if premium_per not in ("MONTH", "YEAR"):
        _misuse("a premium is per MONTH or per YEAR")
    wrong = [name for part in table.values() for name, value in part.items() if not isinstance(value, str)]
    for name, amount in table.get("annual", {}).items():
        try:
            parse_amount(amount, "USD")
        except (AmountFormatError, TypeError):
            wrong.append(name)
    if wrong:
        _misuse(f"no usable value for {', '.join(dict.fromkeys(wrong))}")
    return EnrolmentTerms(table.get("policies", {}), table.get("annual", {}), period, take_test=take_test)


def _misuse(message: str) -> None:
    typer.echo(f"rollon: {message}", err=True)
    raise typer.Exit(2)


def _operator() -> Principal:
    """Who sits at the machine: whoever may open the database may take files in."""
    return Principal(
        "USER", f"cli:{getpass.getuser()}", "cli", frozenset({"policytxn.submit", "receipts.import", "payment.apply"})
    )


def _show_defects(refused: FileRefused) -> None:
    typer.echo(f"refused as a whole: {len(refused.defects)} defects", err=True)
    for defect in refused.defects[:_MOST_DEFECTS]:
        typer.echo(f"  {defect}", err=True)
    if len(refused.defects) > _MOST_DEFECTS:
        typer.echo(f"  and {len(refused.defects) - _MOST_DEFECTS} more", err=True)


def _show_steps(system: System, content: FileContent, terms: EnrolmentTerms) -> None:
    counts = Counter((step.state.value, step.action, step.code or "") for step in system.imports.steps(content, terms))
    table = Table("state", "what", "why", "steps")
    for (state, action, code), count in sorted(counts.items()):
        table.add_row(state, action, code, str(count))
    show(table)


def _show_cases(cases: list[dict[str, Any]]) -> None:
    table = Table("line", "segment", "what", "state", "why")
    for case in cases:
        table.add_row(str(case["line"]), str(case["segment"]), case["action"], case["state"], case["code"])
    show(table)
