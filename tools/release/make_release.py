"""Builds and checks a release from the last commit into dist/, and tags it: `make release`.

What is built: wheel, source archive, the lock file, SBOM (CycloneDX) and provenance (an in-toto statement with a SLSA
predicate). Nothing leaves this machine. The tag is made only if the checkout is clean and CHANGELOG.md has the date.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from tools.release.build import build
from tools.release.provenance import write_provenance
from tools.release.trial import try_source_archive, try_wheel

DIST = Path("dist")
TOOLS = Path(".venv/tools/bin")
LEFT = """\
What is left to a person:
  1. read the notes in {notes}
  2. git push origin {tag}
  3. attach all files of {dist}/ to the release of that tag, with the notes as its text
  4. upload {wheel} and {sdist} to the package index, if mezcal shall be on one
  5. build and push the images (docs/deployment.md), and put their digests into the notes
The provenance is not signed: sign {provenance} with your own key, or let your build service attest the files."""


def main() -> int:
    """Build, check and tag the release. Returns the exit code."""
    version = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    began = datetime.now(UTC)
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory(prefix="mezcal-release-") as name:
        work = Path(name)
        say(f"building {version} from commit {git('rev-parse', 'HEAD')[:12]}")
        wheel, sdist = build(work, DIST)
        lock, sbom = write_companions(version)
        say("installing the wheel into an environment of its own, and trying it in an empty folder")
        try_wheel(wheel, lock, work)
        say("collecting the tests of the source archive")
        try_source_archive(sdist, work)
    notes = DIST / f"mezcal-{version}-notes.md"
    notes.write_text(changes(version), encoding="utf-8")
    provenance = write_provenance(DIST / f"mezcal-{version}.provenance.json", (wheel, sdist, lock, sbom), began)
    for file in sorted(DIST.iterdir()):
        say(f"  {file.stat().st_size / 1e6:8.2f} MB  {file}")
    tag = f"v{version}"
    if obstacle := why_no_tag(version, tag):
        say(f"No tag was made: {obstacle}.")
        return 1
    git("tag", "--annotate", tag, "--file", str(notes.absolute()), "--cleanup=verbatim")
    say(
        f"tagged {tag}\n\n"
        + LEFT.format(notes=notes, tag=tag, dist=DIST, wheel=wheel.name, sdist=sdist.name, provenance=provenance.name)
    )
    return 0


def say(text: str) -> None:
    """Print *text* at once."""
    print(text, flush=True)


def git(*words: str) -> str:
    """Returns what git prints. Raises `CalledProcessError` if it fails."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607


def write_companions(version: str) -> tuple[Path, Path]:
    """Write the lock file and the SBOM next to the wheel. Returns both."""
    lock, sbom = DIST / f"mezcal-{version}-requirements.txt", DIST / f"mezcal-{version}.cdx.json"
    shutil.copyfile("requirements/run.txt", lock)
    words = ["requirements", str(lock), "--pyproject", "pyproject.toml", "--mc-type", "application"]
    output = ["--output-reproducible", "--output-format", "JSON", "--output-file", str(sbom)]
    subprocess.run([TOOLS / "cyclonedx-py", *words, *output], check=True)
    return lock, sbom


def changes(version: str) -> str:
    """Returns the section of *version* in CHANGELOG.md, without its heading."""
    text = Path("CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(version)} .*?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"CHANGELOG.md has no section for {version}")
    return found[1].strip() + "\n"


def why_no_tag(version: str, tag: str) -> str | None:
    """Returns what must be done before the tag can be made, None if nothing is in the way."""
    if git("status", "--porcelain"):
        return "the checkout has changes that are not committed, and they are not in the files above"
    if git("tag", "--list", tag):
        return f"there is a tag {tag}: raise the version in pyproject.toml"
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, Path("CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE):
        return (
            f"CHANGELOG.md does not say `## {version} - <date>`: write the date, commit, and run `make release` again"
        )
    return None


if __name__ == "__main__":
    os.umask(0o022)  # the files are for everybody
    sys.exit(main())
