"""Calls an evaluation that is a Python function: `python -m services.experiments.called FOLDER MODULE:FUNCTION`.

The parameters come as JSON on standard input, the case in the environment. The function gets both, and returns the
metrics by name. What it prints goes to standard error, so that the metrics stay the only output.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import redirect_stdout


def main(folder: str, entry: str) -> None:
    """Call the function; modules are looked for in `folder` first, where the experiment lies."""
    sys.path.insert(0, folder)
    module, _, name = entry.partition(":")
    params = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):
        metrics = getattr(importlib.import_module(module), name)(params, os.environ.get("LIGAND_CASE", ""))
    json.dump(metrics, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
