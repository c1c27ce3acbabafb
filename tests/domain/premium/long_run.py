"""Many random histories, priced both ways: `python -m tests.domain.premium.long_run 100000 [first seed]`.

Prints how many were compared, how many charges they had, and every seed on which the two ways differ; exits with 1 if
there is one.
"""

import random
import sys
import time

from tests.domain.premium.random_histories import random_case
from tests.domain.premium.test_oracle import both_ways


def main(count: int, first_seed: int = 0) -> int:
    """Compare `count` histories; the number of those that differ."""
    began = time.perf_counter()
    compared = blocked = differing = 0
    for seed in range(first_seed, first_seed + count):
        for domain, oracle in both_ways(random_case(random.Random(seed))):
            blocked += domain == "blocked"
            compared += len(domain) if isinstance(domain, list) else 0
            if domain != oracle:
                differing += 1
                print(f"seed {seed} differs", flush=True)
        if (seed - first_seed + 1) % 10_000 == 0:
            print(f"{seed - first_seed + 1} histories, {time.perf_counter() - began:.0f} s", flush=True)
    seconds = time.perf_counter() - began
    print(f"{count} histories, {compared} charges, {blocked} stopped, {differing} differing, {seconds:.0f} s")
    return differing


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0) else 0)
