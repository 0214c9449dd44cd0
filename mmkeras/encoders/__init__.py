"""Encoders: functions that build functional Keras models, from a batch of one modality to unit-norm embeddings."""

from mmkeras._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Encoder": "encoder",
        "FeatureNorm": "embedding_head",
        "FrozenFeatures": "frozen_features",
        "FusionEncoder": "fusion",
        "HubLayer": "hub",
        "backbone_image_encoder": "image",
        "bert_text_encoder": "bert",
        "build_image_encoder": "image",
        "build_text_encoder": "text",
        "conv_image_encoder": "image",
        "copy_vit_weights": "vit",
        "feature_mlp_encoder": "image",
        "feature_text_encoder": "text",
        "gru_text_encoder": "text",
        "hub_image_encoder": "image",
        "hub_text_encoder": "text",
        "load_bert": "pretrained_weights",
        "load_deit": "pretrained_weights",
        "picture_loader": "frozen_features",
        "resize_position_embedding": "position_embedding",
        "text_cnn_encoder": "text",
        "transformer_text_encoder": "text",
        "vit_image_encoder": "vit",
    },
)
