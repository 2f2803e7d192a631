"""One JSON file per task and net, with its provenance: a rerun of one replaces that one."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import provenance
from benchmarks.options import Options

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Results:
    """The measurements of one machine, in a folder."""

    folder: Path

    @classmethod
    def of(cls, options: Options) -> "Results":
        """benchmarks/results/ and "quick", "cpu" or "cuda":
        trials never replace measurements."""
        return cls(FOLDER / ("quick" if options.quick else options.device.type))

    def write(self, task: str, key: str, result: dict, device) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"task": task, "key": key, "provenance": provenance(device), "result": result}
        text = json.dumps(_rounded(record), indent=1, ensure_ascii=False)
        (self.folder / f"{task}-{key}.json").write_text(text + "\n", encoding="utf-8")

    def read(self, task: str) -> dict[str, dict]:
        """{key: record}, sorted; a record has "provenance" and "result"."""
        files = sorted(self.folder.glob(f"{task}-*.json"))
        records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return {record["key"]: record for record in records}


def _rounded(value):
    """Five significant digits: more would be noise, and kilobytes."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
