"""Which programs are taken for OPA."""

from __future__ import annotations

import pytest

from countersign.errors import ConfigurationError
from countersign.policy.binary import check_version, find_opa


@pytest.fixture
def program(tmp_path):
    """A script that answers to `version`, as whatever program it plays."""

    def make(output: str, status: int = 0):
        path = tmp_path / "opa"
        path.write_text(f"#!/bin/sh\necho '{output}'\nexit {status}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.mark.parametrize("version", ["1.22.2", "1.22.10", "1.23.0", "1.100.0"])
def test_versions_of_the_pinned_line_and_later_are_taken(program, version):
    opa = program(f"Version: {version}")
    assert check_version(opa) == version
    assert find_opa(opa, []) == opa


@pytest.mark.parametrize(
    "output", ["Version: 1.22.1", "Version: 0.70.0", "Version: 2.0.0", "Version: dev", "hello"]
)
def test_other_versions_are_refused_with_the_remedy(program, output):
    with pytest.raises(ConfigurationError) as caught:
        check_version(program(output))
    assert caught.value.code == "opa.version"
    assert "make opa" in caught.value.advice


def test_a_program_that_fails_is_refused_with_the_remedy(program):
    with pytest.raises(ConfigurationError) as caught:
        find_opa(program("Version: 1.22.2", status=3), [])
    assert caught.value.code == "opa.version"


def test_a_named_opa_is_never_replaced_by_another(program, tmp_path):
    good = program("Version: 1.22.2")
    with pytest.raises(ConfigurationError) as caught:
        find_opa(tmp_path / "missing", [good])
    assert caught.value.code == "opa.missing"
    assert "make opa" in caught.value.advice


def test_what_cannot_be_run_is_no_opa(program):
    path = program("Version: 1.22.2")
    path.chmod(0o644)
    with pytest.raises(ConfigurationError) as caught:
        find_opa(None, [path])
    assert caught.value.code == "opa.missing"
