"""Privileges and roles: who may do what by default, as one table (appendix A).

A privilege is a named right that covers commands or reads; a role is a named set of privileges (PLT-030). Rights are
the union over the roles held, there are no negative rights, and what is not granted is denied (PLT-029). Some sets of
rights in one hand would let one person both make and approve a payment, or both do and audit: those combinations are
forbidden (PLT-032). A command may be covered by several privileges; any of them lets it pass, the handler checks what
the particular privilege allows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """The default roles (PLT-030)."""

    BILLING_ADMINISTRATOR = "ADM"
    BILLING_OFFICER = "BOF"
    BILLING_SUPERVISOR = "SUP"
    AR_MANAGER = "ARM"
    AR_ANALYST = "ARA"
    CREDIT_RISK_OFFICER = "CRO"
    COLLECTIONS_AGENT = "COL"
    FINANCE_MANAGER = "FIN"
    CUSTOMER_CARE = "CCA"
    COMPLIANCE_OFFICER = "CMP"
    AUDITOR = "AUD"
    OPERATIONS = "OPS"
    IT_SUPPORT = "ITS"
    POLICY_SYSTEM = "POL"
    PAYMENT_HUB = "HUB"
    INTEGRATION_CLIENT = "EXT"
    GROUP_SPONSOR = "SPO"
    MEMBER = "MBR"
    SYSTEM = "SYS"

    @property
    def label(self) -> str:
        """The role's name for people."""
        return _ROLE_LABELS.get(self) or self.name.replace("_", " ").title()


_ROLE_LABELS: Final[dict[Role, str]] = {
    Role.AR_MANAGER: "AR Manager",
    Role.AR_ANALYST: "AR Analyst",
    Role.IT_SUPPORT: "IT Support",
    Role.GROUP_SPONSOR: "Group Sponsor portal user",
    Role.MEMBER: "Member portal user",
    Role.INTEGRATION_CLIENT: "Integration client",
    Role.SYSTEM: "Jobs and internal services",
}

#: ADM to CMP: the staff of the billing departments.
STAFF: Final[tuple[Role, ...]] = tuple(Role)[: tuple(Role).index(Role.COMPLIANCE_OFFICER) + 1]
PORTAL: Final[tuple[Role, ...]] = (Role.GROUP_SPONSOR, Role.MEMBER)


def is_portal_user(roles: Collection[str]) -> bool:
    """Whether these are the roles of a user of the portal, who holds no other (PLT-096, PLT-097)."""
    return bool(roles) and set(roles) <= set(PORTAL)


#: Roles of machines, whose clients hold only what their integration needs.
MACHINES: Final[tuple[Role, ...]] = (Role.POLICY_SYSTEM, Role.PAYMENT_HUB, Role.INTEGRATION_CLIENT, Role.SYSTEM)

#: The privilege of commands that only jobs and internal services issue ("system" in the documents' Commands tables).
SYSTEM_PRIVILEGE: Final = "system"


@dataclass(frozen=True, slots=True)
class Privilege:
    """A named right: the commands it covers (none: it covers reads, or a special case of another's command)."""

    name: str
    document: str
    commands: tuple[str, ...]
    roles: tuple[Role, ...]


