"""What every operator is before any algebra: facts, a product that is checked, and ways out."""

from abc import ABC, abstractmethod

import numpy as np
import scipy  # its parts are loaded when they are first used
import torch
from torch import Tensor

from hspec.distributed import ALONE, Alone
from hspec.linalg.autocast import DEVICES, without_autocast

DTYPES = (torch.float32, torch.float64)


class OperatorBase(ABC):
    """A symmetric p-by-p matrix that is multiplied; `LinearOperator` adds the algebra."""

    ranks: Alone = ALONE  # the processes that share its products
    __array_ufunc__ = None  # so that NumPy's numbers leave `2 * A` to A

    def __init__(
        self,
        dimension: int,
        dtype: torch.dtype,
        device: torch.device | str,
        name: str,
        *,
        exact: bool = True,
        removed_basis: Tensor | None = None,
    ) -> None:
        if dimension < 1:
            raise ValueError(f"An operator needs at least one dimension; {name} has {dimension}.")
        if dtype not in DTYPES:
            raise ValueError(
                f"Operators are float32 or float64; {name} is {dtype}: convert it first."
            )
        self.shape = (dimension, dimension)
        self.dtype = dtype
        self.device = torch.empty(
            0, device=device
        ).device  # "cuda" → "cuda:0": devices compare equal
        self.name, self.exact, self.removed_basis = name, exact, removed_basis

    @abstractmethod
    def _matmat(self, X: Tensor) -> Tensor:
        """The product with a block of columns: (p, k) → (p, k), same dtype and device."""

    def diagnosis(self) -> str:
        """What the operator finds out about itself once it has turned out not to be symmetric, in
        sentences.

        Empty by default. It may take a few products: it is asked only when an error is about to be
        raised, and its answer is the end of the message.
        """
        return ""

    def __matmul__(self, X: Tensor) -> Tensor:
        self._check(X, "multiplied by")
        if X.device.type in DEVICES and torch.is_autocast_enabled(X.device.type):
            return without_autocast(type(self).__matmul__)(self, X)
        if X.ndim == 1:
            Y = self._matmat(X[:, None])
            self._check(Y, "returned")
            return Y[:, 0]
        if not X.shape[1]:
            return X.clone()
        Y = self._matmat(X)
        self._check(Y, "returned")
        return Y

    def with_product(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """(X, A X) for a block (p, k), for an algorithm that goes on with the X it gets back.

        It is X itself, but of an operator that continues another run (see `remembered`): that run's
        X, where the two are the same to rounding.
        """
        return X, self @ X

    def __rmatmul__(self, X: Tensor) -> Tensor:
        """v @ A, the same as A @ v, and X @ A for rows X (k, p)."""
        return (self @ X.T).T if isinstance(X, Tensor) and X.ndim == 2 else self @ X

    def _check(self, X: object, role: str) -> None:
        """Raise unless X is a tensor that fits; on the way of every product,
        so it looks at four facts only.
        """
        if not isinstance(X, Tensor):
            raise TypeError(
                f"{self.name} can be multiplied by a torch.Tensor only; got {type(X).__name__}"
                + (": torch.from_numpy makes one." if isinstance(X, np.ndarray) else ".")
            )
        if X.ndim not in (1, 2) or X.shape[0] != self.shape[0]:
            raise ValueError(
                f"{self.name} has shape {self.shape} and was {role} a tensor of shape "
                f"{tuple(X.shape)}: "
                f"a vector ({self.shape[0]},) or a block ({self.shape[0]}, k) is needed."
            )
        if X.dtype != self.dtype:
            raise ValueError(
                f"{self.name} is {self.dtype} and was {role} a tensor of {X.dtype}: convert one."
            )
        if X.device != self.device:
            raise ValueError(
                f"{self.name} is on {self.device} and was {role} a tensor on {X.device}: move one."
            )

    def __repr__(self) -> str:
        return self.name

    def __array__(self, *arguments: object, **options: object) -> np.ndarray:
        raise TypeError(
            f"{self.name} is known by its products: {self.name}.to_dense().numpy() gives its "
            "entries, where "
            "p is small, and to_scipy() the operator that SciPy takes."
        )

    def to_dense(self, block_size: int = 64) -> Tensor:
        """The matrix itself, (p, p), `block_size` columns a product. For small p.

        Raises:
            FloatingPointError: an entry is not finite.
        """
        eye = torch.eye(self.shape[0], dtype=self.dtype, device=self.device)
        matrix = torch.cat([self @ columns for columns in eye.split(block_size, dim=1)], dim=1)
        if not torch.isfinite(matrix).all():
            raise FloatingPointError(
                f"{self} has entries that are not finite: look for overflow or nan in the operator."
            )
        return matrix

    def to_scipy(self) -> "scipy.sparse.linalg.LinearOperator":
        """The same matrix for SciPy's solvers, which see NumPy arrays on the CPU.

        Example:
            >>> A = aslinearoperator(torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)))
            >>> print(scipy.sparse.linalg.eigsh(A.to_scipy(), 1)[0].round(6))
            [5.]
        """

        def product(X: np.ndarray) -> np.ndarray:
            X = torch.from_numpy(np.ascontiguousarray(X)).to(self.device, self.dtype)
            return (self @ X).cpu().numpy()

        dtype = np.dtype(str(self.dtype).removeprefix("torch."))
        return scipy.sparse.linalg.LinearOperator(
            self.shape,
            matvec=product,
            rmatvec=product,
            matmat=product,
            rmatmat=product,
            dtype=dtype,
        )
