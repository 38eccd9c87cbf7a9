package countersign.lib

# METADATA
# title: Terraform plan
# description: |
#   What a Terraform plan among the arguments does: counts of create, update,
#   replace, delete and other, and how much of it could not be read. Undefined
#   where there is no plan, several, or one that could not be read to the end.
terraform := plan if {
	plan := input.findings.facts.terraform
	plan.plans == 1
	plan.unread == 0
}

# METADATA
# title: Terraform destroys nothing
# description: The plan was read to the end, and nothing in it is deleted, replaced or forgotten.
terraform_destroys_nothing if {
	terraform.delete == 0
	terraform.replace == 0
	terraform.other == 0
}

# METADATA
# title: Terraform changes less than
# description: The plan was read to the end, and touches fewer resources than this.
terraform_below(number) if {
	plan := terraform
	(((plan.create + plan.update) + plan.replace) + plan.delete) + plan.other < number
}

# METADATA
# title: Terraform spares
# description: |
#   Every type of resource that the plan changes is known and is none of these:
#   `lib.terraform_spares({"aws_kms_key"})`. A type ending in `*` stands for all
#   that begin so.
terraform_spares(types) if {
	_all_listed(terraform, "types")
	every touched in terraform.types {
		not _is_one_of(touched, types)
	}
}

# METADATA
# title: Terraform keeps
# description: Every type of resource that the plan deletes or replaces is known, and is none of these.
terraform_keeps(types) if {
	_all_listed(terraform, "destroyed")
	every gone in terraform.destroyed {
		not _is_one_of(gone, types)
	}
}

_is_one_of(name, _) if name == "[OTHER]"

_is_one_of(name, patterns) if {
	some pattern in patterns
	_covers(pattern, name)
}

_all_listed(fact, list) if {
	is_array(fact[list])
	not fact[sprintf("%s_more", [list])]
}

# METADATA
# title: Kubernetes change
# description: |
#   What a Kubernetes request among the arguments does: verb, kinds and classes
#   of namespaces. Undefined where there is none, or one that could not be read
#   to the end (YAML is not read; send objects).
kubernetes := change if {
	change := input.findings.facts.kubernetes
	change.unread == 0
	_all_listed(change, "kinds")
}

# METADATA
# title: Kubernetes verb
# description: Lower case; "unknown" where none is stated, several are, or one that is no verb.
default kubernetes_verb := "unknown"

kubernetes_verb := kubernetes.verb if {
	is_string(kubernetes.verb)
	not kubernetes.verb in {"multiple", "other"}
}

# METADATA
# title: Kubernetes reads
kubernetes_reads if kubernetes_verb in {"get", "list", "watch", "describe"}

# METADATA
# title: Kubernetes kinds within
# description: Every kind named is known and one of these; there is at least one.
kubernetes_within(kinds) if {
	count(kubernetes.kinds) > 0
	every kind in kubernetes.kinds {
		kind in kinds
	}
}

# METADATA
# title: Kubernetes namespaces named
# description: Every namespace is said, and none is the cluster's own or the default one.
kubernetes_namespaced if kubernetes.namespaces == ["named"]

# METADATA
# title: Destroys nothing
# description: |
#   Each of plan, request, statement and command that there is among the
#   arguments is known not to destroy, and there is one at least.
destroys_nothing if {
	count(_acts) > 0
	count(_acts - _harmless) == 0
}

_acts := {name | some name in ["terraform", "kubernetes", "sql", "shell"]; input.findings.facts[name]}

_harmless contains "terraform" if terraform_destroys_nothing

_harmless contains "kubernetes" if kubernetes_verb in {"get", "list", "watch", "describe", "create"}

_harmless contains "sql" if sql_verb == "select"

_harmless contains "shell" if shell_reads_only
