"""Sentences and keys around the values: one set to tune on, one that is held out.

`{}` is where a value goes. Used by `bench_sanitizer_cases`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Templates of one set."""

    keys: Mapping[str, tuple[str, ...]]
    prose: Mapping[str, tuple[str, ...]]
    given_alone: tuple[str, ...]
    titled: tuple[str, ...]
    neutral: tuple[str, ...]
    """Sentences that say nothing about the value."""
    places: tuple[str, ...]
    """Arguments that hold prose; `reason` is the action's own."""


TUNING: Final = Texts(
    keys={
        "provider secret": ("api_key", "access_token", "client_secret"),
        "password": ("password", "db_password", "admin_pwd"),
        "e-mail": ("email", "contact_email", "user"),
        "phone, international": ("phone", "mobile_number", "contact"),
        "phone, national": ("phone", "telephone", "mobile"),
        "card": ("card_number", "pan", "payment_ref"),
        "IBAN": ("iban", "account", "payout_to"),
        "SSN": ("ssn", "taxpayer", "applicant_ref"),
        "SSN, nine digits": ("ssn", "social_security_number"),
        "national id, by form": ("national_id", "tax_id", "document"),
        "national id, by name": ("tax_id", "national_id", "id_card_number"),
        "IP address": ("ip_address", "client_ip", "seen_from"),
        "MAC address": ("mac_address", "device", "hardware"),
        "date of birth": ("date_of_birth", "dob", "birthday"),
        "postal address": ("address", "shipping_address", "street_address"),
        "name in a field": ("full_name", "customer_name", "account_holder"),
        "medical record": ("mrn", "medical_record_number"),
        "wallet": ("wallet", "payout_address", "to_account"),
    },
    prose={
        "provider secret": (
            "The job fails with {} in the header since noon.",
            "Replaced {} by a new one, please confirm.",
            "use {} for now",
        ),
        "password": (
            "The password is {} until Friday.",
            "log in with admin and password: {}",
            "pwd={} still works on the old box",
        ),
        "e-mail": (
            "Please send the export to {} before noon.",
            "{} asked for the deletion of the account.",
            "cc: {}; no reply yet",
        ),
        "phone, international": (
            "Customer can be reached at {} after five.",
            "Text {} once the job has finished.",
            "Caller {} waited nine minutes.",
        ),
        "phone, national": (
            "Please call {} before the change.",
            "Phone: {}, ask for the shift lead.",
            "His mobile number is {}, try it first.",
        ),
        "card": (
            "Refund the purchase made with {} last week.",
            "The charge on {} was disputed.",
            "card {} exp 09/28 was declined twice",
        ),
        "IBAN": (
            "Pay out the balance to {} today.",
            "The refund goes to {} as agreed.",
            "transfer from {} bounced",
        ),
        "SSN": (
            "The applicant gave {} on the form.",
            "Match the record with SSN {} first.",
            "SSN on file: {}.",
        ),
        "SSN, nine digits": (
            "Match the record with SSN {} first.",
            "social security number {} is wrong",
        ),
        "national id, by form": (
            "The tenant's national id is {}.",
            "Identity paper {} was checked at the desk.",
            "tax id {} does not match the name",
        ),
        "national id, by name": (
            "Her tax id is {}.",
            "national id number: {}",
            "ID card no. {} has expired.",
        ),
        "IP address": (
            "Block {} at the edge, it floods the login page.",
            "Requests from {} fail since the change.",
            "ssh to {} and look at the disk",
        ),
        "MAC address": (
            "The printer {} lost its lease again.",
            "Allow {} on the guest network.",
            "device {} is unknown",
        ),
        "date of birth": (
            "The patient was born on {} in the city.",
            "Date of birth {} does not match the paper.",
            "DOB: {}",
        ),
        "postal address": (
            "Send the replacement to {} by courier.",
            "She moved to {} in spring.",
            "delivery address: {}",
        ),
        "name in a field": (
            "Customer name: {}",
            "Account holder: {}, since 2019",
            "Patient name: {}.",
        ),
        "medical record": (
            "Merge the chart with MRN {} into the new one.",
            "medical record number {} is a duplicate",
        ),
        "wallet": (
            "Send the refund in coins to {} today.",
            "The attacker's wallet is {}.",
            "payout to {} is stuck",
        ),
        "name in prose": (
            "The request came from {} of the billing team.",
            "{} asked to have the account closed.",
            "Talked to {} about the renewal yesterday, and the contract will be extended.",
            "Please restore the mailbox of {} from the last backup.",
            "As agreed with {}, the export runs at night.",
            "Approved on the phone by {} this morning.",
            "fix: wrong total on the invoice for {}",
            "This replaces {}'s laptop and revokes the old certificates.",
            "Complaint of {}: the parcel never arrived.",
        ),
    },
    given_alone=(
        "Ask {} whether the index is still needed.",
        "I spoke to {} and we agreed on Monday.",
        "{} wants the report by noon.",
        "Thanks to {} the queue is empty again.",
    ),
    titled=(
        "Mr. {} called about the bill.",
        "The file of Ms. {} is missing a page.",
        "Dr. {} needs access to the archive.",
        "Mrs {} has cancelled the order.",
    ),
    neutral=(
        "The entry {} has to go before the migration.",
        "Found {} in the dump, see the ticket.",
        "compare with {} and retry",
        "value was {} at noon",
    ),
    places=("reason", "comment", "message", "note", "description"),
)

