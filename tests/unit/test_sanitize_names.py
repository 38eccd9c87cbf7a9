"""Names of people in prose: which are found, what stays readable, and what it costs."""

import pytest

from countersign.model import ActionContext, Principal, Resource
from countersign.sanitize import Sanitizer, name_lists, names

SANITIZER = Sanitizer()


def shown(text):
    return SANITIZER.text(text)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Jane Smith asked for a copy", "[PERSON] asked for a copy"),
        ("as agreed with José Núñez.", "as agreed with [PERSON]."),
        ("Łukasz approved it on Monday", "[PERSON] approved it on Monday"),
        ("Mr Porter will sign", "Mr [PERSON] will sign"),
        ("seen by Dr. Best yesterday", "seen by Dr. [PERSON] yesterday"),
        ("Frau Müller-Lüdenscheidt hat angerufen", "Frau [PERSON] hat angerufen"),
        ("it is Jane's laptop", "it is [PERSON]'s laptop"),
        ("it is Jane\u2019s laptop", "it is [PERSON]\u2019s laptop"),
        ("contact J. Smith in finance", "contact [PERSON] in finance"),
        ("owned by Jane Q. Porter and others", "owned by [PERSON] and others"),
        ("Vincent van der Berg left", "[PERSON] left"),
        ("ask Anne-Marie O'Hara about it", "ask [PERSON] about it"),
        ("the records of Xiaoling Ng are gone", "the records of [PERSON] are gone"),
        ("refund for jane kowalski as discussed", "refund for [PERSON] as discussed"),
        ("customer maria wants deletion", "customer [PERSON] wants deletion"),
        ("for customer heather kemp", "for customer [PERSON]"),
        ("done.\n\nsigned, Mark Baker", "done.\n\nsigned, [PERSON]"),
        ("Thanks, Will", "Thanks, [PERSON]"),
        ("this replaces matteo ivanov's laptop", "this replaces [PERSON]'s laptop"),
        ("Ask Sofia whether it is needed", "Ask [PERSON] whether it is needed"),
        ("ask JANE SMITH about it", "ask [PERSON] about it"),
        ("Kirsty Wood opened the ticket", "[PERSON] opened the ticket"),
        ("Ask Ronald McDonald for it", "Ask [PERSON] for it"),
        ("田中さん に 確認", "[PERSON]さん に 確認"),
    ],
)
def test_names_are_found_in_prose(text, masked):
    assert shown(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Quarterly export for finance, ticket FIN-1234, 12,500 rows",
        "Rolling back the Kafka consumers in Frankfurt on Monday, May 4",
        "Redeploy the Kubernetes ingress; Terraform drift was found by Datadog",
        "Will deploy after the April release, the London team agreed",
        "The Check must not pass. Each Service keeps its own Key.",
        "Backfill the warehouse, then reindex. Upserts are idempotent.",
        "May we rotate the key? Mark it as done and bill the customer.",
        "It's the German bank holiday, don't page anybody",
        "GitHub Actions failed, PostgreSQL is at version 15",
        "for user alpha and client beta",
        "die Abrechnung der Kunden wird nicht mit dem Export geprüft",
        "la copie des factures est prête pour le client",
        "restart jenkins for travis builds with terraform",
        "API, SQL, AWS and GCP are not names, nor is I",
    ],
)
def test_the_words_of_the_trade_stay(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "SELECT name FROM people WHERE city = 'x'",
        "kubectl delete pod Jane Smith",
        "deploy --user Jane --to Smith",
        "if (Jane == Smith) { return Jane; }",
        "users/Jane_Smith/Export and Jane.Smith and @Jane",
        "JaneSmith",
    ],
)
def test_code_commands_and_ids_are_no_prose(text):
    assert "[PERSON]" not in shown(text)


def a_context(arguments, reason=""):
    return ActionContext(
        actor=Principal(type="agent", id="agent-7"),
        on_behalf_of=(),
        action="db.export",
        resource=Resource(type="db", id="x", owner="data", attributes={}),
        environment="production",
        arguments=arguments,
        reason=reason,
        session="s",
    )


def rendered(context, known=lambda _: False):
    found = SANITIZER.detect(context, known=known)
    return found, SANITIZER.clean(context, found, policy_mask=[], tag_key=b"k").context