#: (privilege, document, commands covered, default roles)
_TABLE: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("account.create", "01", "CreateBillingAccount ActivateBillingAccount", "ADM BOF"),
    (
        "account.update",
        "01",
        (
            "UpdateInvoicePreferences AssignPayor UpdatePayorDetails AddContact UpdateContact RemoveContact "
            "SetPrimaryContact AssignPaymentMethod GrantRecurringAuthorisation RevokeRecurringAuthorisation"
        ),
        "ADM BOF SUP",
    ),
    ("account.close", "01", "CloseBillingAccount ReopenBillingAccount", "ADM SUP"),
    ("account.import", "01", "ImportBillingAccounts", "ADM"),
    ("hold.manage", "01", "CreateHold UpdateHold ReleaseHold RemoveHold", "ADM BOF SUP ARM"),
    (
        "setup.create",
        "01",
        (
            "StartBillingSetup SaveBillingSetup CopyBillingSetup SetEntryInvoicing SetMasterInvoicing "
            "AssignEntryAccount ClearEntryAccount MarkCombinationNotUsed IssueBillingSetup"
        ),
        "ADM BOF POL",
    ),
    (
        "setup.update",
        "01",
        (
            "StartBillingSetupUpdate SetEntryInvoicing SetMasterInvoicing AssignEntryAccount ClearEntryAccount "
            "MarkCombinationNotUsed IssueBillingSetup"
        ),
        "ADM BOF",
    ),
    ("setup.remove", "01", "DiscardBillingSetup", "ADM BOF"),
    (
        "rateplan.manage",
        "01",
        "DefineThirdPartyProduct ActivateThirdPartyProduct AssignRatePlan CommitInvoicingConfiguration",
        "ADM",
    ),
    ("tax.manage", "01", "DefineTaxRule ActivateTaxRule RetireTaxRule SetTaxExemption", "ADM FIN"),
    ("rules.manage", "01", "ActivateDefaultRules", "ADM"),
    ("account.view", "01", "RequestConsolidatedStatement", "STAFF AUD POL SPO MBR"),
    ("setup.view", "01", "", "STAFF AUD"),
    ("hold.view", "01", "", "STAFF AUD"),
    (
        "schedule.update",
        "02",
        (
            "ConfigureInvoicingSchedule ChangeSeasonalGaps SetInvoicingStartDate AssignBillingCalendar "
            "SetInstallmentDueDays"
        ),
        "ADM BOF",
    ),
    (
        "calendar.manage",
        "02",
        (
            "CreateBillingCalendar UpdateBillingCalendar DeactivateBillingCalendar SetDefaultBillingCalendar "
            "DefineGenerationRule"
        ),
        "ADM",
    ),
    ("payroll_calendar.manage", "02", "DefinePayrollCalendar ChangePayrollCalendar ConfirmPayrollCalendar", "ADM BOF"),
    ("payment_plan.manage", "02", "CreatePaymentPlan ExpirePaymentPlan", "ADM"),
    ("calendar.view", "02", "", "STAFF AUD"),
    ("schedule.view", "02", "", "STAFF AUD"),
    ("payment_plan.view", "02", "", "STAFF AUD POL EXT"),
    ("installment.view", "02", "", "STAFF AUD POL EXT"),
    ("customer.create", "03", "CreateBillingCustomer", "ADM BOF POL EXT"),
    ("hierarchy.manage", "03", "ConfigureHierarchy RemoveUnit", "ADM"),
    ("setup.product.manage", "03", "SetProductPrivilege RemoveProductPrivilege", "ADM"),
    ("premium.add", "03", "AddPremiumToAccount", "ADM BOF"),
    ("product.price.change", "03", "ChangeItemPrice", "ADM BOF"),
    ("product.term.change", "03", "ChangeProductTerm", "ADM BOF"),
    (
        "product.purchase",
        "03",
        # decision: GenerateInstallmentSchedule, which a purchase gives, is for whoever may purchase.
        "PurchaseProduct PurchaseProductGroup PurchaseMemberQuote GenerateInstallmentSchedule",
        "ADM BOF POL EXT",
    ),
    ("member.move", "03", "MoveMemberToIndividualDirect ApplyMove", "BOF SUP"),
    ("member.return", "03", "ReturnMemberToGroup RemoveSelfBillContinuation ApplyMove", "BOF SUP"),
    ("member.cancel.request", "03", "RequestFlatCancellation", "SUP ARM"),
    ("member.recalculate", "03", "RecalculateMemberBalances", "BOF SUP ARA"),
    ("deadletter.reprocess", "03", "ReprocessDeadLetter", "BOF SUP OPS"),
    ("deadletter.discard", "03", "DiscardDeadLetter", "SUP OPS"),
    (
        "integration.policy",
        "03",
        (
            "CreateMasterPolicyProduct RegisterPremiumSequences CheckMemberPurchase ProcessMemberTransaction "
            "RecordAplResult RecordPolicyDecision"
        ),
        "POL",
    ),
    ("integration.cem", "03", "UpdateCustomerName ProcessEmploymentChange ApplyEmploymentChange", "EXT"),
    ("integration.thirdparty", "03", "SubmitFlexiBillItem", "EXT"),
    ("customer.view", "03", "", "STAFF AUD EXT"),
    ("product.view", "03", "", "STAFF AUD EXT"),
    ("member.view", "03", "", "STAFF AUD POL SPO MBR"),
    (
        "policytxn.submit",
        "04",
        (
            "ApplyNewBusiness ApplyAmendment ApplyCancellation ApplyReinstatement ApplyRenewal "
            "RescindCancellation ApplyMasterPolicyTransaction"
        ),
        "POL",
    ),
    ("policytxn.rollon", "04", "InstructRollOn InstructMasterPolicyRollOn", "SUP POL"),
    ("policytxn.purchase", "04", "PurchaseMasterQuotes", "ADM BOF POL"),
    ("billing.stop", "04", "StopBilling", "SUP POL"),
    ("billing.resume", "04", "ResumeBilling", "SUP POL"),
    ("waiver.manage", "04", "ApplyPremiumWaiver EndPremiumWaiver", "BOF SUP POL EXT"),
    ("waiver.override", "04", "EndPremiumWaiver", "SUP"),
    ("modal.validate", "04", "ValidateModalAmounts", "BOF ARA OPS"),
    ("anyb.recalculate", "04", "RecalculateAnyb", "BOF ARA OPS"),
    ("modalhistory.view", "04", "", "STAFF AUD"),
    ("anyb.view", "04", "", "STAFF AUD"),
    ("invoice.generate", "05", "GenerateInvoice BillInstallments", "ADM BOF SUP"),
    ("draft_bill.generate", "05", "GenerateDraftBill", "ADM BOF SUP"),
    ("invoice.discard", "05", "DiscardInvoice CleanUpMemberInvoices", "BOF SUP"),
    ("invoice.regenerate", "05", "RegenerateInvoice CleanUpMemberInvoices", "BOF SUP"),
    ("invoice.export", "05", "ExportInvoice", "BOF SUP ARM ARA FIN"),
    ("draft_bill.export", "05", "ExportDraftBill", "BOF SUP ARM ARA FIN"),
    ("tolerance.configure", "05", "ConfigureTolerance", "ADM"),
    ("invoice.view", "05", "", "STAFF AUD POL EXT SPO MBR"),
    ("paymentrequest.create", "06", "GeneratePaymentRequest RegeneratePaymentRequest", "BOF SUP"),
    ("paymentrequest.discard", "06", "DiscardPaymentRequest", "BOF SUP"),
    ("premium.adjust", "06", "SavePremiumAdjustment ConfirmPremiumAdjustment", "BOF SUP"),
    ("billing_period.export", "06", "", "BOF SUP ARA"),
    ("variance.review", "06", "RecordVarianceFinding ProposeVarianceResolution CloseVarianceReview", "CMP"),
    ("variance.approve", "06", "ApproveVarianceResolution", "FIN CMP"),
    ("paymentrequest.view", "06", "", "STAFF AUD SPO"),
    (
        "payment.apply",
        "07",
        (
            "ApplyPayment AllocatePayment StartRemittance SaveDraft ClearDraft ApplyDraft PresetAllocation "
            "AllocateMemberOverpayment"
        ),
        "BOF SUP ARM ARA",
    ),
    ("payment.unallocate", "07", "UnallocatePayment UnallocateFromMembers ReleaseMemberOverpayment", "SUP ARM ARA"),
    ("payment.reallocate", "07", "ReallocateMembers ReallocatePayment", "SUP ARM ARA"),
    ("payment.transfer", "07", "TransferPayment", "SUP ARM ARA"),
    ("payment.suspend", "07", "SuspendPayment", "SUP ARM"),
    ("payment.release", "07", "ReleaseSuspendedPayment", "SUP ARM"),
    ("payment.reverse", "07", "ReversePayment", "SUP ARM"),
    ("payment.decline", "07", "DeclinePayment", "SUP ARM"),
    ("payment.draft.delete", "07", "DeleteDraftPayment", "BOF SUP ARM ARA"),
    ("payment.allocation_draft.delete", "07", "DeleteDraftAllocation", "BOF SUP ARM ARA"),
    ("payment.internal.create", "07", "CreateInternalPayment HoldInternalPayment", "BOF SUP ARM"),
    ("payment.recurring.run", "07", "RunRecurringPayments", "ARM OPS"),
    ("payment_method.manage", "07", "SavePaymentMethod", "BOF SUP CCA"),
    ("payment.configure", "07", "ConfigureAllocation", "ADM"),
    ("receipt.manage", "07", "SplitReceipt PreIssueReceipt DiscardReceipt", "BOF ARA"),
    ("payment.export", "07", "ExportPayments", "BOF SUP ARM ARA FIN"),
    (
        "integration.hub",
        "07",
        (
            "AcceptHubPayment ApplyHubPaymentEvent ApplyHubRefundEvent ReleaseSuspendedPayment ReversePayment "
            "DeclinePayment SuspendPayment"
        ),
        "HUB",
    ),
    ("integration.payment", "07", "AcceptExternalPayment CashTransactionCreatedEvent", "EXT"),
    ("payment.view", "07", "", "STAFF AUD SPO MBR"),
    ("receipt.view", "07", "", "STAFF AUD"),
    ("reconciliation.configure", "08", "ConfigureReconciliation ConfigureUnallocationOrder", "ADM"),
    ("reconciliation.run", "08", "ReconcileNegativeItems", "ARM"),
    ("balance.configure", "08", "ConfigureMinimumDue", "ADM"),
    ("ptd.configure", "08", "ConfigurePaidToDate", "ADM"),
    ("balance.recalculate", "08", "RecalculateBalances", "ARA OPS"),
    ("ptd.recalculate", "08", "CalculatePaidToDate", "ARA OPS"),
    ("balance.verify", "08", "ResolveBalanceDiscrepancy", "ARM FIN"),
    ("balance.view", "08", "", "STAFF AUD POL EXT SPO MBR"),
    ("ptd.view", "08", "", "STAFF AUD POL EXT SPO MBR"),
    ("writeoff.request", "09", "RequestWriteOff", "BOF SUP ARM ARA COL"),
    ("writeoff.cancel", "09", "CancelWriteOff", "SUP ARM"),
    ("writeoff.approve", "09", "ApproveWriteOff RejectWriteOff", "SUP ARM FIN"),
    ("writeoff.reverse", "09", "ReverseWriteOff", "SUP ARM"),
    ("writeoff.configure", "09", "ConfigureWriteOffAuthority", "ADM"),
    ("refund.configure", "09", "ConfigureRefunds", "ADM"),
    ("refund.create", "09", "InitiateRefund EditRefund CancelRefund", "BOF SUP ARA"),
    ("refund.approve", "09", "ApproveRefund RejectRefund CancelRefund", "SUP ARM FIN"),
    ("credit.apply", "09", "CreateCustomerCredit", "SUP ARM"),
    ("writeoff.view", "09", "", "STAFF AUD"),
    ("refund.view", "09", "", "STAFF AUD"),
    ("delinquency.configure", "10", "DeployDelinquencyConfiguration", "ADM"),
    ("delinquency.override", "10", "AssignDelinquencyOverride RemoveDelinquencyOverride", "ARM CRO"),
    ("delinquency.run", "10", "RunDelinquency RunFirstInvoiceCancellation", "ARM OPS"),
    ("delinquency.case.stop", "10", "StopDelinquencyCase", "ARM"),
    (
        "delinquency.task.work",
        "10",
        "ClaimCancellationTask CompleteCancellationReview DismissCancellationRequest RedeliverNotice",
        "ARM COL",
    ),
    ("delinquency.cancellation.approve", "10", "ApproveCancellationRequest ReturnCancellationRequest", "SUP ARM"),
    ("delinquency.view", "10", "", "STAFF AUD"),
    (
        "ledger.configure",
        "11",
        "RegisterLedgerTemplate ActivateLedgerTemplate ConfigurePosting DefineAccount CloseAccount",
        "FIN",
    ),
    ("ledger.rate", "11", "SetExchangeRate", "FIN"),
    ("ledger.period", "11", "CloseAccountingPeriod ReopenAccountingPeriod", "FIN"),
    ("ledger.post", "11", "PostBusinessTransaction", "EXT SYS"),
    ("ledger.operate", "11", "RetryPosting", "FIN OPS"),
    ("ledger.reconcile", "11", "RunLedgerReconciliation", "FIN OPS"),
    ("ledger.adjust", "11", "PostManualEntry ReverseManualEntry", "ARA FIN"),
    ("ledger.adjust.approve", "11", "", "FIN"),
    ("ledger.export", "11", "CreateJournalExport RepeatJournalExport RecordExportAnswer", "FIN"),
    ("compliance.review", "11", "RecordReviewFindings ProposeRemediation CloseComplianceReview", "CMP"),
    ("compliance.approve", "11", "ApproveRemediation RejectRemediation", "FIN CMP"),
    ("member.financial.view", "11", "", "AUD EXT"),
    ("ledger.view", "11", "", "ARM FIN CMP AUD"),
    ("compliance.view", "11", "", "ARM FIN CMP AUD"),
    ("receipts.import", "12", "ImportPaymentsFile ImportBillingFile", "ARA OPS"),
    ("matching.run", "12", "RunReceiptReconciliation", "ARM OPS"),
    (
        "matching.decide",
        "12",
        "AcceptSuggestion RejectSuggestion MatchReceipt UnmatchReceipt ConfirmPayerLink",
        "ARM ARA",
    ),
    ("receivables.configure", "12", "ConfigureReceivables", "ADM"),
    ("exception.work", "12", "AcceptException ResolveException ReopenException", "BOF ARA COL FIN ITS"),
    ("exception.assign", "12", "ReassignWork SetAvailability", "SUP ARM"),
    ("overpayment.work", "12", "ChooseOverpayment RevokeOverpaymentCredit", "ARA CCA"),
    ("refundbatch.prepare", "12", "CreateRefundBatch", "ARA"),
    ("refundbatch.release", "12", "ReleaseRefundBatch DropBatchEntry", "FIN"),
    ("dispute.work", "12", "OpenDispute DecideDispute", "ARA CCA"),
    ("credit.limit.set", "12", "SetCreditLimit", "CRO"),
    ("credit.hold", "12", "PlaceCreditHold ReleaseCreditHold", "ARM CRO"),
    ("credit.work", "12", "RequestBureauReport", "CRO"),
    ("collection.work", "12", "SendReminder LogActivity CompleteTask RecordPromise CancelPromise", "ARM COL"),
    ("collection.manage", "12", "RecordPromise", "ARM"),
    ("arrangement.propose", "12", "ProposeArrangement AcceptArrangement CancelArrangement", "ARM COL"),
    ("arrangement.approve", "12", "ApproveArrangement RejectArrangement", "ARM"),
    ("arrangement.approve_high", "12", "ApproveArrangement", "FIN"),
    ("agency.manage", "12", "PlaceWithAgency ApprovePlacement RecallFromAgency", "ARM"),
    ("latefee.waive", "12", "WaiveLateFee", "ARM"),
    ("simulation.run", "12", "RunSimulation", "ARM FIN"),
    ("provision.adopt", "12", "AdoptProvisionRates", "FIN"),
    ("receivable.view", "12", "", "STAFF AUD SPO MBR"),
    ("credit.view", "12", "", "ARM CRO FIN AUD"),
    (
        "portal.selfservice",
        "12",
        "ChooseOverpayment OpenDispute RecordPromise ProposeArrangement AcceptArrangement",
        "SPO MBR",
    ),
    ("job.run", "13", "RunJob", "OPS"),
    ("job.control", "13", "PauseJob ResumeJob CancelJobRun", "OPS"),
    ("projection.manage", "13", "RebuildProjection VerifyProjection", "OPS ITS"),
    ("message.republish", "13", "RepublishMessages", "OPS ITS"),
    (
        "webhook.manage",
        "13",
        "RegisterWebhook UpdateWebhook ResumeWebhook RotateWebhookSecret RetryWebhookDelivery",
        "OPS ITS",
    ),
    ("task.work", "13", "ClaimTask ReturnTask CompleteTask", "STAFF"),
    ("task.assign", "13", "ReassignTask", "SUP ARM"),
    ("notification.manage", "13", "DefineNotificationTemplate ActivateNotificationTemplate", "ADM"),
    ("notification.preference", "13", "SetNotificationPreference ResendNotification", "BOF CCA"),
    ("list.export", "13", "RequestExport", "BOF SUP ARM ARA CRO FIN CMP AUD"),
    ("audit.export", "13", "RequestExport", "CMP AUD"),
    ("parameter.manage", "13", "SetParameter", "ADM"),
    ("user.manage", "13", "CreateUser AssignRoles SetAuthorityLevel SetUserScope DeactivateUser UnlockUser", "ITS"),
    ("apikey.manage", "13", "IssueApiKey RotateApiKey RevokeApiKey", "ITS"),
    ("audit.view", "13", "", "CMP AUD"),
    ("audit.replay", "13", "RunReplay VerifyHashChain", "AUD"),
    ("personal_data.reveal", "13", "RevealPersonalData", "SUP CCA CMP"),
    ("personal_data.manage", "13", "ExportPersonalData RequestErasure RejectErasure", "CMP"),
    ("legal_hold.manage", "13", "PlaceLegalHold ReleaseLegalHold", "CMP"),
    ("maintenance.manage", "13", "EnterMaintenance LeaveMaintenance", "OPS"),
    ("job.view", "13", "", "STAFF AUD OPS"),
    ("deadletter.view", "13", "", "STAFF AUD OPS"),
    ("task.view", "13", "", "STAFF AUD OPS"),
    ("notification.view", "13", "", "STAFF AUD OPS"),
    ("webhook.view", "13", "", "AUD OPS ITS"),
    ("parameter.view", "13", "", "STAFF AUD OPS"),
    ("user.view", "13", "", "AUD OPS ITS"),
    # Not a row of appendix A: its definition of SYS, "every command marked system or job in the documents".
    (SYSTEM_PRIVILEGE, "13", "", "SYS"),
)


