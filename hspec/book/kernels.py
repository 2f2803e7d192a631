"""Kernels that start with the libraries of every chapter loaded: each is a fork of one process that
has imported them once.

To import PyTorch, SciPy and Matplotlib takes five seconds of a core, for each of two dozen
chapters.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import matplotlib as mpl
from ipykernel.kernelapp import launch_new_instance
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

# Libraries alone: the package's own modules a kernel imports as their files are when it starts.
LOADED = ("torch", "scipy.stats", "matplotlib.figure", "seaborn", "ipykernel.kernelapp")
NAME = "hspec-forked"


@contextmanager
def forked_kernels() -> Iterator[None]:
    """Meanwhile, kernels that this process starts are forked; on Linux, elsewhere nothing changes.

    Other systems' own libraries do not all survive a fork.
    """
    if sys.platform != "linux":
        yield
        return
    factory = KernelProvisionerFactory.instance()
    factory.provisioners[NAME] = EntryPoint(NAME, f"{__name__}:Forked", factory.GROUP_NAME)
    before, factory.default_provisioner_name = factory.default_provisioner_name, NAME
    try:
        yield
    finally:
        factory.default_provisioner_name = before


class Forked(LocalProvisioner):
    """Starts a kernel as a fork, where Jupyter would start a program; the rest is Jupyter's."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(LOADED))
        arguments = cmd[cmd.index("-f") :]  # what follows the program's name
        self.cwd = kwargs.get("cwd") or str(Path.cwd())
        given = (arguments, kwargs["env"], self.cwd)
        self.process = _Program(context.Process(target=_kernel, args=given, daemon=True))
        self.pid = self.process.pid
        return self.connection_info


class _Program:
    """A process with the methods of one that subprocess has started, which Jupyter calls."""

    stdin = stdout = stderr = None

    def __init__(self, process):
        process.start()
        self.pid, self.kill, self.terminate = process.pid, process.kill, process.terminate
        self._process = process

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)


def _kernel(arguments: list[str], environment: Mapping[str, str], folder: str) -> None:
    """The whole life of a kernel, in the process that has just been forked."""
    os.setsid()  # Control-C is for who waits for the kernel
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # with which the kernel ends
    # Matplotlib has been imported before there was a kernel that shows its figures.
    inline = "module://matplotlib_inline.backend_inline"
    mpl.rcParams["backend"] = environment.get("MPLBACKEND", inline)
    launch_new_instance(argv=arguments)
