"""The report: one HTML file of a run, a result, a page or a plan, that opens from the disk without kernel or network.

What it says of which object is ``content``, how that reads ``sections``, the file ``html_file``. The map and the curves in it are
drawn by the front end (js/src/report.ts), all else is plain markup.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.arguments import FLAG, PATH, TEXT, checked, maybe
from ..core.errors import BadState, CannotSave, VlmFreezeError
from ..core.shorten import shorten

_FILE = replace(
    PATH,
    expected="the path of the HTML file",
    remedy='Write where the report goes: vf.report(result, "report.html").',
    error=CannotSave,
)


@checked(path=_FILE, title=maybe(TEXT), overwrite=FLAG)
def report(source: Any, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
    """Writes a report.

    Args:
        source: A run (``vf.load_run``) or its folder, a ``BurstResult``, a ``Workbench`` or ``Session``, a
            comparison or its board, or a plan.
        path: The HTML file, below 1.5 MB for any model of the catalogue.
        title: At its top; by default what the model is called.
        overwrite: Whether a file that is there may be replaced.

    Returns:
        The path.

    Raises:
        CannotSave: A file is there already, or the disk refuses.
        BadState: The source has nothing to report, or a run's folder holds foreign files.

    Examples:
        >>> vf.report(result, "projector.html")
    """
    from .content import content_of
    from .html_file import write

    try:
        return write(content_of(source, title), Path(path), overwrite=overwrite)
    except VlmFreezeError:
        raise
    except (Exception, RecursionError) as error:  # the files of a run may be a stranger's
        raise BadState(
            "There is no report of this.", expected="a source that is as it was written",
            found=shorten(f"{type(error).__name__}: {error}", 200),
            remedy="Load the run with vf.load_run(folder) and look at it, or report another one.",
        ) from error  # fmt: skip


class _CallableModule(ModuleType):
    """``vf.report`` is this folder once something in it was imported, and a function before: let both be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Path:  # those of report
        return report(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
__signature__ = signature(report)  # what help and editors show of the folder as a function
