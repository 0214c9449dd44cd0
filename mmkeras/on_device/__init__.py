"""The encoders and the search where no TensorFlow is: `pip install 'mmkeras-client[on-device]'`."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .device_tokenizer import DeviceTokenizer as DeviceTokenizer
    from .image_encoder import ImageEncoder as ImageEncoder
    from .model_file import ModelFile as ModelFile
    from .search import DeviceSearch as DeviceSearch
    from .text_encoder import TextEncoder as TextEncoder
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
