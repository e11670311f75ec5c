"""URLs of hooks downstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mezcal.errors import WrongSetting
from mezcal.settings import load
from mezcal.settings.downstream.address import HookAddress

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hook_is_named_by_one_url() -> None:
    hook = HookAddress.parse(
        "cantaloupe+http://admin:se%2Ccret@iiif:8182/tasks?identifier={identifier}&profile=mezzanine"
    )
    assert (hook.kind, hook.url, hook.user, hook.password) == (
        "cantaloupe",
        "http://iiif:8182/tasks",
        "admin",
        "se,cret",
    )
    assert hook.options["identifier"] == ("{identifier}",)
    assert hook.profiles == ("mezzanine",)
    assert hook.again == 10
    assert HookAddress.parse("cloudfront://E2EXAMPLE").url == "E2EXAMPLE", "a host would be in small letters"
    assert HookAddress.parse("purge+http://[::1]:6081?again=0").again == 0


def test_a_webhook_says_of_what_it_is_told() -> None:
    plain, ends, called = (
        HookAddress.parse(f"webhook+http://receiver/{options}")
        for options in ("", "?event=made&event=deleted&prefix=books/", "?name=catalogue")
    )
    assert (plain.events, plain.job_events) == (("replaced", "deleted"), ())
    assert (ends.job_events, ends.is_told_of_changes, ends.prefixes) == (("made",), True, ("books/",))
    assert (called.job_events, called.is_told_of_changes) == (("made", "failed", "quarantined"), False)
    assert called.shown == "webhook receiver catalogue"


def test_neither_logs_nor_names_have_the_password() -> None:
    first, second = (HookAddress.parse(f"purge+http://user:{word}@varnish/") for word in ("one-secret", "another"))
    assert "one-secret" not in repr(first) + first.shown + first.name
    assert first.name == second.name, "what waits is notified after a new password"
    assert first.name != HookAddress.parse("purge+http://varnish2/").name


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://varnish/", "begins with http"),
        ("purge://varnish/", "begins with purge"),
        ("cloudfront+https://E2EXAMPLE", "begins with cloudfront"),
        ("purge+http://varnish:x/", "its port must be a number"),
        ("purge+http://varnish/?identifier=x", "has the option identifier: it may have again, host"),
        ("purge+http://varnish/?path={id}", "{id} in a hook is no placeholder: it may have {url}"),
        ("purge+http://varnish/?path=x/{path}", "must begin with a slash"),
        ("purge+http://varnish/?again=soon", "whole seconds"),
        ("purge+http://varnish/?method=purge%0d", "in capitals"),
        ("cloudfront://a.b", "the id of a distribution"),
        ("purge+http://varnish/?prefix=/books/", "the beginning of a path"),
        ("purge+http://varnish/?event=made", "has the option event"),
        ("webhook+http://receiver/?event=ended", "event=ended of a hook must be one of replaced, deleted, made"),
        ("failed", "An option with several values is repeated: event=made&event=failed"),
        ("webhook+http://receiver/?name=", "the option name of a hook is empty: give it a value, or leave name= out"),
        ("webhook+http://receiver/?name=a&name=", "the option name of a hook is empty"),
        ("purge+http://varnish/?profile=", "the option profile of a hook is empty"),
        ("webhook+http://receiver/?name=a/b", "up to 40 letters"),
        ("webhook+http://receiver/?name=a&event=deleted", "can only have the events made, failed, quarantined"),
        ("purge+http://u:p@ss@varnish/?a=@", "write ? # @ and , in a password"),
        ("purge+http://varnish/?" + "path=/x&" * 9, "8 are allowed"),
    ],
)
def test_a_url_that_cannot_be_a_hook_is_refused_with_what_would_be_right(url: str, says: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        HookAddress.parse(url)
    assert says in str(refused.value)
    assert "p@ss" not in str(refused.value)


def test_the_setting_takes_several_hooks_also_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hooks").write_text("purge+http://varnish,cloudfront://E2EXAMPLE\n")
    monkeypatch.setenv("DOWNSTREAM_URLS_FILE", str(tmp_path / "hooks"))
    assert [hook.shown for hook in load(_env_file=None).hooks] == ["purge varnish", "cloudfront E2EXAMPLE"]


def test_a_wrong_setting_stops_the_start_without_the_password() -> None:
    with pytest.raises(WrongSetting, match=r"DOWNSTREAM_URLS is a value that is not shown: .* the option x"):
        load(_env_file=None, downstream_urls="purge+http://u:hidden@varnish?x=1")
    with pytest.raises(WrongSetting, match="must name each hook once"):
        load(_env_file=None, downstream_urls="purge+http://varnish,purge+http://varnish")
    with pytest.raises(WrongSetting, match="DOWNSTREAM_SECRET must be set"):
        load(_env_file=None, downstream_urls="webhook+https://repository.example/hook")
