"""Files of tensors and JSON, written completely or not at all, and never executed.

The format is safetensors. Its metadata holds four strings: ``format``, ``version``, ``content``
(JSON) and ``sha256``, which covers the content and every tensor, so that damage is noticed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from fastinv._common.files import behind_links, replace_file

Tensors = dict[str, NDArray[Any]]
CHECKPOINT_FORMAT = "fastinv-checkpoint"
CHECKPOINT_VERSION = 1


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], content: object, *, format: str, version: int
) -> None:
    """Write `tensors` and the JSON-like `content` to `path`, replacing it in one step."""
    arrays = {name: np.ascontiguousarray(t).reshape(t.shape) for name, t in tensors.items()}
    text = json.dumps(content, sort_keys=True)
    metadata = {
        "format": format,
        "version": str(version),
        "content": text,
        "sha256": _digest(text, arrays),
    }
    replace_file(path, safetensors.numpy.save(arrays, metadata=metadata))


def read_tensors(path: Path, *, format: str, version: int) -> tuple[Tensors, Any]:
    """Read the tensors and content that :func:`write_tensors` wrote.

    Raises
    ------
    ValueError
        If the file is not in this format and version, or damaged.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata, format, version)
            tensors: Tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a {format} file: {error}") from error
    text = metadata.get("content", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ValueError(f"{path} is damaged: its content does not have its checksum")
    return tensors, json.loads(text)


def fingerprint(arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of the dtypes, shapes and bytes of `arrays`."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).data)
    return digest.hexdigest()


def _digest(text: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    names = sorted(tensors)
    parts = [text, json.dumps(names), fingerprint(tensors[name] for name in names)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check_format(path: Path, metadata: Mapping[str, str], format: str, version: int) -> None:
    found = metadata.get("format")
    if found != format:
        raise ValueError(f"{path} is not a {format} file, its format is {found!r}")
    if metadata.get("version") != str(version):
        raise ValueError(
            f"{path} is a {format} file of version {metadata.get('version')}, "
            f"this release reads version {version}"
        )


@dataclass(frozen=True)
class Identity:
    """What a training must have in common with a checkpoint to continue from it.

    ``options`` and ``network`` are JSON-like, ``data`` and ``start`` (first parameters and state
    of the random generator) are fingerprints.
    """

    options: Mapping[str, object]
    network: Mapping[str, object]
    data: str
    start: str


class CheckpointFile:
    """The checkpoint of one training.

    Parameters
    ----------
    path : str or os.PathLike
        A file in an existing directory.
    identity : Identity

    Raises
    ------
    FileNotFoundError
        If the directory does not exist, before any time is spent on training.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Identity) -> None:
        self.path = Path(path)
        self._identity = identity
        folder = behind_links(self.path).parent
        if not folder.is_dir():
            raise FileNotFoundError(f"checkpoint: there is no directory {folder}")

    def save(self, tensors: Tensors, progress: Mapping[str, object]) -> None:
        """Replace the file by one with `tensors` and the JSON-like `progress`."""
        write_tensors(
            self.path,
            tensors,
            {"identity": vars(self._identity), "progress": progress},
            format=CHECKPOINT_FORMAT,
            version=CHECKPOINT_VERSION,
        )

    def load(self, like: Tensors) -> tuple[Tensors, dict[str, Any]] | None:
        """Read what :meth:`save` wrote; None if there is no file.

        Parameters
        ----------
        like : dict
            Tensors with the names, dtypes and shapes that those in the file must have.

        Raises
        ------
        ValueError
            If the file is damaged, of another format, or of another training.
        """
        if not self.path.exists():
            return None
        tensors, content = read_tensors(
            self.path, format=CHECKPOINT_FORMAT, version=CHECKPOINT_VERSION
        )
        self._check_identity(content["identity"])
        self._check_tensors(tensors, like)
        return tensors, content["progress"]

    def _check_identity(self, found: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(vars(self._identity)))
        for group in ("options", "network"):
            for name in wanted[group] | found[group]:
                was, now = found[group].get(name), wanted[group].get(name)
                if was != now:
                    raise ValueError(
                        f"checkpoint {self.path} was written with {name}={was!r}, now it is {now!r}"
                    )
        for group, meaning in (("data", "other training data"), ("start", "another random_state")):
            if found[group] != wanted[group]:
                raise ValueError(f"checkpoint {self.path} was written for {meaning}")

    def _check_tensors(self, tensors: Tensors, like: Tensors) -> None:
        found = {name: (str(t.dtype), t.shape) for name, t in tensors.items()}
        wanted = {name: (str(t.dtype), t.shape) for name, t in like.items()}
        if found != wanted:
            raise ValueError(
                f"checkpoint {self.path} holds {found}, but this training needs {wanted}"
            )