def _roles(text: str) -> tuple[Role, ...]:
    named = [role for word in text.split() for role in (STAFF if word == "STAFF" else (Role(word),))]
    return tuple(role for role in Role if role in named)


#: All privileges by name, in the order of the rulebook.
PRIVILEGES: Final[Mapping[str, Privilege]] = MappingProxyType(
    {
        name: Privilege(name, document, tuple(commands.split()), _roles(roles))
        for name, document, commands, roles in _TABLE
    }
)


def _covering() -> dict[str, frozenset[str]]:
    covering: dict[str, set[str]] = {}
    for privilege in PRIVILEGES.values():
        for command in privilege.commands:
            covering.setdefault(command, set()).add(privilege.name)
    return {command: frozenset(names) for command, names in covering.items()}


_COVERING: Final[Mapping[str, frozenset[str]]] = MappingProxyType(_covering())


def privileges_of(roles: Iterable[str]) -> frozenset[str]:
    """The union of the privileges of the roles held (PLT-029). A name that is no role grants nothing."""
    held = set(roles)
    return frozenset(name for name, privilege in PRIVILEGES.items() if not held.isdisjoint(privilege.roles))


def covering_privileges(command: str) -> frozenset[str]:
    """The privileges each of which covers the command by the rulebook's table; empty for a command it does not name."""
    return _COVERING.get(command, frozenset())


