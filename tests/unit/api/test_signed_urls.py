"""Signed URLs: valid for a week, the same for a day, and impossible to forge."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.security.signed_urls import DAY, Signer, load_secret
from mezcal.errors import Forbidden
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

NOON = 20_000 * DAY + DAY // 2


def signer(now: float, secret: bytes = b"secret") -> Signer:
    return Signer(secret, lambda: now)


def test_a_url_is_the_same_all_day_and_good_for_a_week() -> None:
    signed = signer(NOON).sign("key")
    assert signer(NOON + DAY / 2 - 1).sign("key") == signed
    assert signer(NOON + DAY).sign("key") != signed
    signer(NOON + 7 * DAY).check("key", *signed)
    with pytest.raises(Forbidden, match="expired"):
        signer(NOON + 8 * DAY).check("key", *signed)


def test_a_signature_is_good_for_its_key_its_time_and_its_secret_alone() -> None:
    signed = signer(NOON).sign("key")
    later = str(int(signed.expires) + DAY)
    for check in (
        lambda: signer(NOON).check("other", *signed),
        lambda: signer(NOON).check("key", later, signed.signature),
        lambda: signer(NOON, b"another").check("key", *signed),
    ):
        with pytest.raises(Forbidden, match="wrong"):
            check()


@given(st.text(), st.text())
def test_other_values_are_refused(expires: str, signature: str) -> None:
    with pytest.raises(Forbidden):
        signer(NOON).check("key", expires, signature)


def test_the_secret_is_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    settings = load(_env_file=None, data_dir=tmp_path / "data")
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: load_secret(settings), range(16)))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 64
    (file,) = (tmp_path / "data").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_configured_secret_is_used(tmp_path: Path) -> None:
    assert load_secret(load(_env_file=None, data_dir=tmp_path, url_secret="ours")) == b"ours"
    assert not list(tmp_path.iterdir())
