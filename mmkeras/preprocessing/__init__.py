"""The only code that turns bytes and strings into tensors: one picture path and one text path, equal everywhere."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "ImagePreprocessor": "image",
        "PictureViews": "picture_views",
        "RandomCrop": "random_crop",
        "RandomDistortion": "random_distortion",
        "RandomShift": "augment",
        "StringPreprocessor": "strings",
        "TextPreprocessor": "text",
    },
)
