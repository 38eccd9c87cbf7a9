"""What is installed elsewhere brings all that the command needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile

from realparts import ROOT


def test_a_wheel_carries_the_settings_the_policy_and_the_types(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "countersign/default.toml",
        "countersign/py.typed",
        "countersign/v1/decisions_pb2.py",
        "countersign/store/sql/sqlite/queries.sql",
        "countersign/rego/countersign/decision.rego",
        "countersign/rego/packs/export/export.rego",
        "countersign/workbench/project/tickets_cases.yaml",
        "countersign_bot/card/catalogue/de.toml",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests", "scripts", "docs"))]
