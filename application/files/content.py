"""The content of a partner file: exactly one of the three kinds."""

from __future__ import annotations

from application.files.bank import BankStatementFile
from application.files.enrolment import EnrolmentFile
from application.files.remittance import RemittanceFile

FileContent = EnrolmentFile | RemittanceFile | BankStatementFile
