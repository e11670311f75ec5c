"""docker-compose.s3.yml with a real engine: images are in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.compositions import SAMPLE, Composition, ask, started
from tests.support.engine import has_image

if TYPE_CHECKING:
    from collections.abc import Iterator

MOTO = "motoserver/moto:5.1.0"


@pytest.fixture(scope="module")
def on_s3(image: str) -> Iterator[Composition]:
    if not has_image(MOTO):
        pytest.skip(f"needs the image {MOTO}")
    yield from started(Composition("docker-compose.yml", "docker-compose.s3.yml"))


def test_with_a_bucket_images_come_from_it(on_s3: Composition) -> None:
    made, again = ask(on_s3, SAMPLE), ask(on_s3, SAMPLE)
    assert (made.status, again.status) == (200, 200), made.text
    assert made.headers["ETag"] == again.headers["ETag"]
    script = "import urllib.request as u; print(u.urlopen('http://s3:9000/mezcal?list-type=2').read().decode())"
    listed = on_s3.one("api").run("python", "-c", script).stdout
    assert "agave-p3.tif/image.jpg" in listed
    folders = on_s3.one("api").run("ls", "/var/cache/mezcal").stdout.split()
    assert folders == [], "no image is in the volume"
