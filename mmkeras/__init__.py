"""mmkeras: image-text representation learning on Keras 3 and TensorFlow, from pixels to a served query."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import data as data
    from . import encoders as encoders
    from . import evaluation as evaluation
    from . import export as export
    from . import layers as layers
    from . import losses as losses
    from . import metrics as metrics
    from . import models as models
    from . import on_device as on_device
    from . import parity as parity
    from . import preprocessing as preprocessing
    from . import search as search
    from . import serving as serving
    from . import training as training
    from .training.loading import load_model as load_model
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
