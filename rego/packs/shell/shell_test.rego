# Shell, as a table and as attacks.
package countersign.tests.shell

import data.countersign.testing

_reads(program, flags) := _command(program, flags, true)

_shell(program, flags) := _command(program, flags, false)

_command(program, flags, reads) := {
	"context": {"arguments": {"command": concat(" ", array.concat([program], flags))}},
	"findings": {"facts": {"shell": {"program": program, "programs": [program], "flags": flags, "reads": reads}}},
}

_with(arguments) := {"context": {"arguments": arguments}}

_cases := [
	["dev", _reads("ls", ["-la"]), "allow", {}],
	["dev", _shell("ls", ["> file"]), "needs_approval", {"platform": 1}],
	["dev", _shell("make", ["test"]), "needs_approval", {"platform": 1}],
	["dev", _shell("rm", ["-r"]), "needs_approval", {"platform": 1}],
	["dev", {}, "needs_approval", {"platform": 1}],
	["staging", _reads("cat", []), "allow", {}],
	["dev", object.union(_reads("ls", []), _with({"env": {"LD_PRELOAD": "/tmp/e.so"}})), "needs_approval", {"platform": 1}],
	["staging", _shell("[OTHER]", []), "needs_approval", {"platform": 1}],
	["staging", _shell("cat", []), "needs_approval", {"platform": 1}],
	["dev", {"findings": {"facts": {"shell": {"programs": ["ls"], "flags": []}}}}, "needs_approval", {"platform": 1}],
	["staging", _shell("rm", ["-rf"]), "needs_approval", {"platform": 2}],
	["production", _reads("cat", []), "needs_approval", {"platform": 1}],
	["production", _shell("rm", ["-r"]), "deny", {}],
	["production", _shell("git", ["--force"]), "deny", {}],
	["dev", {"findings": {"classes": ["secret"], "facts": {"shell": {"programs": ["ls"]}}}}, "deny", {}],
]

test_every_case_comes_out_as_listed if {
	testing.wrong("shell.run", _cases) == set()
}

# --- attacks -----------------------------------------------------------------

test_what_changes_a_command_from_beside_is_looked_at if {
	every arguments in [
		{"env": {"LD_PRELOAD": "/tmp/e.so"}}, {"stdin": "x"}, {"cwd": "/srv; rm -r ."}, {"cwd": null}, {"timeout_s": "1"},
		{"shell": true}, {"user": "root"},
	] {
		decision := testing.decide_case("shell.run", ["staging", object.union(_reads("ls", []), _with(arguments))])
		testing.codes(decision) == {"shell.unread"}
	}
}

test_a_command_under_another_name_is_no_reader if {
	decision := testing.decide_case("shell.run", ["staging", _with({"run": "rm -rf /"})])
	testing.codes(decision) == {"shell.unread", "shell.writes"}
}

test_a_reader_beside_a_destroyer_destroys if {
	every facts in [
		{"programs": ["ls", "rm"], "program": "rm", "flags": [], "reads": false},
		{"programs": ["ls", "git"], "program": "git", "flags": ["--force"], "reads": false},
	] {
		decision := testing.decide_case("shell.run", ["production", {"findings": {"facts": {"shell": facts}}}])
		"shell.destroys" in testing.codes(decision)
		decision.effect == "deny"
	}
}

test_a_reads_that_is_not_true_is_not_believed if {
	every reads in ["true", 1, null, {}] {
		facts := {"programs": ["ls"], "program": "ls", "flags": [], "reads": reads}
		decision := testing.decide_case("shell.run", ["staging", {"findings": {"facts": {"shell": facts}}}])
		testing.codes(decision) == {"shell.writes"}
	}
}

test_very_many_commands_are_looked_at if {
	every hour in [{"allow": 300}, {"allow": null}] {
		decision := testing.decide_case("shell.run", ["staging", object.union(_reads("ls", []), {"recent": {"hour": hour}})])
		testing.codes(decision) == {"shell.many"}
	}
}

test_an_environment_nobody_knows_is_production if {
	decision := testing.decide_case("shell.run", ["sandbox", _shell("rm", ["-r"])])
	decision.effect == "deny"
}

test_no_message_repeats_the_input if {
	decision := testing.decide_case("shell.run", ["production", _with({"command": "MARK"})])
	not contains(json.marshal(decision.reasons), "MARK")
}

test_a_malformed_setting_is_seen if {
	decision := testing.decide_case("shell.run", ["staging", _reads("ls", [])]) with data.settings as {"packs": {"shell": []}}
	testing.codes(decision) == {"policy.settings_invalid"}
}
