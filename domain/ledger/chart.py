"""The chart of accounts and the mappings into it (LED-034, LED-035).

Assets and expenses grow on the debit side, liabilities and income on the credit side. An account with a lot keeps its
balance by the thing it came from (an invoice item, a payment, a refund), which decides at what base amount it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.payments.classification import Bucket, Funds


class AccountType(StrEnum):
    ASSET = "ASSET"
    LIABILITY = "LIABILITY"
    INCOME = "INCOME"
    EXPENSE = "EXPENSE"


class LotKind(StrEnum):
    """What an account's open positions are kept by (LED-031)."""

    INVOICE_ITEM = "INVOICE_ITEM"
    PAYMENT = "PAYMENT"
    PAYMENT_ON_ACCOUNT = "PAYMENT_ON_ACCOUNT"
    PAYMENT_OF_MEMBER = "PAYMENT_OF_MEMBER"
    REFUND = "REFUND"


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One account of the chart. `control`: kept by billing alone, no manual entry (LED-044)."""

    code: str
    name: str
    type: AccountType
    lot: LotKind | None = None
    control: bool = False

    @property
    def grows_on_debit(self) -> bool:
        return self.type in (AccountType.ASSET, AccountType.EXPENSE)


_A, _L, _I, _E = AccountType.ASSET, AccountType.LIABILITY, AccountType.INCOME, AccountType.EXPENSE

#: LED-034. 1110 has a credit balance by nature, but is an asset: it is what invoices still owe the payer.
CHART: dict[str, LedgerAccount] = {
    account.code: account
    for account in (
        LedgerAccount("1000", "Bank", _A),
        LedgerAccount("1010", "Payments in bank clearing", _A, LotKind.PAYMENT, control=True),
        LedgerAccount("1100", "Billed receivable", _A, LotKind.INVOICE_ITEM, control=True),
        LedgerAccount("1110", "Billed credits not yet set off", _A, LotKind.INVOICE_ITEM, control=True),
        LedgerAccount("1190", "Refunds to be recovered", _A, LotKind.REFUND),
        LedgerAccount("1300", "Claim deductions clearing", _A),
        LedgerAccount("1310", "Cash value deductions clearing", _A),
        LedgerAccount("1320", "Premium loans clearing", _A),
        LedgerAccount("1900", "Intercompany clearing", _A),
        LedgerAccount("2100", "Unapplied cash, account", _L, LotKind.PAYMENT_ON_ACCOUNT, control=True),
        LedgerAccount("2110", "Unapplied cash, member", _L, LotKind.PAYMENT_OF_MEMBER, control=True),
        LedgerAccount("2120", "Member overpayment", _L, LotKind.PAYMENT_OF_MEMBER, control=True),
        LedgerAccount("2150", "Payments in general suspense", _L, LotKind.PAYMENT, control=True),
        LedgerAccount("2200", "Refunds approved", _L, LotKind.REFUND, control=True),
        LedgerAccount("2210", "Refunds in transit", _L, LotKind.REFUND, control=True),
        LedgerAccount("2300", "Taxes billed, payable", _L),
        LedgerAccount("2400", "Third-party products, payable", _L),
        LedgerAccount("4000", "Premium billed", _I),
        LedgerAccount("4100", "Fees billed", _I),
        LedgerAccount("4900", "Exchange gain", _I),
        LedgerAccount("5000", "Written off, manual", _E),
        LedgerAccount("5010", "Written off, small balance", _E),
        LedgerAccount("5100", "Premium waived", _E),
        LedgerAccount("5200", "Customer credits granted", _E),
        LedgerAccount("5300", "Experience refunds", _E),
        LedgerAccount("5900", "Exchange loss", _E),
    )
}

INTERCOMPANY, EXCHANGE_GAIN, EXCHANGE_LOSS = "1900", "4900", "5900"


class AmountType(StrEnum):
    """What an invoice line bills (LED-035)."""

    PREMIUM = "PREMIUM"
    FEE = "FEE"
    TAX = "TAX"
    PRODUCT_ITEM = "PRODUCT_ITEM"


class WriteOffClass(StrEnum):
    """The two kinds of write-off that the ledger tells apart (LED-035)."""

    MANUAL = "MANUAL"
    SMALL_BALANCE = "SMALL_BALANCE"


#: LED-035: mapping name → key → account code.
MAPPINGS: dict[str, dict[str, str]] = {
    "amount_type": {
        AmountType.PREMIUM: "4000",
        AmountType.FEE: "4100",
        AmountType.TAX: "2300",
        AmountType.PRODUCT_ITEM: "2400",
    },
    "bucket": {Bucket.UNAPPLIED: "2100", Bucket.MEMBER_UNAPPLIED: "2110", Bucket.MEMBER_OVERPAYMENT: "2120"},
    "funds": {
        Funds.BANK: "1000",
        Funds.HUB: "1010",
        Funds.CLAIM_DEDUCTION: "1300",
        Funds.CASH_DEDUCTION: "1310",
        Funds.APL: "1320",
        Funds.CUSTOMER_CREDIT: "5200",
    },
    "write_off": {WriteOffClass.MANUAL: "5000", WriteOffClass.SMALL_BALANCE: "5010"},
}
