"""What is registered, checked as a whole and indexed by tenant.

The building half of the directory, and pure like it: it refuses what could
make two subjects out of one or one out of two, so that every later lookup has
exactly one answer. Invariant 12: each tenant gets a `Book` of its own, and
names only ever resolve within it. Used by `directory` alone, apart from
`Login`, `Group` and `is_id`, which reading the files needs too.

Messages name the subject and the field, never what the field holds.
"""

from countersign.enrolment.books import MAX_ANCESTORS, books
from countersign.enrolment.changes import changes
from countersign.enrolment.groups import MAX_NESTED_GROUPS
from countersign.enrolment.logins import CredentialName, credential_names, logins
from countersign.enrolment.names import fold, is_id, subject_name
from countersign.enrolment.values import EMPTY, Book, Entry, Group, Login, LoginKey, Pattern

__all__ = [
    "EMPTY",
    "MAX_ANCESTORS",
    "MAX_NESTED_GROUPS",
    "Book",
    "CredentialName",
    "Entry",
    "Group",
    "Login",
    "LoginKey",
    "Pattern",
    "books",
    "changes",
    "credential_names",
    "fold",
    "is_id",
    "logins",
    "subject_name",
]
