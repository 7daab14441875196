"""Handing a strategy over, on behalf of a page: look at a trainer's settings and take them in, look at files and save them.
What was not looked at just before is not written: each look gives a token, and a token saves once.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadConfig, CannotSave, WrongPhase
from ..core.shorten import shorten
from ..core.wire.handover import ExportPreview, ImportPreview
from ..core.wire.messages import stale

if TYPE_CHECKING:
    from ..core.data_origin import DataOrigin
    from ..engine.settings import BurstSettings
    from .strategy_editor import StrategyEditor

FOLDER = "handover"
"""Proposed for saving, below the working folder."""
LONGEST_TEXT = 65_536
"""Characters of settings that are taken in; a trainer's have a few thousand, and YAML of this length takes two seconds to read."""
LONGEST_JSON = 262_144
"""The same of JSON, which is read at once: an adapter may name its targets one by one."""
_KEPT = 16  # looks that can still be saved


class Handover:
    """The way in and out of one session's strategy.

    Args:
        editor: Of the strategy.
    """

    def __init__(self, editor: StrategyEditor) -> None:
        self._editor = editor
        self._looks: dict[str, tuple[int, ExportPreview]] = {}

    @property
    def trainers(self) -> tuple[tuple[str, str], ...]:
        """(key, name for people) of each trainer."""
        from ..trainers import previews

        found: tuple[tuple[str, str], ...] = previews.trainers()
        return found

    def preview_import(self, text: str, trainer: str = "") -> ImportPreview:
        """What a trainer's settings would change; nothing is changed.

        Raises:
            VlmFreezeError: They cannot be read or do not fit; the error says why.
        """
        longest = LONGEST_JSON if text.lstrip().startswith("{") else LONGEST_TEXT
        if len(text) > longest:
            raise BadConfig(
                "This is too long for the settings of a trainer.",
                expected=f"at most {longest:,} characters",
                found=f"{len(text):,}",
                remedy="Paste the settings alone.",
            )
        from ..trainers.previews import preview_import

        look: ImportPreview = preview_import(text, self._editor.plan, trainer)
        return look

    def import_text(self, text: str, trainer: str = "") -> int:
        """Takes a trainer's settings as the strategy: one undoable edit.

        Returns:
            The new revision.

        Raises:
            VlmFreezeError: They cannot be read or do not fit; nothing is changed.
        """
        return self._editor.set_strategy(self.preview_import(text, trainer).strategy)

    def preview_export(
        self,
        to: str,
        settings: BurstSettings | None = None,
        rows: int | None = None,
        data: DataOrigin | None = None,
    ) -> tuple[str, ExportPreview]:
        """The files for a trainer.

        Args:
            to: For whom.
            settings: Of the session's bursts; the files tell them as far as the trainer has words.
            rows: Of a micro-batch, where that is known.
            data: Where the session's rows lie, where that is known; a trainer that takes it gets it.

        Returns:
            A token with which exactly these files can be saved once, and the look.

        Raises:
            VlmFreezeError: The trainer cannot say the strategy, or the plan is refused.
        """
        rev = self._editor.rev
        from ..trainers.previews import preview_export

        look: ExportPreview = preview_export(self._editor.plan, to, settings, rows, data)
        token = secrets.token_urlsafe(12)
        self._looks = {**dict(list(self._looks.items())[1 - _KEPT :]), token: (rev, look)}
        return token, look

    def save(self, token: str, folder: str) -> list[str]:
        """Writes the files of a look below the working folder. A token is used up by it; one that failed is not.

        Args:
            token: Of the look.
            folder: Relative to the working folder; it is made where it is not there.

        Returns:
            The files' paths, relative to the working folder.

        Raises:
            WrongPhase: The token is unknown, or was used.
            StaleRequest: The strategy has changed since.
            CannotSave: The folder lies elsewhere, a file is there already, or the disk refuses; nothing is written over.
        """
        if token not in self._looks:
            raise WrongPhase(
                "These files were not shown just now.",
                expected="the token of a look that was not saved yet",
                found="another one",
                remedy="Look at the files again and save then.",
            )
        rev, look = self._looks[token]
        if rev != self._editor.rev:
            raise stale(rev, self._editor.rev)
        home = Path.cwd().resolve()
        place = below(home, folder)
        paths = _write(look, place)
        del self._looks[token]
        return [path.relative_to(home).as_posix() for path in paths]


def rows_of(batches: Any) -> int | None:  # whatever a burst takes
    """Rows of a micro-batch, as its loader says or the first of a list has; None where neither tells."""
    rows = getattr(batches, "batch_size", None)
    if isinstance(rows, int) and not isinstance(rows, bool):
        return rows
    first = batches[0] if isinstance(batches, list | tuple) and batches else None
    labels = first.get("labels") if isinstance(first, Mapping) else None
    shape: Sequence[int] = getattr(labels, "shape", ())
    return int(shape[0]) if len(shape) > 1 else None


def below(home: Path, folder: str) -> Path:
    """A folder below the working folder, symbolic links followed.

    Raises:
        CannotSave: It lies elsewhere.
    """
    wanted = Path(folder.strip())
    try:
        place = (home / wanted).resolve()
        inside = bool(folder.strip()) and not wanted.is_absolute() and place != home and place.is_relative_to(home)
    except (OSError, ValueError, RuntimeError):
        inside = False
    if not inside:
        raise CannotSave(
            "The files are saved below the working folder only.",
            expected=f"a folder such as {FOLDER}/llamafactory",
            found=shorten(repr(folder), 200),
            remedy="Name a folder without a leading slash and without '..'.",
        )
    return place


def _write(look: ExportPreview, place: Path) -> list[Path]:
    paths = [place / name for name in look.files]
    try:
        place.mkdir(parents=True, exist_ok=True)
        for path in paths:
            if path.exists() or path.is_symlink():
                raise FileExistsError(f"{path.name} is there already")
            if not path.parent.resolve().is_relative_to(place):
                raise FileExistsError(f"{path.parent.name} is a link that leads elsewhere")
            path.parent.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, look.files.values(), strict=True):
            # "x" and not "w": what appears in between is not written over either.
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except (OSError, ValueError) as error:
        raise CannotSave(
            f"The files for {look.name} cannot be written.",
            expected="a folder in which they are not there yet",
            found=str(error),
            remedy="Choose another folder; nothing was written over.",
        ) from error
    return paths
