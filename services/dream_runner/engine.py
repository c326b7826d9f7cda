"""One experiment of a cycle, in a process of its own: `python -m services.dream_runner.engine`.

What to do comes as JSON on standard input; on standard output it says, a line of JSON each, how far it is, and at the
end `{"done": …}` or `{"failed": {reason, detail}}`. All that was measured is kept in the study as soon as it is known,
so a process that follows one which was killed goes on where that was.
"""

from __future__ import annotations

import os
import sys
import time

import orjson

from services.dream_runner import records
from services.dream_runner.task import EngineError, Task, tell
from signals.errors import LigandError


def main() -> None:
    """Do what standard input says."""
    os.umask(0o027)
    began = time.monotonic()
    try:
        task = Task.of(orjson.loads(sys.stdin.buffer.read()))
        try:
            from services.dream_runner.conducting import conduct  # noqa: PLC0415 - optuna and numpy, here alone
        except ImportError as error:
            hint = "Install it into Ligand's environment: pip install optuna cmaes"
            raise EngineError("engine_missing", f"The optimiser cannot be loaded: {error}. {hint}") from error
        record = conduct(task, began)
        records.write(records.record_of(task.folder, task.experiment.name), record)
        tell(done=task.experiment.name)
    except EngineError as error:
        tell(failed={"reason": error.reason, "detail": str(error)})
    except LigandError as error:
        tell(failed={"reason": "experiment_failed", "detail": error.message})


if __name__ == "__main__":
    main()
