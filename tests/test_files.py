"""A file is there whole or not at all, and says why where it cannot be."""

import doctest
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from hspec import files
from hspec.files import remove_leftovers, temporary_folder, write_whole

ROOT = Path(__file__).parents[1]


def test_the_examples_run():
    assert doctest.testmod(files).failed == 0


def test_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "x.pt"
    for value in (1.0, 2.0):
        write_whole(path, lambda file, value=value: torch.save(torch.tensor(value), file))
        assert torch.load(path) == value
    assert [p.name for p in path.parent.iterdir()] == ["x.pt"]


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    write_whole(path, lambda file: file.write(b"old"))

    def fail(file):
        file.write(b"half of the n")
        raise RuntimeError("of the writer's own")

    with pytest.raises(RuntimeError, match="of the writer's own"):
        write_whole(path, fail)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="pipe is a device or a pipe"):
        write_whole(pipe, lambda file: file.write(b"new"))
    with pytest.raises(OSError, match="pipe is a device or a pipe"), temporary_folder(pipe):
        pass
    assert pipe.is_fifo() and list(tmp_path.iterdir()) == [pipe]


SMALL_FILES = """
import resource, signal, sys
import torch
from hspec.files import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_whole(sys.argv[1], lambda file: torch.save(torch.zeros(100_000), file))
except OSError as error:
    print(error)
"""


def test_what_torch_makes_of_a_full_disk_becomes_a_sentence_again(tmp_path):
    """No file may grow beyond 1,000 bytes, in a process of its own:
    the limit would be that of the report, too.
    """
    command = [sys.executable, "-c", SMALL_FILES, str(tmp_path / "x.pt")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(
        r"cannot be written, and what was there before is kept: File too large: .*x\.pt",
        done.stdout,
    )
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_with_what_it_has_left(tmp_path):
    def full(file):
        raise OSError(28, "No space left on device")

    with pytest.raises(
        OSError, match=r"No space left on device; the disk of .* has .* MiB left: .*/x'"
    ):
        write_whole(tmp_path / "x", full)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(OSError, match="cannot be written"):
        write_whole(tmp_path / "x" / "y", lambda file: None)


def test_leftovers_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = "".join(c if c.isalnum() or c == "-" else "-" for c in socket.gethostname())
    names = {
        "dead": f".x.pt.{host}.{gone.pid}.01234567.partial",
        "alive": f".x.pt.{host}.{os.getpid()}.01234567.partial",
        "elsewhere": ".x.pt.other.17.01234567.partial",
        "long ago": ".x.pt.other.18.01234567.partial",
    }
    for name in names.values():
        (tmp_path / name).touch()
    (tmp_path / f".x.{host}.{gone.pid}.76543210.partial").mkdir()
    (tmp_path / f".x.{host}.{gone.pid}.76543210.partial" / "half").touch()
    (tmp_path / "y.partial").touch()  # a user's
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / names["long ago"], (two_days_ago, two_days_ago))
    remove_leftovers(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names["alive"], names["elsewhere"], "y.partial"}


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path):
    code = (
        "import os, sys\nfrom hspec.files import write_whole\n"
        "write_whole(sys.argv[1], lambda file: (file.write(b'half'), os.kill(os.getpid(), 9)))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")])
    assert len(list(tmp_path.glob(".*.partial"))) == 1 and not (tmp_path / "x").exists()
    write_whole(tmp_path / "z", lambda file: file.write(b"whole"))
    assert [path.name for path in tmp_path.iterdir()] == ["z"]


def test_a_temporary_folder_is_gone_afterwards_whatever_happens(tmp_path):
    with pytest.raises(KeyError), temporary_folder(tmp_path / "new" / "page.html") as folder:
        (folder / "half").touch()
        assert folder.parent == tmp_path / "new"
        raise KeyError
    assert not list((tmp_path / "new").iterdir())


def test_from_a_temporary_folder_what_was_made_can_be_renamed(tmp_path):
    with temporary_folder(tmp_path / "page.html") as folder:
        (folder / "made").write_text("whole")
        (folder / "made").replace(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
