"""The home page and the error pages: their structure and states, and that they load nothing from other hosts."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from api.dashboard.cache_figures import CacheFigures
from api.dashboard.home_page import HomePage, QueueFigures, Tile
from api.responses import html
from api.responses.advice import Advice
from api.responses.problems import ProblemDetails, RetryHint
from api.responses.readable_text import readable_size

VOID = {"meta", "link", "img", "input", "br", "hr"}
CACHE = CacheFigures(derivatives=1234, bytes=5_600_000, free_bytes=38_400_000_000)
QUEUE = QueueFigures(queued={"interactive": 2, "bulk": 9814}, running=3, failed=0)
BASE = "https://repository.example.org/rest/"
CACHED = Tile("maps/valley.tif", "/images/maps/valley.tif", 1400, 1000, True, 278_000)
MISSING = Tile("plate.tif", "/images/plate.tif", None, None, False, None)
HOSTILE = "\"><script>alert(1)</script>{{ 7*7 }}'&amp;.tif"


class Page(HTMLParser):
    """A page taken apart: its elements in order, its text; fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], "an element is never closed"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"{tag} is closed but was not open"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.extend(data.split())

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def home(tiles=(CACHED, MISSING), cache=CACHE, queue=QUEUE, base_url=BASE) -> Page:
    return Page(HomePage(tiles, cache, queue, base_url).html())


def images(page: Page) -> list[dict[str, str | None]]:
    return [image for image in page.all("img") if not image["src"].startswith("data:")]


def every_page() -> list[str]:
    return [
        HomePage([CACHED, MISSING], CACHE, QUEUE, BASE).html(),
        HomePage([], CacheFigures(None, None, 0), None, "").html(),
        ProblemDetails(404, "No such master", "It is not there.").html("/images/x.tif"),
        ProblemDetails(503, "Being made", "The job continues.", retry=RetryHint(2, reload=True)).html("/images/x.tif"),
    ]


def test_the_form_sends_the_url_by_get_to_the_page_itself():
    page = home()
    form, field, label = page.all("form")[0], page.all("input")[0], page.all("label")[0]
    assert form.get("action") is None
    assert form["method"] == "get"
    assert field["name"] == "url"
    assert label["for"] == field["id"]
    assert "Image in the repository: Fetch" in page.text


def test_the_form_says_how_a_repository_url_begins():
    page = home()
    assert BASE in page.text
    assert page.all("input")[0]["aria-describedby"] == page.all("small")[0]["id"]


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("", "A path in the repository, as books/1/page.tif Images"),
        (BASE, f"A path in the repository, as books/1/page.tif , or a URL that begins with {BASE} Images"),
        ("file:///srv/m/", "books/1/page.tif , or an absolute path or URL below file:///srv/m/ Images"),
    ],
)
def test_the_form_says_what_may_be_entered(base_url: str, said: str):
    page = home(base_url=base_url)
    assert said in page.text
    assert page.all("input")[0]["placeholder"] == "books/1/page.tif"


def test_the_page_says_how_many_images_it_does_not_show():
    shown = HomePage([CACHED], CACHE, QUEUE, BASE, "/ops/browse", "19 more images")
    assert "Not shown here: 19 more images. Look through all folders" in Page(shown.html()).text


def test_a_cached_image_is_shown_with_its_size_and_leads_to_itself():
    page = home(tiles=[CACHED])
    (image,) = images(page)
    assert image["src"] == "/images/maps/valley.tif"
    assert (image["width"], image["height"]) == ("1400", "1000")
    assert image["loading"] == "lazy"
    assert image["alt"] == "maps/valley.tif"
    assert {"href": "/images/maps/valley.tif", "class": "mount"} in page.all("a")
    assert "maps/valley.tif cached · 1400 \N{MULTIPLICATION SIGN} 1000 · 278 KB" in page.text


def test_an_image_not_yet_made_is_a_link_that_makes_it_and_is_not_fetched():
    page = home(tiles=[MISSING])
    assert images(page) == []
    link, operators = page.all("a")
    assert operators["href"] == "/ops"
    assert link["href"] == "/images/plate.tif"
    assert link["aria-label"] == "convert plate.tif now"
    assert "convert now plate.tif not converted yet" in page.text


