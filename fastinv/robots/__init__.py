"""Serial robot arms as forward functions, from Denavit-Hartenberg parameters or URDF files.

Examples
--------
>>> import fastinv as fi
>>> arm = fi.robots.ur5()
>>> pose = arm.forward("pose")
>>> X, Ts = arm.sample(5, random_state=0)
>>> bool(abs(pose(X) - arm.targets(Ts)).max() < 1e-14)
True
"""

from __future__ import annotations

from fastinv.robots._codegen import RowDescription
from fastinv.robots._forward import ChainForward
from fastinv.robots.chain import SerialChain
from fastinv.robots.models import panda, planar, ur5
from fastinv.robots.ur5_analytic import ur5_inverse

__all__ = ["ChainForward", "RowDescription", "SerialChain", "panda", "planar", "ur5", "ur5_inverse"]
