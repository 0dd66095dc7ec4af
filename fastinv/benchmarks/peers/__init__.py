"""The libraries that we measure ourselves against."""

from fastinv.benchmarks.peers.peers import PEERS, PeerUnavailable

__all__ = ["PEERS", "PeerUnavailable"]
