"""The changes that hooks are still to be notified of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from mezcal.jobs import Jobs
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions
from mezcal.settings import load
from tests.support.waiting import until

if TYPE_CHECKING:
    from mezcal.jobs.bulk.downstream import Change, Downstream
    from tests.support.broker import Broker

PAGE = Mezzanine("a/1.tif")
OTHER = Mezzanine("a/2.tif")
HOOKS = "purge+http://one,purge+http://two"


def downstream_of(broker: Broker, **given: Any) -> Downstream:
    own = {"redis_url": broker.url, "key_prefix": f"{uuid4().hex}:"}
    return Jobs.of(load(_env_file=None, **own | given)).downstream


@pytest.fixture
def downstream(broker: Broker) -> Downstream:
    return downstream_of(broker, downstream_urls=HOOKS)


@pytest.fixture
def hook(downstream: Downstream) -> str:
    return downstream.hooks[0]


def take(downstream: Downstream, hook: str) -> list[Change]:
    """Take what is due, as a process does that dies at once: it waits still."""
    holder = downstream.hold(hook, 60)
    assert holder is not None
    changes = downstream.take(hook, holder, 10)
    downstream.let_go(hook, holder)
    return changes


def taken(downstream: Downstream, hook: str) -> list[str]:
    """Deliver what is due. Returns the paths."""
    changes = take(downstream, hook)
    for change in changes:
        downstream.delivered(hook, change, 0)
    return [change.recipe.path for change in changes if isinstance(change.recipe, Mezzanine)]


def test_each_hook_is_told_of_each_change_once(downstream: Downstream) -> None:
    downstream.add([PAGE, OTHER])
    for hook in downstream.hooks:
        changes = take(downstream, hook)
        assert [change.recipe for change in changes] == [PAGE, OTHER]
        for change in changes:
            downstream.delivered(hook, change, 0)
        assert downstream.status(hook).waiting == 0
    assert not downstream.any_due()


def test_a_later_change_replaces_the_earlier_one(downstream: Downstream, hook: str) -> None:
    for _ in range(5):
        downstream.add([PAGE])
    assert taken(downstream, hook) == ["a/1.tif"]


def test_a_change_during_a_delivery_is_told_after_it(downstream: Downstream, hook: str) -> None:
    """In order: the earlier one cannot arrive after the later one, and does not take it along."""
    downstream.add([PAGE])
    (first,) = take(downstream, hook)
    downstream.add([PAGE])
    downstream.delivered(hook, first, 0)
    (second,) = take(downstream, hook)
    assert second.version != first.version
    downstream.delivered(hook, second, 0)
    assert downstream.status(hook).waiting == 0


def test_one_process_at_a_time_notifies_a_hook(broker: Broker) -> None:
    downstream = downstream_of(broker, downstream_urls="purge+http://one")
    (hook,) = downstream.hooks
    downstream.add([PAGE])
    holder = downstream.hold(hook, 60)
    assert holder is not None
    assert downstream.hold(hook, 60) is None
    assert not downstream.any_due(), "nobody else is needed"
    assert downstream.take(hook, "another", 10) == []
    assert downstream.renew(hook, holder, 0.05), "then it dies"
    assert until(lambda: downstream.hold(hook, 60), 5, "the end of the hold")
    assert not downstream.renew(hook, holder, 60)
    downstream.let_go(hook, holder)
    assert downstream.hold(hook, 60) is None, "the new one's hold is not touched"


def test_an_announced_deletion_is_told_of_even_if_nobody_says_that_it_has_happened(
    downstream: Downstream, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream.announce([PAGE])
    assert taken(downstream, hook) == [], "not before it has happened"
    downstream.add([PAGE])
    assert taken(downstream, hook) == ["a/1.tif"]
    monkeypatch.setattr("mezcal.jobs.bulk.downstream.ANNOUNCED_SECONDS", 0.05)
    downstream.announce([OTHER])
    until(lambda: taken(downstream, hook) == ["a/2.tif"], 5, "the deletion")


def test_an_announcement_in_mid_delivery_is_not_told_of_at_once(downstream: Downstream, hook: str) -> None:
    downstream.add([PAGE])
    (change,) = take(downstream, hook)
    downstream.announce([PAGE])
    downstream.delivered(hook, change, 0)
    assert taken(downstream, hook) == [], "the derivative is still there"
    assert downstream.status(hook).waiting == 1


def test_a_delivery_is_repeated_once_if_the_hook_wants_that(downstream: Downstream, hook: str) -> None:
    downstream.add([PAGE])
    (change,) = take(downstream, hook)
    downstream.delivered(hook, change, 0.05)
    (again,) = until(lambda: take(downstream, hook), 5, "the second delivery")
    downstream.delivered(hook, again, 0.05)
    assert downstream.status(hook).waiting == 0


def test_a_hook_that_fails_rests_and_others_do_not(downstream: Downstream) -> None:
    one, two = downstream.hooks
    downstream.add([PAGE])
    (change,) = take(downstream, one)
    assert downstream.rest(one, "one answered 503") == 2
    assert downstream.rest(one, "one answered 503") == 4, "doubled"
    downstream.delay(one, change, "one answered 503", 0)
    assert taken(downstream, one) == []
    assert downstream.status(one).fault == "one answered 503"
    assert taken(downstream, two) == ["a/1.tif"]
    downstream.recovered(one)
    assert downstream.status(one).fault is None
    assert taken(downstream, one) == ["a/1.tif"]


def test_what_was_given_up_is_listed_and_told_again_by_a_retry(downstream: Downstream, hook: str) -> None:
    downstream.add([PAGE, OTHER])
    first, second = take(downstream, hook)
    downstream.give_up(hook, first, "it answered 400")
    downstream.delay(hook, second, "it answered 400", 600)
    downstream.rest(hook, "it answered 400")
    (failed,) = downstream.failed(hook)
    assert (json.loads(failed["recipe"])["path"], failed["reason"]) == ("a/1.tif", "it answered 400")
    assert downstream.status(hook).failed == 1
    assert downstream.retry(hook) == 1
    assert sorted(taken(downstream, hook)) == ["a/1.tif", "a/2.tif"]
    assert downstream.failed(hook) == []


def test_what_a_former_version_gave_up_is_told_again_by_a_retry(
    broker: Broker, downstream: Downstream, hook: str
) -> None:
    given_up = {"key": PAGE.key, "recipe": json.dumps(PAGE.as_json()), "reason": "it was away", "at": 1}
    broker.client().lpush(downstream._keys.of_hook(hook)["failed"], json.dumps(given_up))
    assert downstream.retry(hook) == 1
    assert taken(downstream, hook) == [PAGE.path]
    assert downstream.failed(hook) == []


def test_a_change_of_a_newer_version_holds_up_no_other(broker: Broker, downstream: Downstream, hook: str) -> None:
    downstream.add([PAGE])
    changes = downstream._keys.of_hook(hook)["changes"]
    ((name, text),) = cast("dict[str, str]", broker.client().hgetall(changes)).items()
    broker.client().hset(changes, name, text.replace("mezzanine", "hologram"))
    downstream.add([OTHER])
    assert taken(downstream, hook) == [OTHER.path]
    assert take(downstream, hook) == [], "it is delayed"
    assert downstream.status(hook).waiting == 1, "it is kept for a worker that knows it"


def test_without_hooks_nothing_is_kept_and_redis_is_not_asked(broker: Broker) -> None:
    downstream = downstream_of(broker, redis_url="redis://127.0.0.1:1/0")
    downstream.add([PAGE])
    assert not downstream.any_due()
    assert not downstream.send_once()


def test_thumbnails_are_left_out(downstream: Downstream, hook: str) -> None:
    downstream.add([Thumbnail((Frame(17, "a.fits", "v"),), ThumbnailOptions.parse({}))])
    assert downstream.status(hook).waiting == 0


def test_nothing_stays_for_ever(downstream: Downstream, hook: str) -> None:
    downstream.add([PAGE, OTHER])
    (change, _) = take(downstream, hook)
    downstream.rest(hook, "away")
    downstream.give_up(hook, change, "away")
    downstream.send_once()
    downstream.hold(hook, 60)
    redis, keys = downstream._redis, downstream._keys
    redis.set(keys.of_hook(hook)["lost"], 1, ex=60)
    for key in (*keys.of_hook(hook).values(), keys.downstream_sent):
        assert redis.ttl(key) > 0, key


def test_the_chore_is_sent_once_until_it_begins(downstream: Downstream) -> None:
    assert downstream.send_once()
    assert not downstream.send_once()
    downstream.begun()
    assert downstream.send_once()