def test_a_reason_and_free_text_are_searched_and_the_same_name_reads_alike():
    context = a_context(
        {"note": "call Jane Smith back", "list": ["x", "for Jane Smith"]}, "Jane Smith asked"
    )
    found, shown_context = rendered(context)
    assert found.entities == {"PERSON": 3}
    assert "personal" in found.classes
    tag = shown_context["reason"].removesuffix(" asked")
    assert tag.startswith("[PERSON:")
    assert shown_context["arguments"] == {"note": f"call {tag} back", "list": ["x", f"for {tag}"]}


def test_what_will_be_run_is_left_to_its_own_rules():
    _, shown_context = rendered(
        a_context({"command": "echo Jane Smith", "sql": "SELECT Jane FROM Smith"})
    )
    assert "PERSON" not in str(shown_context)


def test_ids_of_the_registry_stay_in_prose():
    context = a_context({}, "approved by Jane, refused by Miriam")
    _, shown_context = rendered(context, known=lambda name: name == "Jane")
    assert shown_context["reason"].startswith("approved by Jane, refused by [PERSON:")


def test_offsets_are_right_after_letters_of_several_bytes():
    context = a_context({}, "größe - Łukasz und Jane Smith, für José Núñez: fertig")
    _, shown_context = rendered(context)
    reason = shown_context["reason"]
    assert reason.startswith("größe - [PERSON:")
    assert reason.endswith(": fertig")
    assert "Núñez" not in reason


def test_a_failure_costs_one_value_its_visibility(monkeypatch, caplog):
    real = names.find

    def find(text, known=None):
        if "explode" in text:
            raise RuntimeError("Jane Smith")
        return real(text, known)

    monkeypatch.setattr(names, "find", find)
    found, shown_context = rendered(a_context({"a": "explode Jane Smith", "b": "fine as it is"}))
    assert not found.complete
    assert shown_context["arguments"] == {"a": "[UNREADABLE]", "b": "fine as it is"}
    assert "Jane" not in caplog.text


def test_the_lists_enter_the_name_of_the_rule_set(monkeypatch):
    monkeypatch.setattr(name_lists, "CUES", name_lists.CUES | {"zaphod"})
    assert Sanitizer().ruleset != SANITIZER.ruleset


def test_work_grows_with_length_not_with_its_square(monkeypatch):
    """Counted in words judged, each of which costs no more than its letters."""
    judged = []
    real = names._judge
    monkeypatch.setattr(names, "_judge", lambda *given: judged.append(1) or real(*given))
    for text in ("Aa Bb ", "Jane van der ", "A. B. ", "Mr Dr "):
        judged.clear()
        names.find(text * 500)
        few = len(judged)
        judged.clear()
        names.find(text * 1000)
        assert len(judged) <= 2 * few + 10


# --- how many, on names and sentences nobody wrote the rules for ----------------------

FIRST = """
Aaliyah Bartosz Chidi Delphine Eirik Francesca Giulia Hanneke Ikram Joaquín Katarzyna
Lieselotte
""".split()
LAST = """
Achterberg Brzęczyszczykiewicz Castellanos Dąbrowska Eriksen Fitzgerald Gunawardena
Hämäläinen
""".split()
SENTENCES = (
    "Please export the invoices of {f} {l} for the audit.",
    "Requested by {f}, urgent.",
    "Customer {f} {l} complained about the delay.",
    "Mr {l} will sign the contract on Monday.",
    "{f}'s laptop was stolen, revoke the tokens.",
    "Escalated to {l}, {f}",
    "we promised {f} {l} and her husband a refund",
    "Move the mailbox of {l} to the archive.",
)


def test_recall_and_over_masking_hold_what_is_promised():
    found = planted = covered = others = 0
    for sentence in SENTENCES:
        for first in FIRST:
            for last in LAST:
                masked = shown(sentence.format(f=first, l=last))
                for name, slot in ((first, "{f}"), (last, "{l}")):
                    if slot in sentence:
                        planted += 1
                        found += name not in masked
                words = [word for word in sentence.split() if "{" not in word]
                others += len(words)
                covered += sum(word not in masked for word in words)
    assert found / planted >= 0.95
    assert covered / others <= 0.03
