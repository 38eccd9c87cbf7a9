"""Changes that somebody might make to a policy: what impact analysis is tried with.

An edit is a function from the files of a policy to other files. Most add a rule
package; some change thresholds, drop conditions or rules of the packages there are,
found by what they say and not by where they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

Files = dict[PurePosixPath, bytes]
Edit = Callable[[Files], Files]

_PACKAGE = "package countersign.rules.edited\n\nimport data.countersign.lib\n\n"
_REASON = '{"code": "edited.rule", "message": "an edited rule"}'
_NEED = (
    '{"code": "edited.need", "message": "an edited need", '
    '"stages": [{"name": "data owner", "groups": ["data-owners"]}]}'
)


def _added(text: str) -> Edit:
    return lambda files: {
        **files,
        PurePosixPath("edited.rego"): (_PACKAGE + text).encode(),
    }


def _deny(body: str, more: str = "") -> Edit:
    return _added(f"deny contains {_REASON} if {{\n\t{body}\n}}\n\n{more}\n")


def _need(body: str, more: str = "") -> Edit:
    return _added(f"needs contains {_NEED} if {{\n\t{body}\n}}\n\n{more}\n")


def _replaced(pattern: str, by: str, *, count: int = 0) -> Edit:
    """Everywhere but in tests and the library, so often in each file."""

    def edit(files: Files) -> Files:
        changed = {
            path: re.sub(pattern, by, content.decode(), count=count).encode()
            if path.suffix == ".rego" and "countersign" not in path.parts
            else content
            for path, content in files.items()
        }
        assert changed != files, f"nothing to edit: {pattern}"
        return changed

    return edit


def _without_rule(code: str) -> Edit:
    """The rules that give this reason say something impossible."""
    return _replaced(
        rf'(contains \{{\s*"code": "{re.escape(code)}"(?:.|\n)*?\}} if \{{)', r"\1\n\tfalse"
    )


_ARGS = "input.context.arguments"
EDITS: Mapping[str, Edit] = {
    "as it is": dict,
    "fewer rows": _replaced(r"\b100000\b", "1000"),
    "more rows": _replaced(r"\b100000\b", "100000000"),
    "rows of a day sooner": _replaced(r"\b250000\b", "100"),
    "amounts of a day later": _replaced(r"\b2000\b", "900000000"),
    "no rule for personal data": _without_rule("export.personal"),
    "no rule for destinations": _without_rule("export.no_destination"),
    "no rule for arguments unread": _without_rule("export.unread"),
    "production is not asked about": _replaced(r"\tlib\.production\n", "", count=2),
    "a reason by another name": _replaced(r"export\.external", "export.outside"),
    "a contact is denied": _deny(f'{_ARGS}.contact == "maria.gonzales@example.org"'),
    "a contact without tld": _deny(f'not endswith({_ARGS}.contact, ".org")'),
    "any contact": _deny(f"{_ARGS}.contact"),
    "no contact": _need(f'input.context.action == "shell.run"\n\tnot {_ARGS}.contact'),
    "a contact is a text": _need(f"is_string({_ARGS}.contact)"),
    "a phone is a number": _need(f"is_number({_ARGS}.phone)"),
    "a regex on the reason": _need("regex.match(`(?i)urgent|mail of`, input.context.reason)"),
    "a reason is given": _deny('input.context.reason == ""'),
    "a long reason": _need("count(input.context.reason) > 20"),
    "many arguments": _need(f"count({_ARGS}) > 5"),
    "an argument of any name": _deny(
        f'some name, value in {_ARGS}\n\tname != "to"\n\tvalue == "x"'
    ),
    "walk for a name": _need(
        f'walk({_ARGS}, [path, value])\n\tpath[count(path) - 1] == "plan"\n\tvalue == "gold"'
    ),
    "walk for a value": _deny(f'walk({_ARGS}, [_, "Maria Gonzales"])'),
    "walk deep": _need(f"walk({_ARGS}, [path, _])\n\tcount(path) > 2"),
    "columns in a comprehension": _need(
        f'count([c | some c in {_ARGS}.columns; not contains(c, "@")]) < 2'
    ),
    "as many columns": _need(f"count({_ARGS}.columns) == 2"),
    "every recipient": _deny(
        "_outside", f'_outside if {{\n\tevery r in {_ARGS}.recipients {{\n\t\tr != "ops"\n\t}}\n}}'
    ),
    "a recipient of ours": _need(f'"ops" in {_ARGS}.recipients'),
    "a recipient of theirs": _need(f'"p.schneider@example.net" in {_ARGS}.recipients'),
    "recipients as a set": _need(f"count({{r | some r in {_ARGS}.recipients}}) < 3"),
    "a helper function": _deny(
        f"_said({_ARGS}.customer.name)", '_said("Peter Schneider")\n\n_said("Nobody")'
    ),
    "a helper by pattern": _need(f"_plan({_ARGS}.customer)", '_plan({"name": _, "plan": "gold"})'),
    "a helper with a default": _need(
        '_tier == "plain"',
        f'default _tier := "plain"\n\n_tier := "fine" if {_ARGS}.customer.plan == "gold"\n\n'
        f'_tier := "ours" if {_ARGS}.customer.name == "Ada Lovelace"',
    ),
    "else after else": _deny(
        '_kind == "b"',
        f'_kind := "a" if {{ {_ARGS}.contact == "ada@example.com" }} else := "b" if '
        f'{{ startswith({_ARGS}.note, "for") }} else := "c"',
    ),
    "a whole object compared": _need(
        f'{_ARGS}.customer == {{"name": "Ada Lovelace", "plan": "gold"}}'
    ),
    "attributes": _need("count(input.context.resource.attributes) == 0"),
    "attributes by value": _deny('input.context.resource.attributes[_] == "Ada Lovelace"'),
    "json in a text": _need(f"json.unmarshal({_ARGS}.payload).n == 3"),
    "marshalled": _need(f'contains(json.marshal({_ARGS}), "gold")'),
    "another input": _need(
        '_asked with input as {"who": input.context.resource.owner}',
        '_asked if input.who == "ada@example.com"',
    ),
    "an object got": _need(f'object.get({_ARGS}, ["customer", "plan"], "none") == "gold"'),
    "an object got by default": _need(
        f'object.get({_ARGS}, "contact", "none") == "none"\n\tinput.context.action == "sql.execute"'
    ),
    "an owner": _deny('input.context.resource.owner in {"maria.gonzales@example.org", "alice"}'),
    "an owner at all": _need('input.context.resource.owner == ""'),
    "behalf of somebody": _need("count(input.context.on_behalf_of) > 0"),
    "behalf of one of us": _need('input.context.on_behalf_of[_].id == "ada@example.com"'),
    "masks a contact": _added(f'mask contains "/arguments/contact" if {_ARGS}.contact\n'),
    "masks every customer": _added(
        'mask contains "/arguments/customer/*" if input.context.action == "db.export"\n'
    ),
    "masks by name": _added(
        f'mask contains "/arguments/note" if startswith({_ARGS}.note, "for Ada")\n'
    ),
    "a lookup": _need(
        "_known[input.context.resource.owner]", '_known := {"alice": true, "ada@example.com": true}'
    ),
    "a set of values": _deny(
        '"Peter Schneider" in _values', f"_values contains value if some value in {_ARGS}.customer"
    ),
    "a partial object": _need(
        '_named.plan == "gold"', f"_named[name] := value if some name, value in {_ARGS}.customer"
    ),
    "a rule returned": _deny('_contact == "ada@example.com"', f"_contact := {_ARGS}.contact"),
    "a diagnosis": _need(f"{_ARGS}.diagnosis"),
    "a template in a message": _added(
        'deny contains {"code": "edited.said", "message": sprintf("for %v", [_who])} if '
        f'input.context.action == "key.rotate"\n\n_who := {_ARGS}.contact\n'
    ),
    "an exact amount": _deny("input.findings.quantity.amount == 40"),
    "a sum of amounts": _need("input.findings.quantity.amount + input.recent.hour.amount > 200"),
    "half an amount": _need("input.findings.quantity.amount / 2 > 15"),
    "rows between": _need(
        "input.findings.quantity.rows > 40\n\tinput.findings.quantity.rows < 200"
    ),
    "customer ids": _need(f"count({_ARGS}.customer_ids) > 2"),
    "an id among customers": _deny(f"12 in {_ARGS}.customer_ids"),
    "deep in what is masked": _need(f"{_ARGS}.customer_ids[0] > 10"),
    "sorted": _need(f'sort({_ARGS}.recipients)[0] == "ops"'),
    "joined lists": _need(f'"ops" in array.concat({_ARGS}.recipients, {_ARGS}.columns)'),
    "united objects": _need(f'object.union({_ARGS}, {{"table": "x"}}).customer.plan == "gold"'),
    "keys of a customer": _need(f'object.keys({_ARGS}.customer) == {{"name", "plan"}}'),
    "types of arguments": _need(f'some value in {_ARGS}\n\ttype_name(value) == "number"'),
    "a whole document": _deny("input.context.arguments == {}"),
}
