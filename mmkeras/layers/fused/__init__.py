"""Keras' own layers with kernels of their own: the same numbers in less time, of dropout the same distribution.

Each says how much less was measured; what gains under a twentieth is not here. They are used wherever they apply: a
layer of Keras' own in this package is one that they would not speed up. `FusedDropout` is for
transformers, whose step has enough of it to be seen; elsewhere dropout is Keras'.
"""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .fused_batch_normalization import FusedBatchNormalization as FusedBatchNormalization
    from .fused_dropout import FusedDropout as FusedDropout
    from .fused_layer_normalization import FusedLayerNormalization as FusedLayerNormalization
    from .head_dense import HeadDense as HeadDense
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