def test_a_sample_not_yet_made_is_fetched_which_makes_it():
    page = home(tiles=[Tile("agave.tif", "/images/agave.tif", None, None, False, None, sample=True)])
    (image,) = images(page)
    assert image["src"] == "/images/agave.tif"
    assert "width" not in image
    assert "Built-in samples" in page.text
    assert "agave.tif converted for this page" in page.text


def test_a_master_that_failed_is_marked_and_leads_to_the_reason():
    page = home(tiles=[Tile("plate.tif", "/images/plate.tif", None, None, False, None, failed=True)])
    assert images(page) == []
    assert page.all("a")[0]["aria-label"] == "show why plate.tif failed"
    assert "plate.tif failed" in page.text


def test_no_more_than_twelve_images_are_shown():
    page = home(tiles=[CACHED] * 30)
    assert len(images(page)) == 12


def test_without_images_the_page_says_how_to_get_one():
    assert "There are no images yet. Enter the path of a master above" in home(tiles=[]).text


def test_the_cache_is_shown_in_readable_figures():
    page = home()
    assert "images 1,234 used 5.6 MB free on disk 38 GB" in page.text
    (meter,) = page.all("meter")
    assert (meter["value"], meter["max"]) == ("5600000", "38405600000")


def test_an_uncounted_cache_is_not_called_empty():
    page = home(cache=CacheFigures(None, None, 1_000_000))
    assert "images not counted used not counted free on disk 1.0 MB" in page.text
    assert page.all("meter") == []


def test_an_empty_cache_on_a_full_disk_still_has_a_valid_meter():
    (meter,) = home(cache=CacheFigures(0, 0, 0)).all("meter")
    assert float(meter["min"]) < float(meter["max"])


def test_the_queue_is_shown_lane_by_lane():
    assert "running 3 interactive lane 2 bulk lane 9,814 failed 0" in home().text


def test_failures_are_marked_only_where_there_are_some():
    assert 'class="alarm"' not in HomePage([], CACHE, QUEUE, BASE).html()
    assert 'class="alarm"' in HomePage([], CACHE, QueueFigures({}, 0, 1), BASE).html()


def test_without_the_broker_the_page_says_so_and_still_shows_the_images():
    page = home(queue=None)
    assert "The broker cannot be reached. Cached images are still served" in page.text
    assert len(images(page)) == 1


@pytest.mark.parametrize("field", ["path", "href", "base_url", "lane", "title", "detail", "instance"])
def test_hostile_text_stays_text(field):
    """Anyone who may write to the repository chooses paths: they must not become a tag, an attribute or a template."""
    if field in {"title", "detail", "instance"}:
        texts = {"title": "t", "detail": "d", "instance": "/images/x.tif", field: HOSTILE}
        html = ProblemDetails(404, texts["title"], texts["detail"]).html(texts["instance"])
    else:
        tile = Tile("p", "/images/p", None, None, False, None)
        shown = Tile("p", "/images/p", 1, 1, True, 1)
        if field in {"path", "href"}:
            tile, shown = (
                Tile(**{name: getattr(old, name) for name in Tile.__slots__} | {field: HOSTILE})
                for old in (tile, shown)
            )
        queue = QueueFigures({HOSTILE if field == "lane" else "bulk": 1}, 0, 0)
        html = HomePage([tile, shown], CACHE, queue, HOSTILE if field == "base_url" else BASE).html()
    page = Page(html)
    assert page.all("script") == []
    assert "<script" not in html
    values = [value for _, attributes in page.elements for value in attributes.values()]
    assert HOSTILE in page.text or HOSTILE in values


@pytest.mark.parametrize("html", every_page())
def test_every_page_stands_alone(html):
    """There is no script, and only our own images are loaded: style and icon are in the page."""
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.all("script") == []
    addresses = [a[name] for _, a in page.elements for name in ("src", "href", "action") if name in a]
    assert all(re.match(r"data:image/svg\+xml,|/(?!/)", address) for address in addresses)
    assert "url(" not in html
    assert "@import" not in html
    assert " style=" not in html