HELD_OUT: Final = Texts(
    keys={
        "provider secret": ("secret", "auth_token", "signing_key"),
        "password": ("passwd", "root_password", "login_pass"),
        "e-mail": ("mail", "reply_to", "owner_email"),
        "phone, international": ("tel", "phone_no", "callback"),
        "phone, national": ("phone_number", "tel", "home_phone"),
        "card": ("credit_card", "card_no", "source"),
        "IBAN": ("iban", "creditor", "bank_ref"),
        "SSN": ("social_security", "ssn_value", "subject_key"),
        "SSN, nine digits": ("ssn_number", "social_security_no"),
        "national id, by form": ("personal_id", "tax_number", "paper"),
        "national id, by name": ("taxpayer_id", "national_id_number", "government_id"),
        "IP address": ("source_ip", "remote_addr", "peer"),
        "MAC address": ("mac", "hw_addr", "station"),
        "date of birth": ("birth_date", "birthdate", "born"),
        "postal address": ("home_address", "billing_address", "mailing_address"),
        "name in a field": ("contact_name", "patient_name", "beneficiary_name"),
        "medical record": ("medical_record", "patient_mrn"),
        "wallet": ("crypto_wallet", "deposit", "btc"),
    },
    prose={
        "provider secret": (
            "Somebody pasted {} into the channel, it has to be revoked.",
            "new credential for the runner is {}",
            "After the rotation {} must not work any more.",
        ),
        "password": (
            "They can sign in with the password {} from now on.",
            "Reset done, new password: {}",
            "passwd {} for the staging box",
        ),
        "e-mail": (
            "Invoices should reach {} from next month on.",
            "We got a complaint ({}) about the newsletter.",
            "forward everything from <{}> to support",
        ),
        "phone, international": (
            "The number on the account changed to {} last night.",
            "Verification went to {} but was never confirmed.",
            "dial {}, extension 4",
        ),
        "phone, national": (
            "You can call me on {} any time.",
            "Tel. {} is out of order.",
            "new cell phone {} as of today",
        ),
        "card": (
            "A customer says {} was charged three times.",
            "Please remove {} from the saved payment methods.",
            "chargeback for {}, 40 EUR",
        ),
        "IBAN": (
            "Salary should be wired to {} from now on.",
            "Wrong digits: {} is closed.",
            "direct debit {} returned by the bank",
        ),
        "SSN": (
            "Background check for {} came back clean.",
            "Her social security number, {}, was misspelt.",
            "W-2 correction, {}, tax year 2025",
        ),
        "SSN, nine digits": (
            "SSN: {} (from the form)",
            "the social security number {} is used twice",
        ),
        "national id, by form": (
            "The passport office knows him under {}.",
            "ID number {} is already registered.",
            "Contractor's tax number: {}",
        ),
        "national id, by name": (
            "Please correct the tax number {}.",
            "taxpayer id {} was entered twice",
            "The government id {} belongs to somebody else.",
        ),
        "IP address": (
            "Login from {} looked odd to the customer.",
            "The scanner at {} may be let through.",
            "route {} via the second gateway",
        ),
        "MAC address": (
            "Badge reader with {} was replaced.",
            "Wake {} over the network at six.",
            "lease for {} expired",
        ),
        "date of birth": (
            "She was born {} and is eligible.",
            "Correct the birth date to {} as on the passport.",
            "Birthday: {}",
        ),
        "postal address": (
            "The technician should go to {} tomorrow.",
            "He lives at {} with his family.",
            "Ship to: {}",
        ),
        "name in a field": (
            "Contact name: {}",
            "Beneficiary: {}, confirmed",
            "Full name: {} (as on file)",
        ),
        "medical record": (
            "The scan belongs to medical record {}.",
            "MRN: {} was opened without a reason",
        ),
        "wallet": (
            "Funds were moved to {} within minutes.",
            "Please whitelist {} for withdrawals.",
            "donations to {} are not ours",
        ),
        "name in prose": (
            "We are removing {} from the on-call list at her own request.",
            "Ticket opened by {} after the outage.",
            "{} left the company, so the repository needs a new owner.",
            "In the meeting {} promised to pay by the end of the month.",
            "Forward the letters to {}, who handles claims now.",
            "revert: grant asked for by {} in March",
            "The lawyer of {} wants every record we hold.",
            "Order 5518 belongs to {} and was shipped twice.",
            "For {}'s new role the old rights are taken away.",
        ),
    },
    given_alone=(
        "Could {} have a look at the dashboard first?",
        "We promised {} an answer today.",
        "According to {} nobody uses this table.",
        "{} said the backup is fine.",
    ),
    titled=(
        "Mrs. {} disputes the charge.",
        "Please ring Mr {} back after lunch.",
        "A prescription of Dr {} was scanned twice.",
        "Ms. {} moved to another branch.",
    ),
    neutral=(
        "We saw {} again in last night's log.",
        "Please check {} against the list and close the case.",
        "row with {} is odd",
        "keep {} out of the report",
    ),
    places=("reason", "body", "commit_message", "text", "summary"),
)
