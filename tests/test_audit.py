"""What is brought along: licenses, the bill of materials, and an audit that says when it could ask nobody."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from audit import __main__ as audit  # noqa: E402


def test_all_that_is_needed_is_listed_with_its_license() -> None:
    rows = dict(line.split("\t") for line in audit.licenses().splitlines())
    names = {row.split()[0].lower() for row in rows}
    assert {"alexnet", "torch", "numpy", "pillow", "jinja2", "markupsafe"} <= names  # markupsafe: what jinja2 needs
    assert {row.split()[0]: said for row, said in rows.items()}["alexnet"] == "Apache-2.0"
    assert sum(said == "unknown" for said in rows.values()) <= 2


def test_the_bill_of_materials_is_cyclonedx(tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx", reason="comes with pip install 'alexnet[dev]'")
    assert audit.main(["sbom", str(tmp_path / "sbom.json")]) == 0
    bom = json.loads((tmp_path / "sbom.json").read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert bom["metadata"]["component"]["name"] == "alexnet"
    found = {each["name"].lower(): each for each in bom["components"]}
    assert found["numpy"]["purl"].startswith("pkg:pypi/numpy@")
    assert all(each["licenses"] for each in found.values())
    below = {each["ref"]: each.get("dependsOn", ()) for each in bom["dependencies"]}
    assert any(ref.startswith("pkg:pypi/markupsafe@") for ref in below[found["jinja2"]["purl"]])


@pytest.mark.parametrize(
    ("out", "err", "code", "said"),
    [
        ("", "ConnectionError: …", 2, "no vulnerability database could be reached"),
        ({"dependencies": [{"name": "a", "skip_reason": "not found on PyPI"}]}, "", 2, "nothing was checked"),
        ({"dependencies": [{"name": "a", "version": "1", "vulns": []}]}, "", 0, "1 packages checked, 0 known"),
        (
            {"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]},
            "",
            3,
            "a 1: CVE-1; fixed in 2",
        ),
    ],
)
def test_an_audit_that_asked_nobody_says_so(
    out: object, err: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = out if isinstance(out, str) else json.dumps(out)
    assert audit.vulnerabilities(lambda: subprocess.CompletedProcess([], 0, text, err)) == code
    shown = capsys.readouterr()
    assert said in shown.out + shown.err


ADVISORY = """
id: PYSEC-2026-1
modified: 2026-11-03T10:29:41.505456Z
details: An issue.
affected:
- package: {ecosystem: PyPI, name: jinja2}
  ranges:
  - {type: GIT, repo: r, events: [{introduced: "0"}, {fixed: abc}]}
  - {type: ECOSYSTEM, events: [{introduced: "2.0"}, {fixed: "999"}]}
  versions: ["1.5"]
"""


def test_a_database_on_this_machine_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pip_audit", reason="comes with pip install 'alexnet[dev]'")
    from audit.advisories import affecting

    assert audit.main(["vulnerabilities", str(tmp_path)]) == 2
    assert "it has no folder vulns" in capsys.readouterr().err
    (tmp_path / "vulns" / "jinja2").mkdir(parents=True)
    assert audit.main(["vulnerabilities", str(tmp_path)]) == 0
    assert ", 0 known vulnerabilities" in capsys.readouterr().out
    (tmp_path / "vulns" / "jinja2" / "PYSEC-2026-1.yaml").write_text(ADVISORY)
    assert audit.main(["vulnerabilities", str(tmp_path)]) == 3
    assert "PYSEC-2026-1; fixed in 999" in capsys.readouterr().out
    for broken in ("affected: [", "- a", "affected: [{package: jinja2}]", "affected: 3"):
        (tmp_path / "vulns" / "jinja2" / "PYSEC-2026-2.yaml").write_text(broken)
        assert audit.main(["vulnerabilities", str(tmp_path)]) == 2
        shown = capsys.readouterr()
        assert "PYSEC-2026-2.yaml is no advisory" in shown.err
        assert (shown.err.count("\n"), shown.out) == (1, "")
    (tmp_path / "vulns" / "jinja2" / "PYSEC-2026-2.yaml").unlink()
    in_it = [
        version for version in ("1.4", "1.5", "1.9", "2.0", "3.1.6", "999") if affecting(tmp_path, "jinja2", version)
    ]
    assert in_it == ["1.5", "2.0", "3.1.6"]
