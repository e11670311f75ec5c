"""Removes from an installation what mezcal never reads, and prints what each rule freed: `python slim.py FOLDER`.

FOLDER is a virtual environment. The build of the image runs this before bytecode is compiled. `docs/deployment.md` has
the sizes.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# botocore has a model for each service of AWS. mezcal reads and writes objects, invalidates what CloudFront has, and
# gets credentials from roles, web identities and single sign-on.
SERVICES = {"s3", "cloudfront", "sts", "sso", "sso-oidc", "signin"}
KEPT_TESTS = {"astropy/tests"}  # astropy imports it at its start
# Codecs of arrays and of files that no TIFF holds, and the libraries that only they load. imagecodecs loads a codec
# when it is called.
UNUSED_CODECS = """
aec apng avif bcn bitshuffle blosc blosc2 bmp brotli bz2 gif h5checksum lz4 lz4f lzf lzfse lzham lzo meshopt pcodec pglz
qoi quantize rgbe snappy sperr spng sz3 szip ultrahdr zfp zlibng zopfli
"""
UNUSED_LIBRARIES = """
SPERR SZ3c aec aom avif blosc blosc2 cpcodec gif lzfse lzhamcomp lzhamdecomp lzhamdll lzokay lzokay-c meshoptimizer
snappy sz uhdr zfp zopfli
"""


@dataclass(frozen=True, slots=True)
class Rule:
    """Files and folders below `site-packages` that may go. *patterns* are globs."""

    what: str
    patterns: tuple[str, ...]


RULES = (
    Rule("tests of packages", ("*/**/tests", "*/test")),
    Rule("models of other services in botocore", ("botocore/data/*/",)),
    Rule("sources, headers and type stubs", ("**/*.pyx", "**/*.pxd", "**/*.c", "**/*.h", "**/*.a", "**/*.pyi")),
    Rule("tools that build packages", ("setuptools*", "pkg_resources", "_distutils_hack", "distutils-precedence.pth")),
    Rule(
        "codecs in imagecodecs that no TIFF needs",
        (
            *(f"imagecodecs/_{codec}.*so" for codec in UNUSED_CODECS.split()),
            *(f"imagecodecs.libs/lib{library}-[0-9a-f]*.so*" for library in UNUSED_LIBRARIES.split()),
        ),
    ),
    Rule("numpy's own build tools", ("numpy/distutils", "numpy/f2py", "numpy/_pyinstaller")),
)


def removable(site: Path, rule: Rule) -> list[Path]:
    """Returns the files and folders in *site* that *rule* names, without those that are needed."""
    found = {path for pattern in rule.patterns for path in site.glob(pattern)}
    return sorted(path for path in found if not _needed(path.relative_to(site)))


def _needed(path: Path) -> bool:
    """Returns True for a model of one of `SERVICES`, and for tests that a package imports."""
    return path.as_posix() in KEPT_TESTS or (path.parts[:2] == ("botocore", "data") and path.name in SERVICES)


def size(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def remove(path: Path) -> int:
    """Remove a file or a folder. Returns the bytes that it had; 0 if it is gone with a folder above."""
    if not path.exists():
        return 0
    freed = size(path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return freed


def main(folder: str) -> None:
    """Apply all rules to the virtual environment *folder*."""
    (site,) = Path(folder).glob("lib/python3.*/site-packages")
    for rule in RULES:
        print(f"{sum(map(remove, removable(site, rule))) / 1e6:6.1f} MB  {rule.what}")


if __name__ == "__main__":
    main(sys.argv[1])
