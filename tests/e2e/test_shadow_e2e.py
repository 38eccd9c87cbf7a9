"""A candidate policy beside the one in force, on a real service."""

from __future__ import annotations

import json

from countersign.v1 import context_pb2, decisions_pb2
from service import Service, context, eventually

SECRET = "lena.vogt@kunde-beispiel.de"
CANDIDATE = """
package countersign

frozen := {"code": "demo.frozen", "message": input.context.reason}

decision := {"effect": "deny", "reasons": [frozen]}
"""


def test_a_candidate_differs_on_record_and_changes_no_answer(prepared: Service) -> None:
    service = prepared
    service.plant(SECRET)
    (service.directory / "candidate").mkdir()
    (service.directory / "candidate" / "policy.rego").write_text(CANDIDATE, encoding="utf-8")
    service.configure(
        {
            "admin.groups": ["operators"],
            "policy.shadow.directory": "candidate",
            "policy.shadow.max_share": 1.0,
        }
    )
    service.person("olga", "operators")
    service.start()
    eventually(lambda: service.metric("countersign_policy_shadow_ready") == 1)
    asked = decisions_pb2.CheckRequest(context=context("demo.allow", reason=SECRET).to_message())
    answer = service.line("agent").call("Decisions.Check", asked, timeout_s=30)
    assert answer.effect == context_pb2.EFFECT_ALLOW
    eventually(lambda: 'shadow_total{result="different"} 1.0' in service.status("/metrics")[1])
    told = service.types("policy", "status", "--json", as_="olga")
    shadow = json.loads(told.stdout)["shadow"]
    assert (shadow["ready"], shadow["same"], shadow["different"]) == (True, 0, 1)
    assert shadow["differences"] == [{"live": "allow", "candidate": "deny", "count": 1}]
    said = " ".join(service.types("policy", "status", as_="olga").stdout.split())
    assert f"{shadow['revision']} is tried in shadow." in said
    assert "1 allow, it says deny" in said
    service.stop()
    _, records = service.verified_log()
    (found,) = [body for body in map(json.loads, records) if body["kind"] == "policy.shadow"]
    assert found["decision"] == answer.decision_id
    assert found["shadow"]["live"]["effect"] == "allow"
    assert found["shadow"]["candidate"]["codes"] == ["demo.frozen"]
