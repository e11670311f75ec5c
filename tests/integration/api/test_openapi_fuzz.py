"""A fuzzer goes through the description: whatever it sends, the answer is one that is described."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import TOKEN

if TYPE_CHECKING:
    from tests.support.installation import Installation

CHECKS = ",".join(
    f"{what}_conformance" for what in ("status_code", "content_type", "response_headers", "response_schema")
)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_fuzzer_finds_no_answer_that_is_not_described(installation: Installation, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    command = [
        program,
        "run",
        installation.url + "/openapi.json",
        "--checks",
        f"not_a_server_error,{CHECKS}",
        "--seed",
        "1",
    ]
    options = ["-H", f"Authorization: Bearer {TOKEN}", "--request-timeout", "60", "--max-examples", "60"]
    options += ["--phases", "examples,coverage,fuzzing"]
    ended = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
