"""One JSON file per task and net, with its provenance: a rerun of one replaces that one."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import provenance
from benchmarks.options import Measure, Options
from hspec.files import write_whole

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
        """The whole result; its parts are forgotten."""
        record = {"task": task, "key": key, "provenance": provenance(device), "result": result}
        _write(self.folder / f"{task}-{key}.json", _rounded(record))
        shutil.rmtree(self._parts(task, key), ignore_errors=True)

    def part(self, device, task: str, key: str, name: str, measure: Measure) -> dict:
        """What `measure` gives, or gave in a run that was cut off: of the same revision, on the
        same machine.
        """
        file = self._parts(task, key) / f"{re.sub('[^a-z0-9]+', '_', name.lower())}.json"
        here = provenance(device)
        if file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
            if all(record[fact] == here[fact] for fact in ("revision", "machine", "versions")):
                return record["result"]
        result = measure()
        _write(file, here | {"result": result})
        return result

    def _parts(self, task: str, key: str) -> Path:
        return self.folder / "parts" / f"{task}-{key}"

    def read(self, task: str) -> dict[str, dict]:
        """{key: record}, sorted; a record has "provenance" and "result"."""
        files = sorted(self.folder.glob(f"{task}-*.json"))
        records = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return {record["key"]: record for record in records}


def _write(file: Path, record: dict) -> None:
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    write_whole(file, lambda stream: stream.write(text.encode()))


def _rounded(value):
    """Five significant digits: more would be noise, and kilobytes."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


def several(number: int, unit: str) -> str:
    """ "1 probe", "5 probes"."""
    return f"{number} {unit}" + ("" if number == 1 else "s")
