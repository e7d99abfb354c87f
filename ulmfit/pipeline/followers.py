"""`python -m ulmfit` in several processes: the first one decides, the others train along.

Reading, choosing, the linear classifiers, the ensemble and the evaluation are the first one's. It
announces each stage, and all processes train it together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ulmfit import stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.base.joining import joined
from ulmfit.base.processes import current
from ulmfit.training.options import StageResult
from ulmfit.training.together import check_same

STAGES = {"pretrain": stage1_pretrain.main, "lm": stage2_lm.main, "clf": stage3_clf.main}


def stage_in_all(name: str, given: dict[str, Any]) -> StageResult:
    """Train a stage in all processes, by its verb and the arguments of its command."""
    current().say([name, given])
    return STAGES[name](**given)


@contextmanager
def leading(flags: dict[str, Any]) -> Iterator[bool]:
    """Connect the launched processes for the block; whether this is the first one.

    The others have trained all stages that the first one announces, when the block begins.

    Raises:
        UserError: a process has other `flags`, or as `joined`.
    """
    with joined() as group:
        check_same({"flags": flags})
        if not group.first:
            while (said := group.heard()) is not None:
                name, given = said
                STAGES[name](**given)
            yield False
            return
        try:
            yield True
        finally:
            group.say(None)
