"""Derivatives in other profiles over HTTP, from a running installation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import tifffile
from PIL import Image

from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.store import open_store
from tests.integration.conftest import TOKEN
from tests.support.installation import SAMPLES
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def test_a_pyramid_is_made_once_and_served_as_every_image_is(
    installation: Installation, master: str, repository: OriginServer
) -> None:
    first = installation.request(f"/derivatives/pyramid/{master}.tif")
    assert (first.status_code, first.headers["Content-Type"]) == (200, "image/tiff")
    assert first.headers["Cache-Status"] == "mezcal; fwd=miss"
    with tifffile.TiffFile(io.BytesIO(first.content)) as file, Image.open(SAMPLES / "maps" / "valley.tif") as whole:
        assert (file.pages[0].imagewidth, file.pages[0].imagelength) == whole.size
        assert len(file.pages) > 1
    again = installation.request(f"/derivatives/pyramid/{master}.tif")
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    head = installation.request(f"/derivatives/pyramid/{master}.tif", "HEAD")
    assert head.headers["Content-Length"] == str(len(first.content))
    part = installation.request(f"/derivatives/pyramid/{master}.tif", headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, first.content[4:12])
    assert len([seen for seen in repository.seen(master) if seen.method == "GET"]) == 1


def test_the_mezzanine_has_a_third_name(installation: Installation, master: str) -> None:
    named = installation.request(f"/derivatives/mezzanine/{master}.jpg")
    plain = installation.ask(master)
    assert (named.content, named.headers["ETag"]) == (plain.content, plain.headers["ETag"])
    assert plain.headers["Cache-Status"] == "mezcal; hit"


@pytest.mark.parametrize(
    "path", ["pyramid/{}.jpg", "pyramid/{}", "large/{}.jpg", "mezzanine/{}.tif", "Pyramid/{}.tif", "pyramid/.tif"]
)
def test_another_extension_or_profile_is_not_found(installation: Installation, master: str, path: str) -> None:
    answer = installation.request(f"/derivatives/{path.format(master)}")
    assert answer.status_code in {400, 404}
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_both_lie_side_by_side_and_are_deleted_together(installation: Installation, master: str) -> None:
    for path in (f"/images/{master}", f"/derivatives/pyramid/{master}.tif"):
        assert installation.request(path).status_code == 200
    store, mezzanine = open_store(installation.settings), Mezzanine.parse(master)
    image = store.path(mezzanine)  # type: ignore[attr-defined]
    assert sorted(entry.name for entry in image.parent.iterdir()) == [
        "image.jpg",
        "image.json",
        "pyramid.json",
        "pyramid.tif",
    ]
    sidecar = store.sidecar(mezzanine.in_profile(PYRAMID))
    assert sidecar is not None
    assert sidecar.recipe["profile"] == "pyramid"
    assert installation.ask(master, "DELETE", headers=BEARER).status_code == 204
    assert not image.parent.exists()


def test_a_missing_master_has_no_pyramid(installation: Installation) -> None:
    answer = installation.request("/derivatives/pyramid/none/at/all.tif.tif")
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2][:7]) == (404, "master-")


def test_a_job_of_a_pyramid_links_to_it(installation: Installation, master: str) -> None:
    answer = installation.request(f"/derivatives/pyramid/{master}.tif", headers={"Prefer": "respond-async"})
    assert answer.status_code == 202
    job = installation.request(answer.headers["Location"]).json()
    assert job["image"] == f"/derivatives/pyramid/{master}.tif"


def test_the_page_of_a_pyramid_s_job_says_so_and_offers_the_file(installation: Installation, master: str) -> None:
    answer = installation.request(f"/derivatives/pyramid/{master}.tif", headers={"Prefer": "respond-async"})
    where = answer.headers["Location"]
    until(lambda: installation.request(where).json()["state"] == "done", what="the pyramid")
    page = installation.request(where, headers={"Accept": "text/html"}).text
    assert f"{master} as pyramid" in page
    assert f'href="/derivatives/pyramid/{master}.tif">Download the image</a>' in page
    assert "Download" not in installation.request("/", headers={"Accept": "text/html"}).text
