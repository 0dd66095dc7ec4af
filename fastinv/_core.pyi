"""Compiled kernels of fastinv. Arrays are C-contiguous; outputs are written in place."""

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import disjoint_base

_F32 = NDArray[np.float32]
_F64 = NDArray[np.float64]
# The extension reads attributes of these objects of the package; it imports no Python types.
_Goal = Any  # fastinv.functions.Goal
_Candidates = Any  # fastinv.backends.Candidates
_Options = Any  # fastinv.backends.PipelineOptions
_RowCode = Any  # fastinv.functions.RowCode
_I8 = NDArray[np.int8]
_I64 = NDArray[np.int64]

def isas() -> list[str]:
    """Instruction sets that this machine can run, the best one last."""

def default_isa() -> str:
    """FASTINV_ISA if it is set, else the best; ValueError if it is not available."""

def environment(name: str) -> str:
    """The environment variable of that name, or "" if it is not set."""

def get_num_threads() -> int:
    """The limit set through threadpoolctl, 0 for none."""

def set_num_threads(n_threads: int) -> None: ...
def elementary_float32(
    function: Literal["exp", "log", "tanh"], x: _F32, out: _F32, isa: str
) -> None:
    """Applies the function of that name to each element."""

def elementary_float64(
    function: Literal["exp", "log", "tanh"], x: _F64, out: _F64, isa: str
) -> None: ...
def fma_rate_float32(seconds: float, n_threads: int, isa: str) -> float:
    """Floating-point operations per second of fused multiply-adds in registers, measured for
    `seconds` on all threads together."""

def rank(residuals: _F64, order: _I64) -> None: ...

class NetworkFloat32:
    def __init__(
        self, layer_sizes: list[int], activation: str, parameters: _F32, isa: str
    ) -> None: ...
    def forward(self, X: _F32, out: _F32, n_threads: int) -> None: ...

class NetworkFloat64:
    def __init__(
        self, layer_sizes: list[int], activation: str, parameters: _F64, isa: str
    ) -> None: ...
    def forward(self, X: _F64, out: _F64, n_threads: int) -> None: ...

class TrainerFloat32:
    def __init__(
        self,
        layer_sizes: list[int],
        activation: str,
        loss: str,
        huber_delta: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        parameters: _F32,
        isa: str,
    ) -> None: ...
    @property
    def step(self) -> int: ...
    def train_epoch(
        self,
        X: _F32,
        Y: _F32,
        order: _I64,
        batch_size: int,
        learning_rate: float,
        n_threads: int,
    ) -> float: ...
    def loss(self, X: _F32, Y: _F32, n_threads: int) -> float: ...
    def gradient(self, X: _F32, Y: _F32, n_threads: int) -> tuple[float, _F32]: ...
    def parameters(self) -> _F32: ...
    def first_moment(self) -> _F32: ...
    def second_moment(self) -> _F32: ...
    def load_state(
        self, parameters: _F32, first_moment: _F32, second_moment: _F32, step: int
    ) -> None: ...

class TrainerFloat64:
    def __init__(
        self,
        layer_sizes: list[int],
        activation: str,
        loss: str,
        huber_delta: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        parameters: _F64,
        isa: str,
    ) -> None: ...
    @property
    def step(self) -> int: ...
    def train_epoch(
        self,
        X: _F64,
        Y: _F64,
        order: _I64,
        batch_size: int,
        learning_rate: float,
        n_threads: int,
    ) -> float: ...
    def loss(self, X: _F64, Y: _F64, n_threads: int) -> float: ...
    def gradient(self, X: _F64, Y: _F64, n_threads: int) -> tuple[float, _F64]: ...
    def parameters(self) -> _F64: ...
    def first_moment(self) -> _F64: ...
    def second_moment(self) -> _F64: ...
    def load_state(
        self, parameters: _F64, first_moment: _F64, second_moment: _F64, step: int
    ) -> None: ...

class KDTreeFloat32:
    def __init__(self, points: _F32, leaf_size: int, isa: str, n_threads: int = 1) -> None: ...
    @property
    def n_points(self) -> int: ...
    @property
    def n_dims(self) -> int: ...
    @property
    def isa(self) -> str: ...
    def query(
        self, queries: _F32, k: int, distances: _F32, indices: _I64, n_threads: int
    ) -> None: ...
    def try_query(self, queries: Any, k: Any, out: Any, /) -> tuple[_F32, _I64] | None: ...

