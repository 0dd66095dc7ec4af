"""The joints between two links of a URDF file (http://wiki.ros.org/urdf/XML), by yourdfpy."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from fastinv.robots._transforms import snapped

Float64Array = NDArray[np.float64]


class ReadChain(NamedTuple):
    """The chain in a file, in the order of the arguments of ``SerialChain``."""

    fixed: Float64Array
    axes: Float64Array
    joint_types: tuple[str, ...]
    limits: Float64Array
    joint_names: tuple[str, ...]
    name: str


def read_urdf(
    path: str | os.PathLike[str], base_link: str | None, end_link: str | None
) -> ReadChain:
    """The chain from `base_link` to `end_link`; ``SerialChain.from_urdf`` says what is checked."""
    robot = _parse(os.fspath(path))
    joints = _joints_between(robot, base_link, end_link)
    fixed, axes, kinds, limits, names = [np.eye(4)], [], [], [], []
    for joint in joints:
        kind = _kind(joint)
        origin = np.eye(4) if joint.origin is None else np.asarray(joint.origin, dtype=np.float64)
        fixed[-1] = fixed[-1] @ snapped(origin[None])[0]
        if kind == "fixed":
            continue
        fixed.append(np.eye(4))
        axes.append(joint.axis)
        kinds.append(kind)
        limits.append(_limits(joint))
        names.append(joint.name)
    if not axes:
        raise ValueError(f"no joint between base_link and end_link of {path} can move")
    name = robot.name or "chain"
    return ReadChain(
        np.array(fixed), np.array(axes), tuple(kinds), np.array(limits), tuple(names), name
    )


def _parse(path: str) -> Any:
    """The robot that the file describes, as yourdfpy's tree."""
    try:
        yourdfpy = importlib.import_module("yourdfpy")
    except ModuleNotFoundError as error:
        raise ImportError(
            "reading URDF files needs yourdfpy: pip install 'fastinv[urdf]'"
        ) from error
    try:
        ElementTree.parse(path)  # yourdfpy would accept parts of a damaged file
        return yourdfpy.URDF.load(
            path, build_scene_graph=False, load_meshes=False, load_collision_meshes=False
        ).robot
    except (
        ElementTree.ParseError,
        yourdfpy.URDFError,
        AttributeError,  # of None: an element without a required child or attribute
        KeyError,
        ValueError,
    ) as error:
        raise ValueError(f"{path} is not a URDF file that can be read: {error}") from error


def _joints_between(robot: Any, base_link: str | None, end_link: str | None) -> list[Any]:
    """Joints on the way from `base_link` down to `end_link`."""
    links = [link.name for link in robot.links]
    above: dict[str, Any] = {}
    for joint in robot.joints:
        if joint.child in above:
            raise ValueError(
                f"link {joint.child!r} hangs on two joints, {above[joint.child].name!r} and "
                f"{joint.name!r}: the robot is not a tree"
            )
        above[joint.child] = joint
    if base_link is None:
        base_link = _only((link for link in links if link not in above), "base_link", "a root")
    _check_link(base_link, "base_link", links)
    if end_link is None:
        parents = {joint.parent for joint in robot.joints}
        leaves = (link for link in links if link not in parents)
        below = (leaf for leaf in leaves if _way_down(above, base_link, leaf))
        end_link = _only(below, "end_link", f"an end below {base_link!r}")
    _check_link(end_link, "end_link", links)
    joints = _way_down(above, base_link, end_link)
    if not joints:
        raise ValueError(f"end_link {end_link!r} is not below base_link {base_link!r}")
    return joints


def _way_down(above: dict[str, Any], base_link: str, end_link: str) -> list[Any]:
    """Joints from `base_link` to `end_link`; none if there is no path."""
    joints: list[Any] = []
    link = end_link
    while link != base_link:
        if link not in above or len(joints) > len(above):  # more joints than links in a ring
            return []
        joints.append(above[link])
        link = above[link].parent
    return joints[::-1]


def _only(candidates: Iterable[str], name: str, described: str) -> str:
    """The only candidate."""
    found = list(candidates)
    if len(found) != 1:
        listed = ", ".join(map(repr, found)) or "none"
        raise ValueError(f"{name} must be given, as the links that are {described} are: {listed}")
    return found[0]


def _check_link(link: str, name: str, links: list[str]) -> None:
    if link not in links:
        raise ValueError(f"{name} must be one of the links {', '.join(links)}, got {link!r}")


def _kind(joint: Any) -> str:
    """Type of a joint as a chain knows it, or "fixed"."""
    if joint.mimic is not None:
        raise ValueError(
            f"joint {joint.name!r} mimics {joint.mimic.joint!r}; a chain's joints move freely"
        )
    kinds = {"continuous": "revolute"} | {k: k for k in ("revolute", "prismatic", "fixed")}
    if joint.type not in kinds:
        raise ValueError(
            f"joint {joint.name!r} is {joint.type}; a chain has revolute, continuous, prismatic "
            "and fixed joints only"
        )
    return kinds[joint.type]


def _limits(joint: Any) -> tuple[float, float]:
    if joint.type == "continuous":
        return -np.pi, np.pi
    limit = joint.limit
    if limit is None or limit.lower is None or limit.upper is None or limit.lower >= limit.upper:
        found = "none" if limit is None else f"{limit.lower} and {limit.upper}"
        raise ValueError(f"joint {joint.name!r} must have limits with lower < upper, found {found}")
    return float(limit.lower), float(limit.upper)
