"""Keras layers; they know nothing of the other rooms."""

from typing import TYPE_CHECKING

from mmkeras._lazy import lazy_exports

if TYPE_CHECKING:
    from .activations import activation_named as activation_named
    from .attention_pooling import AttentionPooling as AttentionPooling
    from .category_head import CategoryHead as CategoryHead
    from .cell_tokens import CellTokens as CellTokens
    from .cross_modal_autoencoder import CrossModalAutoencoder as CrossModalAutoencoder
    from .cross_modal_discriminators import CrossModalDiscriminators as CrossModalDiscriminators
    from .discriminator import Discriminator as Discriminator
    from .end_token_pooling import EndTokenPooling as EndTokenPooling
    from .feature_queue import FeatureQueue as FeatureQueue
    from .fused.fused_batch_normalization import FusedBatchNormalization as FusedBatchNormalization
    from .fused.fused_dropout import FusedDropout as FusedDropout
    from .fused.fused_layer_normalization import FusedLayerNormalization as FusedLayerNormalization
    from .fused.head_dense import HeadDense as HeadDense
    from .gradient_reversal import GradientReversal as GradientReversal
    from .last_token_pooling import LastTokenPooling as LastTokenPooling
    from .masked_language_head import MaskedLanguageHead as MaskedLanguageHead
    from .masked_pooling import MaskedMaxPooling as MaskedMaxPooling
    from .masked_pooling import MaskedMeanPooling as MaskedMeanPooling
    from .modality_classifier import ModalityClassifier as ModalityClassifier
    from .momentum import momentum_copy as momentum_copy
    from .momentum import momentum_update as momentum_update
    from .multi_head_attention import MultiHeadAttention as MultiHeadAttention
    from .patch_embedding import PatchEmbedding as PatchEmbedding
    from .prepend_token import PrependToken as PrependToken
    from .projection_block import ProjectionBlock as ProjectionBlock
    from .replicas import gathered_from_replicas as gathered_from_replicas
    from .replicas import replica_count as replica_count
    from .soft_masking import SoftMasking as SoftMasking
    from .soft_masking import masked_image_tokens as masked_image_tokens
    from .soft_masking import normalized_attention as normalized_attention
    from .soft_masking import word_attention as word_attention
    from .token_and_position_embedding import TokenAndPositionEmbedding as TokenAndPositionEmbedding
    from .token_bag import TokenBag as TokenBag
    from .token_masking import TokenMasking as TokenMasking
    from .transformer_block import TransformerBlock as TransformerBlock
else:
    __getattr__, __dir__, __all__ = lazy_exports(__name__, __file__)
