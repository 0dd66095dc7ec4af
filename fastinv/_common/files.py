"""Writes files completely or not at all, even with several writers."""

from __future__ import annotations

import errno
import io
import os
import secrets
import sys
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any, BinaryIO

if sys.platform != "win32":
    import fcntl

_TOKEN_BYTES = 8


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path`: a reader finds the old or the new content at any time.

    Threads, processes and machines may write to one path at once; the last one wins. Data go to a
    draft beside the file, which then takes its place. The next writer removes a draft whose
    writer was killed. Symbolic links stay, and the file that they lead to is written. A path that
    is not a regular file, such as a pipe or a terminal, is written to directly.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    target = behind_links(path)
    _remove_abandoned_drafts(target)
    draft, file = _open_draft(target)
    try:
        with file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":
                draft.replace(target)  # while the lock protects the draft
        if sys.platform == "win32":  # Windows renames closed files only
            draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def save_figure(figure: Any, path: Path, *, dpi: int) -> None:
    """Write a Matplotlib `figure` to `path`, in the format that its suffix names."""
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix[1:].lower(), dpi=dpi)
    replace_file(path, picture.getvalue())


def behind_links(path: Path) -> Path:
    """The target of a symbolic link at `path`, which need not exist; without a link, `path`."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _open_draft(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `target`, locked while it is open."""
    while True:
        draft = target.with_name(f".{target.name}.{secrets.token_hex(_TOKEN_BYTES)}.tmp")
        file = draft.open("xb")
        if sys.platform != "win32":
            with suppress(OSError):  # no locks on this file system: drafts are not removed either
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink > 0:
            return draft, file
        file.close()  # another writer removed it before it was locked


def _remove_abandoned_drafts(target: Path) -> None:
    """Remove drafts that are not locked: a lock ends with its process."""
    if sys.platform != "win32":
        token = "[0-9a-f]" * (2 * _TOKEN_BYTES)
        for draft in target.parent.glob(f".{escape(target.name)}.{token}.tmp"):
            with suppress(OSError), draft.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
