"""`python -m audit vulnerabilities [DATABASE] | licenses | sbom FILE`: what this package needs, and what is known.

Of the environment that it runs in: this package and all that it needs there, extras included. DATABASE: a checkout of
github.com/pypa/advisory-database, which is then asked in place of PyPI.
"""

import importlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from alexnet.files import write_text

NAME = "alexnet"
UNREACHABLE = (
    "no vulnerability database could be reached (PyPI's, osv.dev's): nothing was checked; run it with a network"
)


def needed(name: str = NAME) -> list[metadata.Distribution]:
    """The package and all that it needs, as far as it is installed; by name."""
    found: dict[str, metadata.Distribution] = {}
    left = [name]
    while left:
        own = _key(left.pop())
        try:
            distribution = metadata.distribution(own)
        except metadata.PackageNotFoundError:  # an extra that is not installed, or of another platform
            continue
        if own not in found:
            found[own] = distribution
            left += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in distribution.requires or ()]
    return [found[each] for each in sorted(found)]


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def license_of(distribution: metadata.Distribution) -> str:
    """What a package's metadata says, in a few words; 'unknown' where they say nothing."""
    said: Any = distribution.metadata
    if expression := said.get("License-Expression"):
        return expression
    named = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if line.startswith("License ::")]
    short = (said.get("License") or "").strip().splitlines()
    return " and ".join(named) or (short[0][:80] if short else "unknown")


def licenses() -> str:
    rows = [f"{each.name} {each.version}\t{license_of(each)}" for each in needed()]
    return "\n".join(rows) + "\n"


def sbom() -> str:
    """The software bill of materials as CycloneDX 1.6, JSON: each package with version, license and purl."""
    # Its decorators hide the constructors from pyright: the modules are taken as they come.
    models: Any = importlib.import_module("cyclonedx.model.component")
    bom: Any = importlib.import_module("cyclonedx.model.bom").Bom()
    factory: Any = importlib.import_module("cyclonedx.contrib.license.factories").LicenseFactory()
    output: Any = importlib.import_module("cyclonedx.output.json")
    purls: Any = importlib.import_module("packageurl")
    made: dict[str, Any] = {}
    for each in needed():
        purl = purls.PackageURL("pypi", name=_key(each.name), version=each.version)
        made[_key(each.name)] = models.Component(
            name=each.name,
            version=each.version,
            purl=purl,
            bom_ref=str(purl),
            type=models.ComponentType.APPLICATION if each.name == NAME else models.ComponentType.LIBRARY,
            licenses=[factory.make_from_string(license_of(each))],
        )
    bom.metadata.component = made[NAME]
    for name, component in made.items():
        if name != NAME:
            bom.components.add(component)
        requires = metadata.distribution(name).requires or ()
        below = {_key(re.split(r"[^\w.-]", line, maxsplit=1)[0]) for line in requires}
        bom.register_dependency(component, [made[each] for each in sorted(below & made.keys() - {name})])
    return output.JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def pip_audit(*more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip_audit", "--local", "--progress-spinner", "off", "--format", "json", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pip_audit_by(database: Path) -> int:
    """As `vulnerabilities`, by a database on this machine."""
    from audit.advisories import served

    if not (database / "vulns").is_dir():
        print(
            f"{database} is no checkout of github.com/pypa/advisory-database: it has no folder vulns", file=sys.stderr
        )
        return 2
    # A cache of its own: that of the user keeps the answers of another database.
    with served(database) as (address, unreadable), tempfile.TemporaryDirectory() as cache:
        ended = pip_audit("--cache-dir", cache, "-s", "osv", "--osv-url", address)
    if unreadable:
        print(f"{unreadable[0]}: the packages were not all checked", file=sys.stderr)
        return 2
    return vulnerabilities(lambda: ended)


def vulnerabilities(run: Callable[[], subprocess.CompletedProcess[str]] = pip_audit) -> int:
    """Prints what the databases know of the installed packages. 0: nothing; 3: something; 2: none could be asked."""
    ended = run()
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(UNREACHABLE if "onnection" in ended.stderr else ended.stderr.strip()[-500:], file=sys.stderr)
        return 2
    checked = [each for each in packages if "skip_reason" not in each]
    # This package itself may be on no index; where no other one is either, nobody answered.
    if not checked:
        print(UNREACHABLE, file=sys.stderr)
        return 2
    known = [(each, one) for each in checked for one in each["vulns"]]
    for each, one in known:
        print(f"{each['name']} {each['version']}: {one['id']}; fixed in {', '.join(one['fix_versions']) or 'none yet'}")
    unknown = len(packages) - len(checked)
    print(f"{len(checked)} packages checked, {len(known)} known vulnerabilities; {unknown} packages are in no database")
    return 3 if known else 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["vulnerabilities"]:
            return vulnerabilities()
        case ["vulnerabilities", database]:
            return pip_audit_by(Path(database))
        case ["licenses"]:
            print(licenses(), end="")
        case ["sbom", path]:
            write_text(Path(path), sbom())
            print(f"written: {path} (CycloneDX 1.6)")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