class KDTreeFloat64:
    def __init__(self, points: _F64, leaf_size: int, isa: str, n_threads: int = 1) -> None: ...
    @property
    def n_points(self) -> int: ...
    @property
    def n_dims(self) -> int: ...
    @property
    def isa(self) -> str: ...
    def query(
        self, queries: _F64, k: int, distances: _F64, indices: _I64, n_threads: int
    ) -> None: ...
    def try_query(self, queries: Any, k: Any, out: Any, /) -> tuple[_F64, _I64] | None: ...

class Function:
    """f, which kernels can call."""

    @property
    def n_inputs(self) -> int: ...
    @property
    def n_outputs(self) -> int: ...
    def values(self, X: _F64, out: _F64, n_threads: int) -> None:
        """Writes the images of the rows of `X` to `out`."""

def compiled_function(
    n_inputs: int,
    n_outputs: int,
    values: _RowCode,
    jacobian: _RowCode | None,
    diff_step: _F64 | None = None,
) -> Function:
    """f as machine code, which the function keeps in memory."""

def learned_function(network: dict[str, Any], isa: str) -> Function:
    """f as a network with its scalings."""

class Region:
    def __init__(self, lower: _F64, upper: _F64, scale: _F64, periods: _F64) -> None: ...

class Problem:
    def __init__(
        self, function: Function | None, region: Region, y_scale: _F64, resolution: _F64
    ) -> None: ...

class Anchors:
    def __init__(self, x: _F64, y: _F64, y_scale: _F64, isa: str) -> None: ...
    def nearest(
        self, targets: _F64, k: int, distances: _F64, indices: _I64, n_threads: int
    ) -> None: ...

class Pipeline:
    def __init__(
        self,
        problem: Problem,
        anchors: Anchors,
        twin: dict[str, Any] | None,
        options: _Options,
        isa: str,
    ) -> None: ...
    def solve(
        self, goal: _Goal, n_candidates: int, k: int, n_threads: int
    ) -> tuple[_F64, _F64, _I64, _I8]:
        """Makes the arrays x, residual, anchor and status."""

    def solve_into(
        self,
        goal: _Goal,
        n_candidates: int,
        x: _F64,
        residual: _F64,
        anchor: _I64,
        status: _I8,
        n_threads: int,
    ) -> None:
        """Fills arrays of k columns that the caller provides."""

    def propose(self, goal: _Goal, candidates: _Candidates, n_threads: int) -> None: ...
    def correct(self, goal: _Goal, candidates: _Candidates, n_threads: int) -> None: ...
    def evaluate(self, goal: _Goal, candidates: _Candidates, n_threads: int) -> None: ...
    def polish(self, goal: _Goal, candidates: _Candidates, n_threads: int) -> None: ...
    def verify(self, goal: _Goal, candidates: _Candidates, n_threads: int) -> None: ...
    def rank(
        self,
        goal: _Goal,
        candidates: _Candidates,
        x: _F64,
        residual: _F64,
        anchor: _I64,
        status: _I8,
    ) -> None: ...

class Search:
    def __init__(self, problem: Problem, anchors: Anchors, options: _Options) -> None: ...
    def polish(
        self,
        goal: _Goal,
        x: _F64,
        fx: _F64,
        residual: _F64,
        n_evaluations: _I64,
        end: _I8,
        n_threads: int,
    ) -> None:
        """Reads starts from `x`; writes to it and to all arrays after it."""

    def jacobians(self, x: _F64, out: _F64) -> None: ...
    def assess(
        self, goal: _Goal, x: _F64, x_error: _F64, isolated: NDArray[np.uint8], n_threads: int
    ) -> None: ...
    def solve_all(
        self,
        goal: _Goal,
        n_starts: int,
        x: _F64,
        residual: _F64,
        anchor: _I64,
        status: _I8,
        count: _I64,
        search: _I8,
        n_threads: int,
    ) -> None: ...
    def solve_path(
        self,
        goal: _Goal,
        start: _F64,
        n_starts: int,
        x: _F64,
        residual: _F64,
        status: _I8,
        jumped: NDArray[np.uint8],
    ) -> None: ...

