"""Where the built front end lies, and what to do when it is not there. The sources are in js/."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import VlmFreezeError

STATIC = Path(__file__).resolve().parent.parent / "static"


class MissingAssets(VlmFreezeError):
    """The package was built without its front end."""

    code = "missing-assets"


def asset(name: str) -> Path:
    """The path of a built file.

    Raises:
        MissingAssets: It was not built.
    """
    path = STATIC / name
    if not path.is_file():
        raise MissingAssets(
            f"The front end file {name} is missing.",
            expected="the built files in vlmfreeze_widgets/static",
            found="none"
            if not STATIC.is_dir()
            else ", ".join(p.name for p in sorted(STATIC.iterdir())) or "an empty folder",
            remedy="Run make build in the checkout (it needs Node), or install the wheel.",
        )
    return path