@pytest.mark.parametrize("html", every_page())
def test_every_page_is_fit_for_phones_and_for_screen_readers(html):
    page = Page(html)
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert all("alt" in image for image in page.all("img"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labels = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert set(labels) <= set(ids)


def test_an_error_has_its_status_title_detail_and_a_way_home():
    page = Page(ProblemDetails(404, "No such master", "there is no x.tif").html("/images/x.tif"))
    assert "404 No such master There is no x.tif. /images/x.tif mezcal" in page.text
    assert page.all("a") == [{"href": "/"}]


def problem_page(**advice) -> Page:
    told = Advice("Ask the library.", page="docs/formats.md", **advice)
    kind = "/problems/not-an-image"
    return Page(ProblemDetails(415, "No image", "it is text", kind, job="abc", advice=told).html("/images/x.tif"))


def test_an_error_page_says_what_to_do_and_where_the_error_is_explained():
    page = problem_page(until=1_800_000_000)
    assert "Ask the library." in page.text
    assert "remembered until 2027-01-15 08:00 UTC" in page.text
    assert [link["href"] for link in page.all("a")] == ["/problems/not-an-image", "/"]
    assert "Try again" not in page.text
    assert {"class": "again", "href": ""} in problem_page(retry=True).all("a")


def test_an_error_page_tells_an_operator_the_cause_the_next_step_and_the_job():
    page = problem_page(operator="The file is text.", step="Raise MAX_IMAGE_PIXELS (now 9), then: mezcal check PATH.")
    assert "The file is text." in page.text
    assert "Next step. Raise MAX_IMAGE_PIXELS (now 9), then: mezcal check PATH ." in page.text
    assert [link["href"] for link in page.all("a")][:2] == ["/ops/jobs/abc", "/ops"]
    assert len(page.all("code")) == 3


def test_a_hostile_text_in_an_advice_is_not_html():
    assert "script" not in {name for name, _ in problem_page(operator=HOSTILE, step=HOSTILE).elements}


def test_the_page_of_a_running_job_reloads_itself_and_does_not_look_like_an_error():
    page = Page(
        ProblemDetails(503, "Being made", "The job continues.", retry=RetryHint(2, reload=True)).html("/images/x.tif")
    )
    assert "503" not in page.text
    assert "The image is being prepared" in page.text
    assert {"http-equiv": "refresh", "content": "2"} in page.all("meta")


def test_the_page_of_an_overload_does_not_reload_itself():
    page = Page(ProblemDetails(503, "Too many are waiting", "All are taken.", retry=RetryHint(5)).html("/images/x.tif"))
    assert all("http-equiv" not in meta for meta in page.all("meta"))
    assert "Try again in 5 seconds." in page.text


def test_the_content_security_policy_lets_in_the_style_of_the_page():
    (style,) = re.findall(r"<style>(.*)</style>", HomePage([], CACHE, None, "").html(), re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html.content_security_policy()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (9_949, "9.9 KB"),
        (9_951, "10 KB"),
        (999_499, "999 KB"),
        (999_500, "1.0 MB"),
        (38_412_000_000, "38 GB"),
        (2_500_000_000_000_000, "2,500 TB"),
    ],
)
def test_sizes_are_readable(count, text):
    assert readable_size(count) == text


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("over", "under"),
    [("ink", "paper"), ("ink", "mount"), ("soft", "paper"), ("agave", "paper"), ("agave", "mount"),
     ("on-agave", "agave"), ("clay", "paper")],
)  # fmt: skip
def test_text_has_the_contrast_that_wcag_asks_for(theme, over, under):
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    css = files("api").joinpath("static", "mezcal.css").read_text()
    first, second = (luminance(re.findall(rf"--{name}: #([0-9a-f]{{6}});", css)[theme]) for name in (over, under))
    assert (max(first, second) + 0.05) / (min(first, second) + 0.05) >= 4.5


def luminance(color: str) -> float:
    linear = [
        level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4
        for level in (byte / 255 for byte in bytes.fromhex(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