@disjoint_base
class SolutionBuffer:
    """Memory for the solutions of one target, INVALID at first; attributes are views of it."""

    def __new__(cls, k: int, p: int, q: int) -> Self: ...
    def __len__(self) -> int: ...
    @property
    def target(self) -> _F64: ...
    @property
    def x(self) -> _F64: ...
    @property
    def residual(self) -> _F64: ...
    @property
    def anchor(self) -> _I64: ...
    @property
    def status(self) -> NDArray[np.int8]: ...
    @property
    def best(self) -> _F64: ...

class FrozenCall:
    """Base of fastinv.FrozenSolver: its call ``(y, *, near=None, out=None)`` solves for clean
    arrays of one target, and leaves all others to the method ``_solve(y, near, out)``."""

    def __init__(
        self,
        solver: Any,
        pipeline: Pipeline | None,
        n_candidates: int,
        n_candidates_near: int,
        k: int,
        tol: float,
        error_tol: list[float],
        solution_type: type[SolutionBuffer],
        probes: _F64,
    ) -> None: ...
    def __call__(self, y: Any, *, near: Any = None, out: Any = None) -> Any: ...
    @property
    def k(self) -> int: ...
    @property
    def _solver(self) -> Any: ...
    @property
    def _is_native(self) -> bool: ...
    @property
    def _releases_gil(self) -> bool: ...

def mixture_nll(
    raw: NDArray[Any],
    targets: NDArray[Any],
    n_components: int,
    n_dims: int,
    covariance_type: str,
    min_weight: float,
    min_scale: float,
    n_threads: int,
    isa: str,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """New losses ``(n,)`` and gradient ``(n, n_raw)`` in the dtype that `raw` and `targets` share.

    Dtypes, shapes and `n_threads` are checked here; arrays that are not C-contiguous are copied.
    """

def mixture_modes(
    weights: _F64, means: _F64, lower: _F64, n_threads: int, isa: str
) -> tuple[_F64, _F64, _I64]:
    """New modes ``(n, m, D)``, weights ``(n, m)`` and counts ``(n,)`` of Gaussian mixtures.

    `lower` is ``(n, K, D * D)``. What is beyond a row's count has no value.
    """

class MixtureTrainerFloat32:
    def __init__(
        self,
        layer_sizes: list[int],
        activation: str,
        n_components: int,
        n_dims: int,
        covariance_type: str,
        min_weight: float,
        min_scale: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        parameters: _F32,
        isa: str,
    ) -> None: ...
    @property
    def step(self) -> int: ...
    def train_epoch(
        self,
        X: _F32,
        Y: _F32,
        order: _I64,
        batch_size: int,
        learning_rate: float,
        n_threads: int,
    ) -> float: ...
    def loss(self, X: _F32, Y: _F32, n_threads: int) -> float: ...
    def gradient(self, X: _F32, Y: _F32, n_threads: int) -> tuple[float, _F32]: ...
    def parameters(self) -> _F32: ...
    def first_moment(self) -> _F32: ...
    def second_moment(self) -> _F32: ...
    def load_state(
        self, parameters: _F32, first_moment: _F32, second_moment: _F32, step: int
    ) -> None: ...

class MixtureTrainerFloat64:
    def __init__(
        self,
        layer_sizes: list[int],
        activation: str,
        n_components: int,
        n_dims: int,
        covariance_type: str,
        min_weight: float,
        min_scale: float,
        beta_1: float,
        beta_2: float,
        epsilon: float,
        parameters: _F64,
        isa: str,
    ) -> None: ...
    @property
    def step(self) -> int: ...
    def train_epoch(
        self,
        X: _F64,
        Y: _F64,
        order: _I64,
        batch_size: int,
        learning_rate: float,
        n_threads: int,
    ) -> float: ...
    def loss(self, X: _F64, Y: _F64, n_threads: int) -> float: ...
    def gradient(self, X: _F64, Y: _F64, n_threads: int) -> tuple[float, _F64]: ...
    def parameters(self) -> _F64: ...
    def first_moment(self) -> _F64: ...
    def second_moment(self) -> _F64: ...
    def load_state(
        self, parameters: _F64, first_moment: _F64, second_moment: _F64, step: int
    ) -> None: ...
