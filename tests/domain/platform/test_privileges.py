"""The table of privileges and roles is the rulebook's, and rights that must not meet in one hand do not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import application.use_cases  # noqa: F401  declares the commands
from application.command import CommandRegistry
from domain.platform.privileges import (
    PRIVILEGES,
    STAFF,
    SYSTEM_PRIVILEGE,
    Role,
    covering_privileges,
    forbidden_combinations,
    may_execute,
    privileges_of,
)

RULEBOOK = Path(__file__).parents[3] / "docs" / "rules" / "13-platform.md"


def rows_of_the_rulebook() -> list[tuple[str, list[str], str, str]]:
    """Appendix A: (document, privileges of the row, covers, default roles)."""
    text = RULEBOOK.read_text(encoding="utf-8")
    appendix = text[text.index("## Appendix A") : text.index("## Appendix B")]
    found = re.findall(r"^\| (\d\d) \| (.+?) \| (.+?) \| (.+?) \|$", appendix, re.MULTILINE)
    return [(document, re.findall(r"`([^`]+)`", names), covers, roles) for document, names, covers, roles in found]


def roles_in(text: str) -> set[str]:
    return {role for word in text.split() for role in (STAFF if word == "STAFF" else (word,))}


def default_roles_of_the_rulebook() -> dict[str, set[str]]:
    """The last column: what stands before the first semicolon goes for all, "x; approve Y" gives Y that one alone."""
    expected: dict[str, set[str]] = {}
    for _, names, _, column in rows_of_the_rulebook():
        general, *exceptions = column.split("; ")
        expected |= {name: roles_in(general) for name in names}
        for exception in exceptions:
            also = re.fullmatch(r"(.+?) (also|only) ([A-Z ]+)", exception)
            if also:
                for name in also[1].split(", "):
                    expected[name] = roles_in(also[3]) | (expected[name] if also[2] == "also" else set())
                continue
            word, roles = exception.split(" ", 1)
            (named,) = [name for name in names if name == word or re.search(rf"(^|[._]){word}($|\.)", name)]
            expected[named] = roles_in(roles)
    return expected


@pytest.mark.rule("PLT-030")
def test_every_privilege_of_the_rulebook_has_its_default_roles() -> None:
    expected = default_roles_of_the_rulebook()
    assert len(expected) == 180
    actual = {name: set(row.roles) for name, row in PRIVILEGES.items() if name != SYSTEM_PRIVILEGE}
    assert actual == expected


def test_every_command_the_rulebook_names_beside_a_privilege_is_covered_by_it() -> None:
    checked = 0
    for document, names, covers, _ in rows_of_the_rulebook():
        for name in names:
            assert PRIVILEGES[name].document == document
        covered = {command for name in names for command in PRIVILEGES[name].commands}
        for command in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b(?!-)", covers.replace("CashTransactionCreatedEvent", "")):
            if command not in ("ApproveCommand",) and f"-{command}" not in covers:
                assert command in covered, (names, command)
                checked += 1
    assert checked > 190


def test_shortened_names_are_written_out() -> None:
    assert {"AddContact", "UpdateContact", "RemoveContact"} <= set(PRIVILEGES["account.update"].commands)
    assert {"ApplyNewBusiness", "ApplyAmendment", "ApplyRenewal"} <= set(PRIVILEGES["policytxn.submit"].commands)
    assert "CreateBillingCalendar" in PRIVILEGES["calendar.manage"].commands


@pytest.mark.rule("PLT-029")
def test_rights_are_the_union_of_the_roles_and_an_unknown_role_grants_nothing() -> None:
    officer, analyst = privileges_of(["BOF"]), privileges_of(["ARA"])
    assert "account.create" in officer
    assert "account.create" not in analyst
    assert privileges_of(["BOF", "ARA"]) == officer | analyst
    assert privileges_of(["ROOT", "offline_access"]) == frozenset()
    assert privileges_of([]) == frozenset()


@pytest.mark.rule("PLT-029")
def test_a_command_passes_by_any_privilege_that_covers_it() -> None:
    assert covering_privileges("CancelRefund") == {"refund.create", "refund.approve"}
    assert may_execute({"refund.approve"}, "CancelRefund", "refund.create")
    assert may_execute({"integration.hub"}, "ReversePayment", "payment.reverse")
    assert not may_execute({"payment.apply"}, "ReversePayment", "payment.reverse")
    assert not may_execute(set(), "ReversePayment", "payment.reverse")


@pytest.mark.rule("PLT-032")
def test_an_auditor_holds_no_role_that_acts() -> None:
    assert forbidden_combinations(["AUD"]) == ()
    for role in Role:
        if role in ("AUD", "SYS"):
            continue
        (found,) = forbidden_combinations(["AUD", role])
        assert found.privileges
        assert not [name for name in found.privileges if name.startswith("audit.") or name == "list.export"]


@pytest.mark.rule("PLT-032")
def test_who_grants_rights_neither_approves_nor_releases_money() -> None:
    assert forbidden_combinations(["ITS"]) == ()
    assert forbidden_combinations(["ITS", "BOF", "ADM", "OPS"]) == ()
    for role in ("SUP", "ARM", "FIN", "CMP"):
        (found,) = forbidden_combinations(["ITS", role])
        assert found.privileges[0] == "user.manage"
    assert "refundbatch.release" in forbidden_combinations(["ITS", "FIN"])[0].privileges


@pytest.mark.rule("PLT-032")
def test_who_sets_the_limits_of_write_offs_and_refunds_does_not_approve_them() -> None:
    assert forbidden_combinations(["ADM", "BOF", "ARA"]) == ()
    for role in ("SUP", "ARM", "FIN"):
        (found,) = forbidden_combinations(["ADM", role])
        assert {"writeoff.configure", "refund.approve"} <= set(found.privileges)


def test_every_declared_command_names_a_privilege_that_exists() -> None:
    unknown = {name: kind.privilege for name, kind in CommandRegistry.types.items() if kind.privilege not in PRIVILEGES}
    assert unknown == {}
    assert len(CommandRegistry.types) > 70


def test_every_declared_command_that_the_rulebook_lists_is_covered_by_its_privilege() -> None:
    listed = {name: covering for name in CommandRegistry.types if (covering := covering_privileges(name))}
    assert len(listed) > 60
    assert {name for name, covering in listed.items() if CommandRegistry.types[name].privilege not in covering} == set()
