"""Run the signing examples of docs/webhooks.md against an installation that refuses unsigned events."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import ROOT
from tests.integration.conftest import SECRET
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.installation import Installation

PAGE = ROOT / "docs" / "webhooks.md"
PROGRAMS = {"bash": ["bash", "-ceu"], "python": [sys.executable, "-c"]}


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_signing_examples_are_accepted(installation: Installation, language: str) -> None:
    if language == "bash" and not (shutil.which("openssl") and shutil.which("curl")):
        pytest.skip("the example needs openssl and curl")
    (example,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    example = example.replace("http://127.0.0.1:5000", installation.url)

    def run(secret: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"WEBHOOK_SECRET": secret, "no_proxy": "*"}
        return subprocess.run([*PROGRAMS[language], example], capture_output=True, text=True, env=env, check=False)

    wrong = run("whsec_d3Jvbmc=")
    assert "401" in wrong.stdout + wrong.stderr
    right = run(SECRET)
    assert right.returncode == 0, right.stderr
    name = re.search(r'"batch": ?"([^"]+)"', right.stdout)
    assert name, right.stdout
    until(lambda: installation.request(f"/jobs/{name[1]}").json()["counts"]["done"] == 1, what="the image")
