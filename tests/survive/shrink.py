"The smallest part of a case that still fails: hypothesis leaves out one piece after another"
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st

QUIET = settings(max_examples=300, database=None, deadline=None, derandomize=True,
                 suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink))
MOSTLY = st.integers(0, 19).map(bool)  # kept; shrinks to: left out


def smallest(pieces, fails):
    "The pieces that are left; `fails` is called with some of them, in their order"
    def chosen(keep): return [piece for piece, is_kept in zip(pieces, keep) if is_kept]
    return chosen(find(st.tuples(*[MOSTLY] * len(pieces)), lambda keep: fails(chosen(keep)), settings=QUIET))
