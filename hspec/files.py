"""Files that are there whole or not at all, whatever kills the writer."""

import contextlib
import errno
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

SUFFIX = ".partial"  # of what is being written: .NAME.HOST.PID.RANDOM.partial
ABANDONED = 24 * 3600  # seconds after which a writer on another machine is certainly dead


def write_whole(path: str | os.PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Make or replace the file `path` by what `write` writes: readers see the old one or the new
    one, whole.

    It is written under a temporary name in the same folder, which is made where there is none,
    forced to disk and renamed. What a killed writer left behind is removed by the next one.

    Args:
        path: where the file belongs.
        write: called with a file open for binary writing.

    Raises:
        OSError: it cannot be written (a full disk, no permission, a file where a folder is needed),
            or a device or pipe is there, which a file must not replace: one sentence with the path
            and the reason. What was there before is kept.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_whole(folder / "numbers.txt", lambda file: file.write(b"1 2 3"))
        >>> (folder / "numbers.txt").read_bytes()
        b'1 2 3'
    """
    path = Path(path)
    temporary, file = _temporary(path), None
    try:
        _spare_devices(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        with temporary.open("wb") as opened:
            file = _Faithful(opened)
            write(file)
            opened.flush()
            os.fsync(opened.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else file and file.fault
        if cause is None:  # not the disk's: the writer's own error
            raise
        raise OSError(cause.errno, _reason(cause, path.parent), str(path)) from error
    finally:
        with contextlib.suppress(OSError):  # renamed, or never made
            temporary.unlink()


@contextlib.contextmanager
def temporary_folder(beside: str | os.PathLike) -> Iterator[Path]:
    """A folder beside the path of what is being made in it, from which that can be renamed; gone
    afterwards.

    What a killed writer left behind is removed by the next one.

    Raises:
        OSError: the folder of `beside` cannot be made or written to, or `beside` is a device or
            pipe, which nothing must be renamed to.
    """
    beside = Path(beside)
    _spare_devices(beside)
    beside.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(beside.parent)
    temporary = _temporary(beside)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: str | os.PathLike) -> None:
    """Remove from `folder` the temporary files and folders of writers that are dead."""
    for leftover in Path(folder).glob(f".*{SUFFIX}"):
        try:
            if not _is_abandoned(leftover):
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
        except OSError:  # finished or removed by another process this moment, or not ours to remove
            continue


def _spare_devices(path: Path) -> None:
    """Renaming a file to /dev/null, which root may do, would leave the machine without it."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EEXIST, f"{path} is a device or a pipe")


class _Faithful:
    """A file that remembers why it could not be written:
    torch.save reports a full disk in words of its own.
    """

    def __init__(self, file: BinaryIO):
        self._file, self.fault = file, None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.fault = error
            raise

    def __getattr__(self, name: str):
        return getattr(self._file, name)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_writer()}.{uuid.uuid4().hex[:8]}{SUFFIX}")


def _writer() -> str:
    host = "".join(c if c.isalnum() or c == "-" else "-" for c in socket.gethostname())
    return f"{host}.{os.getpid()}"


def _is_abandoned(leftover: Path) -> bool:
    *_, host, pid, _, _ = leftover.name.split(".")
    if os.name == "posix" and host == _writer().split(".")[0]:
        return not _is_alive(int(pid))
    return time.time() - leftover.stat().st_mtime > ABANDONED


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _reason(error: OSError, folder: Path) -> str:
    words = f"cannot be written, and what was there before is kept: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        words += f"; the disk of {folder} has {shutil.disk_usage(folder).free / 2**20:.1f} MiB left"
    return words
