"""Which family a folder is of."""

from __future__ import annotations

from mmkeras.encoders.checkpoints.bert import BERT
from mmkeras.encoders.checkpoints.checkpoint import NUMBERED, Checkpoint
from mmkeras.encoders.checkpoints.clip import CLIP
from mmkeras.encoders.checkpoints.dinov2 import DINOv2
from mmkeras.encoders.checkpoints.inverted_residual import InvertedResidual
from mmkeras.encoders.checkpoints.model import PublishedModel
from mmkeras.encoders.checkpoints.siglip import SigLIP
from mmkeras.encoders.checkpoints.vit import ViT
from mmkeras.errors import MmkerasError

# By the model_type of config.json.
FAMILIES: dict[str, type[PublishedModel]] = {
    "bert": BERT,
    "clip": CLIP,
    "dinov2": DINOv2,
    "dinov2_with_registers": DINOv2,
    "siglip": SigLIP,
    "vit": ViT,
}
# What is known and not read, and what may be taken in its place.
NOT_READ = {
    "distilbert": "DistilBERT is built otherwise; a MiniLM of model_type 'bert' is as small",
    "roberta": "RoBERTa counts its positions and pads otherwise than BERT; take a model of model_type 'bert'",
    "siglip2": "that is SigLIP 2 NaFlex, for pictures of any size; its models of one size are of model_type 'siglip'",
    "xlm-roberta": "RoBERTa counts its positions and pads otherwise than BERT; take a model of model_type 'bert'",
}


def published_model(checkpoint: Checkpoint) -> PublishedModel:
    """Return a published model as its family reads it.

    Args:
        checkpoint: `Checkpoint` of its folder.

    Returns:
        `PublishedModel`.

    Raises:
        MmkerasError: a family that is not read, or settings that it cannot be built with here.

    Example:
        >>> model = published_model(Checkpoint("siglip-base-patch16-224"))
        >>> model.family, model.image_tower().output["embedding"].shape
        ('siglip', (None, 768))
    """
    kind = checkpoint.config.get("model_type")
    if kind is None and (NUMBERED in checkpoint.weights or _is_of_timm(checkpoint.config)):
        return InvertedResidual(checkpoint)
    if kind not in FAMILIES:
        reason = NOT_READ.get(str(kind))
        raise MmkerasError(
            f"Expected a model_type of {', '.join(FAMILIES)} in {str(checkpoint.folder / 'config.json')!r}. "
            f"Received: model_type={kind!r}" + (f": {reason}" if reason else "")
        )
    return FAMILIES[kind](checkpoint)


def _is_of_timm(config):
    """Whether timm converted it of TensorFlow's EfficientNet-Lite; timm's own, of the same names, pads otherwise."""
    return str(config.get("architecture", "")).startswith("tf_efficientnet_lite")
