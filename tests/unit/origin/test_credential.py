"""The settings that a credential needs, and the lifetime of signed tokens."""

from __future__ import annotations

import jwt
import pytest

from mezcal.origin import open_origin
from mezcal.origin.access.signed_token import LIFETIME, RENEW, SignedToken
from mezcal.settings import WrongSetting, load

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repo_base_url": None}, "REPO_BASE_URL"),
        ({"auth_type": "BASIC", "repo_password": "x"}, "REPO_USERNAME"),
        ({"auth_type": "BASIC", "repo_username": "a:b", "repo_password": "x"}, "REPO_USERNAME"),
        ({"auth_type": "BASIC", "repo_username": "x"}, "REPO_PASSWORD"),
        ({"auth_type": "JWT_TOKEN"}, "JWT_TOKEN"),
        ({"auth_type": "JWT_TOKEN", "jwt_token": "a\r\nHost: evil"}, "JWT_TOKEN"),
        ({"auth_type": "JWT_SECRET"}, "JWT_SECRET"),
        ({"repo_base_url": "http://me:secret@repo/rest"}, "REPO_USERNAME"),
        ({"repo_base_url": "http://repo/rest?x=1"}, "REPO_BASE_URL"),
        ({"repo_base_url": "http://repo/rest#x"}, "REPO_BASE_URL"),
        ({"repo_base_url": "http://"}, "REPO_BASE_URL"),
        ({"repo_base_url": "http://[repo/"}, "REPO_BASE_URL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings, named):
    with pytest.raises(WrongSetting, match=named) as wrong:
        open_origin(load(**{"repo_base_url": "http://repo/rest", "_env_file": None} | settings))
    assert "secret" not in str(wrong.value)
    assert "evil" not in str(wrong.value)


def test_a_ca_bundle_that_does_not_exist_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(WrongSetting, match="REQUESTS_CA_BUNDLE"):
        open_origin(load(repo_base_url="https://repo/"))


def test_a_signed_token_is_used_until_shortly_before_it_expires():
    now = [1_700_000_000.5]
    token = SignedToken(SECRET, clock=lambda: now[0])
    first = token()
    now[0] += LIFETIME - RENEW - 1
    assert token() == first
    now[0] += 2
    second = token()
    assert second != first
    claims = jwt.decode(second.removeprefix("Bearer "), SECRET, ["HS256"], options={"verify_exp": False})
    assert claims["iat"] == int(now[0])
    assert claims["exp"] == claims["iat"] + LIFETIME
