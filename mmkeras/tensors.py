"""What stands for tensors in annotations: of arguments, of results, and of shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

# What has a shape. The operation is there because `tf.constant` is declared to return one, which it never does.
Array: TypeAlias = tf.Tensor | tf.Operation | keras.KerasTensor | NDArray[Any]

# What Keras and TensorFlow make a tensor of: numbers and lists of them too.
TensorLike: TypeAlias = Array | ArrayLike

Shape: TypeAlias = tuple[Any, ...]  # sizes, and None where one is open

if TYPE_CHECKING:

    class Tensor(tf.Tensor):
        """A `tf.Tensor` with the operators that TensorFlow adds to it at import, where no type checker sees them."""

        def numpy(self) -> NDArray[Any]:
            raise NotImplementedError

        def __getitem__(self, place: Any) -> Tensor:
            raise NotImplementedError

        def _of_one(self) -> Tensor:
            raise NotImplementedError

        def _of_two(self, other: TensorLike) -> Tensor:
            raise NotImplementedError

        __neg__ = __abs__ = __invert__ = _of_one
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = _of_two
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _of_two
        __lt__ = __le__ = __gt__ = __ge__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _of_two

else:
    Tensor = tf.Tensor
