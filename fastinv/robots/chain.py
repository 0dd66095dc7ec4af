"""Serial chains of joints, and their forward functions from joint values to the end frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastinv._common.validation import (
    RandomState,
    as_float64,
    check_integer,
    check_number,
    check_option,
    check_random_state,
)
from fastinv.functions.compilation import RowFunction
from fastinv.robots._checks import (
    JointType,
    check_axes,
    check_joint_types,
    check_limits,
    check_name,
    check_names,
)
from fastinv.robots._codegen import OUTPUTS, Output, RowDescription, jacobian_rows
from fastinv.robots._dh import dh_transforms
from fastinv.robots._forward import ChainForward
from fastinv.robots._kinematics import angles_between, locate
from fastinv.robots._transforms import check_transform, check_transforms, snapped
from fastinv.robots._urdf import read_urdf

Float64Array = NDArray[np.float64]

_FULL_TURN = 2.0 * np.pi
_FULL_TURN_SLACK = 1e-9  # files give limits with about ten digits


class SerialChain:
    """Joints one after another, each with a constant transform before it.

    With fixed transforms F and joints J, the end frame is ``F[0] J[0](x[0]) F[1] ... F[p]`` in
    the base frame. :meth:`from_dh` and :meth:`from_urdf` make a chain from the usual descriptions
    of robots. A chain never changes, so that threads can share it.

    Parameters
    ----------
    fixed : array-like of shape (p + 1, 4, 4)
        Transform before each joint, and the one from the last joint to the end frame; metres.
    axes : array-like of shape (p, 3)
        Axis of each joint in its own frame. The length does not matter.
    joint_types : {"revolute", "prismatic"} or sequence of p of these, default="revolute"
        A revolute joint turns about its axis (radians), a prismatic one slides along it (metres).
    limits : array-like of shape (p, 2), optional
        Lowest and highest value of each joint. By default -π and π; prismatic joints have no
        default.
    joint_names : sequence of p str, optional
        By default joint1, joint2, ...
    name : str, default="chain"
    rotation_weight : float, default=1.0
        Metres that equal one radian in the difference of poses, see :meth:`forward`. 1 suits
        an arm about a metre long, whose tip moves by as much when its base turns.

    Attributes
    ----------
    fixed, axes, limits : ndarray, float64, read-only
        As given, with axes of length 1.
    joint_types, joint_names : tuple of str
    name : str
    rotation_weight : float

    Raises
    ------
    TypeError, ValueError
        An argument is not as described: a transform that is not rigid, an axis of length 0,
        limits that are not finite with low < high, an unknown joint type.

    Examples
    --------
    >>> import numpy as np, fastinv as fi
    >>> arm = fi.robots.planar([1.0, 1.0])
    >>> arm
    <SerialChain planar: 2 joints RR>
    >>> arm.forward("position")([0.0, np.pi / 2]).round(6).tolist()
    [1.0, 1.0, 0.0]
    """

    fixed: Float64Array
    axes: Float64Array
    joint_types: tuple[JointType, ...]
    limits: Float64Array
    joint_names: tuple[str, ...]
    name: str
    rotation_weight: float

    def __init__(
        self,
        fixed: ArrayLike,
        axes: ArrayLike,
        joint_types: str | Sequence[str] = "revolute",
        limits: ArrayLike | None = None,
        joint_names: Sequence[str] | None = None,
        name: str = "chain",
        rotation_weight: float = 1.0,
    ) -> None:
        directions = check_axes(axes)
        n_joints = len(directions)
        transforms = snapped(check_transforms(fixed, "fixed"))
        if len(transforms) != n_joints + 1:
            raise ValueError(
                f"fixed must hold one transform more than there are axes, {n_joints + 1}, got "
                f"{len(transforms)}"
            )
        types = check_joint_types(joint_types, n_joints)
        ranges = check_limits(limits, types)
        for array in (transforms, directions, ranges):
            array.flags.writeable = False
        self.__dict__.update(
            fixed=transforms,
            axes=directions,
            joint_types=types,
            limits=ranges,
            joint_names=check_names(joint_names, n_joints),
            name=check_name(name, "name"),
            rotation_weight=check_number(rotation_weight, "rotation_weight", above=0.0),
        )

    @classmethod
    def from_dh(
        cls,
        a: ArrayLike,
        alpha: ArrayLike,
        d: ArrayLike,
        theta_offset: ArrayLike = 0.0,
        joint_types: str | Sequence[str] = "revolute",
        *,
        convention: str = "standard",
        limits: ArrayLike | None = None,
        base: ArrayLike | None = None,
        tool: ArrayLike | None = None,
        joint_names: Sequence[str] | None = None,
        name: str = "chain",
        rotation_weight: float = 1.0,
    ) -> SerialChain:
        """A chain from Denavit-Hartenberg parameters.

        Parameters
        ----------
        a, alpha, d : array-like of shape (p,)
            Link lengths (m), twists (rad) and offsets (m). A prismatic joint adds its value to d.
        theta_offset : array-like of shape (p,) or number, default=0
            Joint angle (rad) at which a revolute joint has the value 0; the constant joint angle
            of a prismatic one.
        joint_types, limits, joint_names, name, rotation_weight
            As for :class:`SerialChain`.
        convention : {"standard", "modified"}
            "standard": link transforms ``Rz(θ) Tz(d) Tx(a) Rx(α)``. "modified" (Craig):
            ``Rx(α) Tx(a) Rz(θ) Tz(d)``, row j with the twist and length before joint j.
        base, tool : array-like of shape (4, 4), optional
            Transforms before the first link and after the last; by default the identity.

        Returns
        -------
        SerialChain

        Raises
        ------
        TypeError, ValueError
            As :class:`SerialChain`, or parameters differ in number or are not finite.
        """
        fixed = dh_transforms(a, alpha, d, theta_offset, convention, base, tool)
        axes = np.tile([0.0, 0.0, 1.0], (len(fixed) - 1, 1))
        return cls(fixed, axes, joint_types, limits, joint_names, name, rotation_weight)

    @classmethod
    def from_urdf(
        cls,
        path: str | os.PathLike[str],
        base_link: str | None = None,
        end_link: str | None = None,
        *,
        rotation_weight: float = 1.0,
    ) -> SerialChain:
        """The chain between two links of a URDF file, read by yourdfpy.

        Fixed joints become part of the transforms between the others; limits and joint names
        are those of the file, and continuous joints go from -π to π. No mesh is loaded.

        Parameters
        ----------
        path : path of a URDF file
        base_link : str, optional
            By default the root of the robot.
        end_link : str, optional
            By default the only link below `base_link` that has no link below it.
        rotation_weight : float, default=1.0

        Returns
        -------
        SerialChain
            Named like the robot.

        Raises
        ------
        ImportError
            yourdfpy is not installed: ``pip install 'fastinv[urdf]'``.
        FileNotFoundError
            There is no such file.
        ValueError
            The file is damaged; a link is unknown, or not below `base_link`, or several could be
            the end; the path between the links has a mimic, floating or planar joint, no movable
            joint, or a joint without limits.
        """
        return cls(*read_urdf(path, base_link, end_link), rotation_weight)

    @property
    def n_joints(self) -> int:
        """Number p of joints."""
        return len(self.axes)

    @property
    def periods(self) -> Float64Array:
        """Period (p,) of each joint: 2π if it turns and its limits allow a full turn, else inf."""
        turns = np.array([kind == "revolute" for kind in self.joint_types])
        full = self.limits[:, 1] - self.limits[:, 0] >= _FULL_TURN - _FULL_TURN_SLACK
        return np.where(turns & full, _FULL_TURN, np.inf)

    def replace(
        self,
        *,
        limits: ArrayLike | None = None,
        tool: ArrayLike | None = None,
        name: str | None = None,
        rotation_weight: float | None = None,
    ) -> SerialChain:
        """The same chain with the given changes; `tool` (4, 4) is added after the end frame."""
        fixed = self.fixed.copy()
        if tool is not None:
            fixed[-1] = fixed[-1] @ check_transform(tool, "tool")
        return SerialChain(
            fixed,
            self.axes,
            self.joint_types,
            self.limits if limits is None else limits,
            self.joint_names,
            self.name if name is None else name,
            self.rotation_weight if rotation_weight is None else rotation_weight,
        )

    def forward(self, output: Output = "pose") -> ChainForward:
        """The compiled forward function, for solvers to invert.

        Parameters
        ----------
        output : {"pose", "position"}, default="pose"
            "position": y is the origin of the end frame (m), q = 3.
            "pose": q = 12, the origin and then the rotation matrix, row by row, times
            ``rotation_weight / √2``. It has no wrapping angle and no singular orientation. Since
            rotations that differ by an angle φ differ by ``2√2 sin(φ/2)`` in the Frobenius norm,
            the norm of ``f(x) - y`` is ``√(e² + (2 w sin(φ/2))²)`` with the position error e
            and the rotation weight w: ``√(e² + (w φ)²)`` for small angles. It is the residual of
            solvers with ``y_scale=1``. :meth:`targets` gives y for poses; :meth:`pose_error` splits
            the difference into its two parts.

        Returns
        -------
        ChainForward
            A :class:`~fastinv.ForwardFunction`. Each call makes a new one, which compiles when
            it is first used: reuse it.
        """
        return ChainForward(self, check_option(output, "output", OUTPUTS))

    def jacobian_rows(self, output: Output = "pose") -> RowFunction:
        """The analytic Jacobian of :meth:`forward`, as a plain function that Numba can compile.

        Parameters
        ----------
        output : {"pose", "position"}, default="pose"

        Returns
        -------
        callable
            ``jac(x, J)`` writes ∂y_i/∂x_j into ``J[i, j]``; x (p,), J (q, p), float64.
        """
        output = check_option(output, "output", OUTPUTS)
        return jacobian_rows(f"{self.name} {output} jacobian", self.row_description(output))

    def row_description(self, output: Output) -> RowDescription:
        """The description that the code of a row function is made from."""
        prismatic = tuple(kind == "prismatic" for kind in self.joint_types)
        return RowDescription(
            self.fixed, self.axes, prismatic, output, self.rotation_weight / np.sqrt(2.0)
        )

    def target(self, T: ArrayLike) -> Float64Array:
        """The y (12,) of the pose function for one pose `T` (4, 4); see :meth:`targets`."""
        return self._images(check_transform(T, "T")[None]).reshape(12)

    def targets(self, Ts: ArrayLike) -> Float64Array:
        """The y of the pose function for poses of the end frame.

        Parameters
        ----------
        Ts : array-like of shape (n, 4, 4) or (4, 4)
            Rigid transforms in the base frame, metres. They are not corrected: one that is
            off by 1e-7 is reached with an error of that size.

        Returns
        -------
        ndarray of shape (n, 12), float64

        Raises
        ------
        ValueError
            Wrong shape, NaN or infinity, another last row than ``[0, 0, 0, 1]``, or a rotation
            that is not orthonormal within 1e-6 or has determinant -1.
        """
        return self._images(check_transforms(Ts, "Ts"))

    def _images(self, transforms: Float64Array) -> Float64Array:
        rotations = transforms[:, :3, :3].reshape(-1, 9)
        scale = self.rotation_weight / np.sqrt(2.0)
        return np.concatenate([transforms[:, :3, 3], scale * rotations], axis=1)

    def transform(self, x: ArrayLike) -> Float64Array:
        """The end frame in the base frame, by NumPy.

        Parameters
        ----------
        x : array-like of shape (n, p) or (p,)
            Joint values, within the limits or not.

        Returns
        -------
        ndarray of shape (n, 4, 4), or (4, 4) for one x; float64
        """
        points = self._checked(x)
        return locate(self, points.reshape(-1, self.n_joints)).end.reshape(*points.shape[:-1], 4, 4)

    def jacobian(self, x: ArrayLike) -> Float64Array:
        """The geometric Jacobian, by NumPy: end-frame velocities per joint velocity.

        Parameters
        ----------
        x : array-like of shape (n, p) or (p,)

        Returns
        -------
        ndarray of shape (n, 6, p), or (6, p) for one x; float64
            Three rows of linear velocity, three of angular velocity, both in the base frame.
        """
        points = self._checked(x)
        frames = locate(self, points.reshape(-1, self.n_joints))
        slides = np.array([kind == "prismatic" for kind in self.joint_types])[:, None]
        levers = frames.end[:, None, :3, 3] - frames.origins
        linear = np.where(slides, frames.axes, np.cross(frames.axes, levers))
        angular = np.where(slides, 0.0, frames.axes)
        columns = np.concatenate([linear, angular], axis=2)
        return np.swapaxes(columns, 1, 2).reshape(*points.shape[:-1], 6, self.n_joints)

    def pose_error(self, x: ArrayLike, T: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """How far the end frame at `x` is from `T`.

        Parameters
        ----------
        x : array-like of shape (n, p) or (p,)
        T : array-like of shape (n, 4, 4) or (4, 4)
            One of the two may be single and is compared with each of the other.

        Returns
        -------
        position : ndarray of shape (n,), or () for one x and one T
            Distance of the origins, metres.
        angle : ndarray of the same shape
            Angle between the orientations, radians, 0 to π.
        """
        reached = self.transform(x)
        wanted = check_transforms(T, "T").reshape(np.shape(T))
        if reached.ndim == wanted.ndim == 3 and len(reached) != len(wanted):
            raise ValueError(
                f"x and T must have the same length, got {len(reached)} and {len(wanted)}"
            )
        gap = reached[..., :3, 3] - wanted[..., :3, 3]
        angle = angles_between(reached[..., :3, :3], wanted[..., :3, :3])
        return np.linalg.norm(gap, axis=-1), angle

    def sample(self, n: int, random_state: RandomState = None) -> tuple[Float64Array, Float64Array]:
        """Joint values that are uniform within the limits, and their end frames.

        Parameters
        ----------
        n : int
            0 or more.
        random_state : int, RandomState, Generator or None, default=None

        Returns
        -------
        X : ndarray of shape (n, p), float64
        Ts : ndarray of shape (n, 4, 4), float64
        """
        n = check_integer(n, "n", minimum=0)
        low, high = self.limits.T
        X = check_random_state(random_state).uniform(low, high, (n, self.n_joints))
        return X, self.transform(X)

    def _checked(self, x: ArrayLike) -> Float64Array:
        points = as_float64(x, "x")
        if points.ndim not in (1, 2) or points.shape[-1] != self.n_joints:
            raise ValueError(
                f"x must have shape (n, {self.n_joints}) or ({self.n_joints},) for {self.name}, "
                f"got {points.shape}"
            )
        return points

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"cannot set {name}: a SerialChain never changes, see replace()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cannot delete {name}: a SerialChain never changes")

    def __repr__(self) -> str:
        joints = "".join(kind[0].upper() for kind in self.joint_types)
        plural = "" if self.n_joints == 1 else "s"
        return f"<SerialChain {self.name}: {self.n_joints} joint{plural} {joints}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Uses the constructor, because arrays from a pickle would be writeable.
        described = (self.fixed, self.axes, self.joint_types, self.limits, self.joint_names)
        return SerialChain, (*described, self.name, self.rotation_weight)
