package countersign.lib

import data.countersign.settings

_personal := {"contact", "financial", "government_id", "health", "personal"}

# METADATA
# title: Has class
# description: Whether the detector saw data of this class in the context.
has_class(class) if class in input.findings.classes

# METADATA
# title: Personal data
# description: |
#   Whether the context holds data about people or names columns that do. It
#   speaks of the context alone: where no columns are named (`columns_known`),
#   an export can hold personal data all the same.
personal_data if {
	some class in input.findings.classes
	class in _personal
}

# A class that an operator's own rules of the sanitizer give.
personal_data if {
	some class in input.findings.classes
	class in settings.personal_classes
}

# METADATA
# title: Free of
# description: All of the context was looked at, and nothing of this class was seen.
free_of(class) if {
	input.findings.complete == true
	is_array(input.findings.classes)
	not class in input.findings.classes
}

# METADATA
# title: Impersonal
# description: |
#   All of the context was looked at, and no personal data was seen in it; what
#   it does not name, such as columns of an export, may hold some all the same.
impersonal if {
	input.findings.complete == true
	is_array(input.findings.classes)
	is_array(settings.personal_classes)
	not personal_data
}

# METADATA
# title: Fewer than
# description: |
#   All of the context was looked at, and fewer finds of this type ("EMAIL",
#   "IBAN") were seen than a number.
fewer_than(entity, number) if {
	input.findings.complete == true
	is_object(input.findings.entities)
	object.get(input.findings.entities, entity, 0) < number
}

# METADATA
# title: Secrets
# description: Whether the detector saw a credential.
secrets if has_class("secret")

# METADATA
# title: Below
# description: |
#   Whether a measured fact ("rows", "bytes", "amount") is known to be below a threshold.
#   Facts are decades (100-1k, 1k-10k), so a threshold that is a power of ten
#   is exact and any other is judged by the upper end of the decade.
below(fact, threshold) if {
	measured := input.findings.facts[fact]
	is_number(measured.at_least)
	object.get(measured, "unread", 0) == 0
	not endswith(measured.bucket, "+")
	max([measured.at_least, 1]) * 10 <= threshold
}

# METADATA
# title: Stated
# description: |
#   Whether the context says how much ("rows", "amount"), all of it readable and
#   more than nothing. A quantity nobody stated is 0 and adds nothing to a sum.
stated(quantity) if {
	input.findings.quantity[quantity] > 0
	object.get(input.findings.facts[quantity], "unread", 0) == 0
}

# METADATA
# title: Columns known
# description: |
#   Every column of arguments.columns was read, so that the classes of the
#   columns are among the findings; and there is no other list, query, `*` or
#   expression that may say more.
columns_known if {
	input.findings.facts.columns_unread == 0
	input.findings.facts.columns.total == count(input.context.arguments.columns)
}

# METADATA
# title: Internal destination
# description: Whether every destination named is known to be inside the organisation.
destination_internal if {
	input.findings.facts.destination.internal == true
	input.findings.facts.destination.unread == 0
}

# METADATA
# title: Shown facts
# description: |
#   For must_show: the named facts that are there to be shown. A fact the
#   detector did not find cannot be shown, and demanding it would make the
#   review unapprovable.
shown(facts) := {sprintf("facts:%s", [fact]) |
	some fact in facts
	object.get(input.findings.facts, split(fact, "."), null) != null
}

# METADATA
# title: Recently below
# description: |
#   Whether the caller's count of one kind ("checks", "allow", "deny",
#   "needs_approval", "claimed") in the last "hour" or "day" is below a number.
recently_below(window, kind, threshold) if {
	# Rego orders null before every number.
	is_number(input.recent[window][kind])
	input.recent[window][kind] < threshold
}

# METADATA
# title: Let through below
# description: |
#   Whether fewer of this caller's requests for this action were let through in
#   the last "hour" or "day": allowed at once, or approved and claimed.
let_through_below(window, threshold) if {
	# Undefined, and so not below, when either is no number.
	input.recent[window].allow + input.recent[window].claimed < threshold
}

# METADATA
# title: Adds up below
# description: |
#   Whether the "rows" or "amount" let through for this caller and action in the
#   last "hour" or "day" and what this context states come to less than a
#   number together. Exact, not by decades; false where nothing is stated.
adds_up_below(window, quantity, threshold) if {
	stated(quantity)

	# Undefined, and so not below, when either is no number.
	input.recent[window][quantity] + input.findings.quantity[quantity] < threshold
}
