"""Adam by TensorFlow's fused kernel."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.tensors import TensorLike


@keras.saving.register_keras_serializable("mmkeras")
class FusedAdam(keras.optimizers.Adam):
    """Keras' Adam, a variable's update one kernel in place of ten.

        m += (1 - beta_1) (g - m),    v += (1 - beta_2) (g^2 - v)
        w -= rate sqrt(1 - beta_2^t) / (1 - beta_1^t)  m / (sqrt(v) + epsilon)

    Keras composes the update of elementwise operations, each of which reads and writes as many numbers as the variable
    has: where layers are wide and batches small, that takes as long as forward and backward pass (docs/performance.md).
    Updates are Keras' own up to rounding, and so are the optimizer's variables, their order included. With
    `weight_decay` it is AdamW. With `amsgrad` Keras' composition is used.

    Args:
        **kwargs: see `keras.optimizers.Adam`.

    Example:
        >>> model.compile(FusedAdam(1e-3, beta_1=0.5))

    Reference:
        Kingma & Ba 2015 (arXiv 1412.6980), the formula before section 2.1; decoupled weight decay, Loshchilov & Hutter
        2019 (arXiv 1711.05101).
    """

    def update_step(self, gradient: TensorLike, variable: keras.Variable, learning_rate: TensorLike) -> None:
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        dtype, index = variable.dtype, self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(ops.cast(self.beta_1, dtype), step),
            beta2_power=ops.power(ops.cast(self.beta_2, dtype), step),
            lr=ops.cast(learning_rate, dtype),
            beta1=ops.cast(self.beta_1, dtype),
            beta2=ops.cast(self.beta_2, dtype),
            epsilon=ops.cast(self.epsilon, dtype),
            grad=tf.convert_to_tensor(ops.cast(gradient, dtype)),  # dense, also that of an embedding's few rows
        )
