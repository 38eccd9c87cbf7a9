# METADATA
# title: Kubernetes
# description: |
#   k8s.request, judged by verb, kinds and namespaces, as the sanitizer told
#   them. Reading ordinary kinds is free; whatever gives rights, reaches into a
#   container or belongs to the cluster itself asks security; what holds data is
#   never deleted through an agent in production.
#   Arguments: verb, kind, name, namespace, manifest or manifests (objects, not
#   YAML), dry_run.
package countersign.rules.k8s

import data.countersign.lib
import data.countersign.settings
import data.countersign.stages

# METADATA
# title: Settings
# description: |
#   Kinds that are ordinary to change, kinds that may be read on their own, and
#   kinds that are never deleted in production.
defaults := {
	"ordinary_kinds": [
		"ConfigMap", "CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "List", "Pod",
		"PodDisruptionBudget", "ReplicaSet", "Service", "StatefulSet", "DaemonSet",
	],
	"readable_kinds": [
		"ConfigMap", "CronJob", "DaemonSet", "Deployment", "Event", "HorizontalPodAutoscaler", "Ingress", "Job",
		"Namespace", "Node", "Pod", "PodDisruptionBudget", "ReplicaSet", "Service", "StatefulSet",
	],
	"protected_kinds": [
		"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet",
		"StorageClass",
	],
}

_settings := settings.of("k8s", defaults)

_plain_arguments := {"verb", "kind", "name", "namespace", "manifest", "manifests", "dry_run"}

# These run something inside, or pass by what a manifest says.
_reaching := {"bind", "escalate", "exec", "expose", "impersonate", "port-forward", "evict", "drain", "taint"}

_changing := {
	"annotate", "apply", "autoscale", "cordon", "create", "delete", "label", "patch", "replace",
	"restart", "rollback", "rollout", "scale", "uncordon", "update",
}

deny contains settings.refusal if {
	input.context.action == "k8s.request"
	not _settled
}

_settled if {
	_settings
	settings.sound({"freezes", "stages"})
}

deny contains {
	"code": "k8s.unread",
	"message": "the request could not be read; give one verb, and objects as JSON instead of YAML",
} if {
	input.context.action == "k8s.request"
	not _understood
}

deny contains {
	"code": "k8s.protected",
	"message": "what holds data or others is not deleted through an agent; retire it by hand",
} if {
	input.context.action == "k8s.request"
	lib.production
	lib.kubernetes_verb in {"delete", "deletecollection"}
	not _spares_protected
}

deny contains {
	"code": "k8s.freeze",
	"message": "changes are frozen; ask again after the freeze",
} if {
	input.context.action == "k8s.request"
	not lib.kubernetes_reads
	not lib.unfrozen
}

needs contains {
	"code": "k8s.change",
	"message": "change of a production cluster",
	"stages": [stages.platform],
	"must_show": _shown,
} if {
	input.context.action == "k8s.request"
	lib.production
	not _reads_plainly
}

needs contains {
	"code": "k8s.rights",
	"message": "rights, secrets or what belongs to the cluster itself, or what could not be told",
	"stages": [_security],
	"must_show": _shown,
	"require_reason": true,
} if {
	input.context.action == "k8s.request"
	not lib.kubernetes_reads
	not _ordinary
}

needs contains {
	"code": "k8s.reads_secret",
	"message": "read of what may hold secrets or rights",
	"stages": [stages.security],
	"must_show": _shown,
} if {
	input.context.action == "k8s.request"
	lib.kubernetes_reads
	not lib.kubernetes_within(_settings.readable_kinds)
}

needs contains {
	"code": "k8s.reaches_in",
	"message": "the request runs something inside the cluster, or takes over rights",
	"stages": [_security],
	"must_show": _shown,
	"require_reason": true,
	"min_assurance": "person",
} if {
	input.context.action == "k8s.request"
	not lib.kubernetes_verb in _changing
	not lib.kubernetes_reads
}

needs contains {
	"code": "k8s.deletes",
	"message": "something is deleted",
	"stages": [_platform],
	"must_show": _shown,
	"require_reason": true,
} if {
	input.context.action == "k8s.request"
	not lib.dev
	lib.kubernetes_verb in {"delete", "deletecollection"}
}

needs contains {
	"code": "k8s.unspelt",
	"message": "request with arguments that no rule knows",
	"stages": [stages.platform],
	"must_show": _shown,
} if {
	input.context.action == "k8s.request"
	not _spelt_out
}

allow contains {
	"code": "k8s.reads",
	"message": "read of ordinary kinds",
} if {
	input.context.action == "k8s.request"
	_reads_plainly
}

allow contains {
	"code": "k8s.below_production",
	"message": "change of ordinary kinds below production",
} if {
	input.context.action == "k8s.request"
	not lib.production
	_ordinary
}

_reads_plainly if {
	lib.kubernetes_reads
	lib.kubernetes_within(_settings.readable_kinds)
}

# A name with blanks in it may be an option of whoever executes.
_spelt_out if {
	lib.only_arguments(_plain_arguments)
	lib.plain({"verb", "kind", "name", "namespace", "dry_run"})
}

# A change of an ordinary kind in a namespace of its own.
_ordinary if {
	lib.kubernetes_verb in _changing
	lib.kubernetes_within(_settings.ordinary_kinds)
	lib.kubernetes_namespaced
}

_understood if {
	lib.kubernetes_verb != "unknown"
	count(lib.kubernetes.kinds) > 0
}

_spares_protected if {
	lib.kubernetes_verb == "delete"
	every kind in lib.kubernetes.kinds {
		not kind in _settings.protected_kinds
		kind != "[OTHER]"
	}
}

_security := stages.two(stages.security) if lib.production

_security := stages.security if not lib.production

_platform := stages.two(stages.platform) if lib.production

_platform := stages.platform if not lib.production

_shown := {"/resource"} | lib.shown({"kubernetes"})
