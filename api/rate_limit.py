"""Rates of requests by principal (PLT-096): a token bucket each, in this process.

A bucket holds a minute's worth and fills evenly, so that a client may burst but not stay above its rate. Buckets that
are full again are forgotten. With several processes each keeps its own count: the true limit is then between one and
that many times the rate, which bounds the load all the same.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Final

#: When so many buckets exist, the full ones are dropped.
_SWEEP_AT: Final = 10_000


class RateLimiter:
    """Token buckets by key. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float], sweep_at: int = _SWEEP_AT) -> None:
        self._monotonic = monotonic
        self._sweep_at = sweep_at
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float, int]] = {}  # key -> tokens, filled at, per minute

    def take(self, key: str, per_minute: int) -> int | None:
        """Take one request from the key's bucket; None when there was one, else the seconds until there is."""
        now = self._monotonic()
        with self._lock:
            tokens, filled_at, _ = self._buckets.get(key, (float(per_minute), now, per_minute))
            tokens = min(float(per_minute), tokens + (now - filled_at) * per_minute / 60)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, now, per_minute)
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now)
            return None if allowed else max(1, math.ceil((1 - tokens) * 60 / per_minute))

    def _sweep(self, now: float) -> None:
        """Forget the buckets that are full again; if that is not enough, the ones that filled longest ago."""
        kept = {
            key: bucket
            for key, bucket in self._buckets.items()
            if bucket[0] + (now - bucket[1]) * bucket[2] / 60 < bucket[2]
        }
        if len(kept) >= self._sweep_at:
            newest = sorted(kept, key=lambda key: kept[key][1])[-self._sweep_at // 2 :]
            kept = {key: kept[key] for key in newest}
        self._buckets = kept
