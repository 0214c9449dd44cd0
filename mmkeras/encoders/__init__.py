"""Encoders: functions that build functional Keras models, from a batch of one modality to unit-norm embeddings."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .bag_of_tokens import bag_of_tokens_encoder as bag_of_tokens_encoder
    from .bert import bert_text_encoder as bert_text_encoder
    from .efficientnet_lite import efficientnet_lite_tower as efficientnet_lite_tower
    from .embedding_head import FeatureNorm as FeatureNorm
    from .encoder import Encoder as Encoder
    from .feature_scaling import FeatureScaling as FeatureScaling
    from .features_and_ids import FeaturesAndIds as FeaturesAndIds
    from .frozen_features import FrozenFeatures as FrozenFeatures
    from .frozen_features import picture_loader as picture_loader
    from .frozen_texts import FrozenTexts as FrozenTexts
    from .fusion import FusionEncoder as FusionEncoder
    from .hub import HubLayer as HubLayer
    from .image import backbone_image_encoder as backbone_image_encoder
    from .image import build_image_encoder as build_image_encoder
    from .image import conv_image_encoder as conv_image_encoder
    from .image import feature_mlp_encoder as feature_mlp_encoder
    from .image import hub_image_encoder as hub_image_encoder
    from .mobilenet_v2 import mobilenet_v2_tower as mobilenet_v2_tower
    from .position_embedding import resize_position_embedding as resize_position_embedding
    from .pretrained import pretrained_image_encoder as pretrained_image_encoder
    from .pretrained import pretrained_text_encoder as pretrained_text_encoder
    from .pretrained_weights import load_bert as load_bert
    from .pretrained_weights import load_deit as load_deit
    from .published_projection import PublishedProjection as PublishedProjection
    from .text import build_text_encoder as build_text_encoder
    from .text import feature_text_encoder as feature_text_encoder
    from .text import gru_text_encoder as gru_text_encoder
    from .text import hub_text_encoder as hub_text_encoder
    from .text import text_cnn_encoder as text_cnn_encoder
    from .transformer_text import transformer_text_encoder as transformer_text_encoder
    from .vit import copy_vit_weights as copy_vit_weights
    from .vit import vit_image_encoder as vit_image_encoder
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