def may_execute(privileges: Collection[str], command: str, declared: str) -> bool:
    """Whether someone with these privileges may issue the command: its declared privilege, or another covering it."""
    return declared in privileges or not covering_privileges(command).isdisjoint(privileges)


@dataclass(frozen=True, slots=True)
class ForbiddenCombination:
    """Two sets of rights that may not be in one hand (PLT-032), with the privileges that collide."""

    reason: str
    privileges: tuple[str, ...]


#: What an auditor may hold although it issues a command: reading, replaying, and exporting what was read.
_AUDITOR_MAY: Final = ("audit.", "list.export")


def _is_read(privilege: Privilege) -> bool:
    """A privilege of reads; the consolidated statement that `account.view` may request changes nothing."""
    return privilege.name.endswith(".view")


def forbidden_combinations(roles: Iterable[str]) -> tuple[ForbiddenCombination, ...]:
    """Why these roles may not be held by one user; empty when they may (PLT-032, ROLE_COMBINATION_FORBIDDEN)."""
    held = {Role(role) for role in roles if role in set(Role)}
    granted = sorted(privileges_of(held))
    found = []
    if Role.AUDITOR in held:
        acting = tuple(name for name in granted if not (name.startswith(_AUDITOR_MAY) or _is_read(PRIVILEGES[name])))
        if acting:
            found.append(ForbiddenCombination("the auditor reads and replays, and does nothing else", acting))
    approving = tuple(name for name in granted if name.endswith((".approve", ".approve_high")))
    if "user.manage" in granted and (approving or "refundbatch.release" in granted):
        colliding = tuple(name for name in granted if name in approving or name == "refundbatch.release")
        found.append(
            ForbiddenCombination("who grants rights neither approves nor releases money", ("user.manage", *colliding))
        )
    configuring = tuple(name for name in granted if name in ("writeoff.configure", "refund.configure"))
    deciding = tuple(name for name in granted if name in ("writeoff.approve", "refund.approve"))
    if configuring and deciding:
        found.append(ForbiddenCombination("who sets the limits does not approve", (*configuring, *deciding)))
    return tuple(found)
