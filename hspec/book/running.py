"""Run one notebook with papermill in this very environment, or say in one line why it failed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines

from hspec.book.errors import BookError
from hspec.book.parameters import check_parameters, read_parameters
from hspec.book.repository import Repository
from hspec.files import temporary_folder
from hspec.keys import digest

# What nbformat raises for files that are not UTF-8, not JSON, no object, or lack what a notebook
# has.
NO_NOTEBOOK = (
    *(ValueError, TypeError, AttributeError, KeyError, RecursionError),
    nbformat.reader.NotJSONError,
    nbformat.ValidationError,
)


def read_notebook(path: Path) -> NotebookNode:
    """The notebook at `path`; BookError if it is missing or no notebook."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        return notebook
    except FileNotFoundError as error:
        raise BookError(f"There is no notebook {path}.") from error
    except NO_NOTEBOOK as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BookError(f"{path} is not a notebook: {reason}") from error


def run_notebook(
    repository: Repository,
    source: Path,
    parameters: Mapping[str, Any],
    output: Path,
    *,
    progress: bool = False,
) -> None:
    """Run the notebook `source` with `parameters`; the executed copy appears at `output` by an
    atomic rename.

    The kernel is this environment's own and starts in the repository's root. A notebook that fails
    leaves `output` as it was; its executed part is kept under _build/failed/.
    Raises BookError for unknown or ill-typed parameters or a place that cannot be written (before
    anything runs) and for a failing cell.
    """
    _refuse_place(source, output)
    parameters = check_parameters(read_parameters(read_notebook(source)), parameters)
    with _folder_beside(output) as folder:
        executed = folder / source.name
        try:
            _papermill(source, executed, parameters, repository.root, progress)
        except (papermill.PapermillExecutionError, DeadKernelError) as error:
            kept = _keep(executed, repository.build / "failed" / source.name)
            where = kept.relative_to(repository.root)
            raise BookError(
                f"{source.name} failed in {_first_words(error)}\n  The notebook as far as it ran: "
                f"{where}"
            ) from error
        executed.replace(output)


def default_output(repository: Repository, source: Path, parameters: Mapping[str, Any]) -> Path:
    """runs/NAME-HASH.ipynb in the clone, ignored by git; other parameters give another name."""
    short = digest(dict(parameters))[:8]
    return repository.root / "runs" / f"{source.stem}-{short}.ipynb"


def _refuse_place(source, output):
    """A notebook beside which a folder of its name, without the ending, takes figures and numbers;
    never the one that is run.
    """
    if output.is_dir():
        raise BookError(
            f"{output} is a folder. Name the notebook to write: -o {output / 'out.ipynb'}"
        )
    if output.suffix != ".ipynb":
        raise BookError(
            f"{output} is no notebook's name. Name the notebook to write: -o {output}.ipynb"
        )
    if output.exists() and source.exists() and output.samefile(source):
        raise BookError(f"{output} is the notebook to be run. Choose another place by -o.")
    results = output.with_suffix("")
    if results.exists() and not results.is_dir():
        raise BookError(
            f"{results} is a file, where the folder of figures and numbers belongs. Choose another "
            "place by -o."
        )


@contextmanager
def _folder_beside(output):
    """A temporary folder from which the executed notebook can be renamed to `output`."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(output))
        except OSError as error:
            raise BookError(
                f"Cannot write to {output.parent}: {error.strerror}. Choose another place by -o."
            ) from error
        yield folder


def _papermill(source, output, parameters, root, progress):
    """papermill with the kernel `python3` of this environment,
    whatever other kernels the user has.
    """
    own, others = str(Path(sys.prefix) / "share" / "jupyter"), os.environ.get("JUPYTER_PATH", "")
    if not others.startswith(own):
        os.environ["JUPYTER_PATH"] = own + os.pathsep + others
    papermill.execute_notebook(
        source,
        output,
        parameters,
        kernel_name="python3",
        cwd=str(root),
        progress_bar=progress,
        engine_name=SavedOnce.NAME,
        extra_arguments=["--IPKernelApp.log_level=50"],  # no warning about TCP for every run
    )


class SavedOnce(NBClientEngine):
    """Papermill's own engine, which saves the notebook before and after each cell, saving it when
    it ends, however it does: of a chapter whose figures are 16 MB the rest took 20 seconds.
    """

    NAME = "hspec-saved-once"

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any
    ) -> None:
        place, nb_man.output_path = nb_man.output_path, None
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.output_path = place
            nb_man.save()


papermill_engines.register(SavedOnce.NAME, SavedOnce)


def _keep(executed, kept):
    kept.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(executed, kept))


def _first_words(error):
    """The failing cell and its error, without the traceback."""
    if isinstance(error, papermill.PapermillExecutionError):
        lines = str(error.evalue).strip().splitlines() or [""]
        return f"cell [{error.exec_count}]: {error.ename}: " + "\n  ".join(lines[:12])
    return f"mid-run: {str(error).strip().splitlines()[0]}"
