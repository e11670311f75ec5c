"""What is denied is never shown again: denied while it is made, while it is served, while the broker begins empty."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import requests

from mezcal.store import open_store
from mezcal.store.denials import Denial, DenialList
from tests.faults.support.environment import BEARER, frozen, wait_for_image
from tests.faults.test_fencing import spin
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.faults.support.environment import FaultEnvironment


def deny(environment: FaultEnvironment, path: str) -> requests.Response:
    body = {"path": path, "reason": "a test"}
    answer = environment.installation.request("/denials", "POST", json=body, headers=BEARER)
    assert answer.status_code == 201, answer.text
    return answer


def test_an_image_that_is_denied_while_it_is_made_is_never_shown(environment: FaultEnvironment) -> None:
    for pause in (0.0, 0.01, 0.05):
        path, script = environment.slow_master()
        asked = environment.request_in_background(path)
        environment.wait_for_attempt(path)
        script.go.set()
        spin(pause)
        deny(environment, path)
        denied = time.monotonic()
        asked.result()
        until(lambda path=path: environment.installation.stored(path) is None, what="its removal")
        until(lambda denied=denied: time.monotonic() - denied > 2, what="a late publication")
        assert environment.installation.stored(path) is None
        assert environment.installation.ask(path).status_code == 451
    environment.assert_clean()


def test_an_image_that_is_denied_while_it_is_served_is_shown_to_nobody_afterwards(
    environment: FaultEnvironment,
) -> None:
    """Every process of the API sees it within seconds, and the file is gone at once."""
    path, _ = environment.master()
    wait_for_image(environment.installation, path)
    with ThreadPoolExecutor(4) as pool:
        deny(environment, path)
        answers = list(pool.map(lambda _: environment.installation.ask(path).status_code, range(40)))
    assert 200 not in answers
    until(lambda: environment.installation.ask(path).status_code == 451, what="the denial")
    problem = environment.installation.ask(path).json()
    assert problem["type"].endswith("denied")


def test_a_stored_image_that_another_host_denies_is_refused_within_seconds(environment: FaultEnvironment) -> None:
    """Also by what answers plain hits before Flask does, and for ranges."""
    path, _ = environment.master()
    wait_for_image(environment.installation, path)
    inventory = open_store(environment.installation.settings).inventory
    DenialList(inventory).deny(Denial(path, time.time(), "another host"))
    inventory.begin_removal()  # nginx serves the file, if it may read it, until it is told or the file is gone
    until(lambda: environment.installation.ask(path).status_code == 451, what="the denial")
    for headers in ({}, {"Range": "bytes=0-9"}, {"If-None-Match": "*"}):
        assert environment.installation.ask(path, headers=headers).status_code == 451
    for target in (f"/mezzanine/{path}.jpg", f"/derivatives/pyramid/{path}.tif", f"/images/{path}?page=1"):
        assert environment.installation.request(target).status_code == 451


def test_a_denial_outlives_the_state_of_the_broker_and_is_lifted_by_one_request(
    environment: FaultEnvironment,
) -> None:
    path, _ = environment.master()
    wait_for_image(environment.installation, path)
    deny(environment, path)
    environment.wipe_broker()
    until(lambda: environment.installation.request("/readyz").status_code == 200, 60, "the broker")
    assert environment.installation.ask(path).status_code == 451
    listed = environment.installation.request("/denials", headers=BEARER).json()["denials"]
    assert path in [denial["path"] for denial in listed]
    lifted = environment.installation.request(f"/denials?path={path}", "DELETE", headers=BEARER)
    assert lifted.status_code == 204
    wait_for_image(environment.installation, path)


def test_a_denied_folder_is_shown_by_nobody_while_its_files_are_still_there(environment: FaultEnvironment) -> None:
    """nginx, which serves files by their paths, asks the API meanwhile. A broker that begins empty changes nothing."""
    paths = [f"shown-folder/{number}.tif" for number in range(4)]
    for path in paths:
        environment.repository.script(path, body=grey_tiff(100))
        wait_for_image(environment.installation, path)
    assert environment.installation.pids("nginx"), "it serves the files"
    ends, late = threading.Event(), []

    def show(path: str) -> None:
        while not ends.is_set():
            asked = time.monotonic()
            with suppress(requests.ConnectionError):
                if environment.installation.ask(path).status_code == 200:
                    late.append(asked)

    with frozen(*environment.workers(), *environment.pool()), ThreadPoolExecutor(4) as viewers:
        for path in paths:
            viewers.submit(show, path)
        try:
            deny(environment, "shown-folder/")
            denied = time.monotonic()
            assert all(map(environment.installation.stored, paths)), "no worker has removed them"
            environment.wipe_broker()
            until(lambda: environment.installation.request("/readyz").status_code != 0, 60, "the API")
            for path in paths * 5:
                assert environment.installation.ask(path).status_code == 451
        finally:
            ends.set()
    assert [asked for asked in late if asked > denied] == []
    until(
        lambda: not any(map(environment.installation.stored, paths)), 60, "the removal, which the broker has forgotten"
    )
    inventory = open_store(environment.installation.settings).inventory
    until(lambda: inventory.removal() is None, 30, "the end of the removal")


def test_a_folder_is_removed_and_bulk_requests_say_denied(environment: FaultEnvironment) -> None:
    paths = [f"denied-folder/{number}.tif" for number in range(3)]
    for path in paths:
        environment.repository.script(path, body=grey_tiff(100))
        wait_for_image(environment.installation, path)
    deny(environment, "denied-folder/")
    until(lambda: not any(map(environment.installation.stored, paths)), 30, "the removal")
    answer = environment.installation.request("/jobs", "POST", json=paths, headers=BEARER)
    assert answer.status_code == 202
    place = answer.headers["Location"]

    def batch() -> dict[str, object]:
        found: dict[str, object] = environment.installation.request(place, headers=BEARER).json()
        return found

    until(lambda: batch()["state"] == "done", 30, "the batch")
    assert "denied" in str(batch())
    assert not any(map(environment.installation.stored, paths))
    assert environment.installation.request("/denials", headers={}).status_code in {401, 403}
    assert environment.installation.request("/denials", "POST", json={"path": ""}, headers=BEARER).status_code == 400
