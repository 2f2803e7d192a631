"""The scripts of the page *Beyond one machine*, word for word, on two processes and on one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "book" / "beyond_one_machine.md"
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
MEETING = """
import functools, runpy, sys
import torch.distributed as dist
script, folder, rank, size = sys.argv[1:]
dist.init_process_group = functools.partial(  # by a file, where torchrun names a port
    dist.init_process_group,
    init_method=f"file://{folder}/meeting",
    rank=int(rank),
    world_size=int(size),
)
runpy.run_path(script, run_name="__main__")
"""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("script", SCRIPTS, ids=("data", "weights"))
def test_two_processes_print_what_one_does(script, tmp_path):
    ranks = {}
    for size in (1, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "script.py").write_text(script)
        words = [sys.executable, "-c", MEETING, "script.py", str(folder)]
        ranks[size] = [
            subprocess.Popen(
                [*words, str(rank), str(size)],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(size)
        ]
    said = {n: [rank.communicate(timeout=300)[0] for rank in of] for n, of in ranks.items()}
    assert all(rank.returncode == 0 for of in ranks.values() for rank in of)
    assert said[2][1] == ""
    alone, both = (numbers(said[n][0]) for n in (1, 2))
    assert len(alone) >= 2 and both == pytest.approx(alone, rel=1e-4)


def numbers(text):
    """Those with a decimal point: what is measured, and no shape."""
    return [float(word) for word in re.findall(r"-?\d+\.\d*(?:e-?\d+)?", text)]
