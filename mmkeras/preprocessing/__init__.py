"""The only code that turns bytes and strings into tensors: one picture path and one text path, equal everywhere."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .augment import RandomShift as RandomShift
    from .byte_pair import BytePairTokenizer as BytePairTokenizer
    from .image import ImagePreprocessor as ImagePreprocessor
    from .picture_views import PictureViews as PictureViews
    from .random_crop import RandomCrop as RandomCrop
    from .random_distortion import RandomDistortion as RandomDistortion
    from .sentencepiece_tokenizer import SentencePieceTokenizer as SentencePieceTokenizer
    from .strings import StringPreprocessor as StringPreprocessor
    from .text import TextPreprocessor as TextPreprocessor
    from .tokenizer import Tokenizer as Tokenizer
    from .wordpiece import WordPieceTokenizer as WordPieceTokenizer
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
