"""`CMGAN`: cross-modal autoencoders against four discriminators, on pairs and categories."""

import keras

from mmkeras.encoders.backbone_split import vectors_of
from mmkeras.errors import MmkerasError
from mmkeras.layers.cross_modal_autoencoder import CrossModalAutoencoder
from mmkeras.layers.cross_modal_discriminators import CrossModalDiscriminators
from mmkeras.layers.linear import linear
from mmkeras.losses.category import CategoryCrossentropy
from mmkeras.losses.discriminator import DiscriminatorCrossentropy
from mmkeras.models.cross_modal_game import MODALITIES, CrossModalGame
from mmkeras.models.image_text_model import ImageTextModel

MISMATCHES = ("paper", "released_code")


@keras.saving.register_keras_serializable("mmkeras")
class CMGAN(CrossModalGame, ImageTextModel):
    """Two autoencoders with a common representation, trained by category and against four discriminators.

    Features h of a picture and a text go through the pathways of `CrossModalAutoencoder`, to a representation s and
    back to a reconstruction r; `image_encoder` and `text_encoder` end in `representation`, s, and `embedding`, s / |s|.
    For a pair (h_i, h_t) of category c, a pair (h_i', h_t') of another category, and f = `fooling_crossentropy`:

        D_i    against  r_i beside h_i                                     the same for texts
        D_Ci   against  (s_t, h_i) and (s_i', h_i) beside (s_i, h_i)       the same for texts
        L_Gi = f(D_Ct(s_i, h_t)) + f(D_i(r_i)) + crossentropy(C_i(s_i), c)
        L_Gt = f(D_Ci(s_t, h_i)) + f(D_t(r_t)) + crossentropy(C_t(s_t), c)

    A step is one update of each discriminator, then `generator_steps` times one of the pictures' pathway and one of the
    texts', all six by optimizers of their own; both pathways' optimizers move the layer that they share. No distance
    between reconstruction and feature is ever taken.

    The game never moves the features. Where the encoders given have weights, a stage that trains these encoders and
    nothing else teaches them the categories beforehand, by category heads of their own:

        [[stages]]                                     [[stages]]
        name = "features"                              name = "game"
        trains = ["image_encoder", "text_encoder"]     trains = ["autoencoder", "discriminators"]

    Args:
        image_encoder: the feature network of pictures, see `ImageTextModel`; its `embedding` is h_i, of any length.
        text_encoder: the feature network of texts, likewise.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        label_names: names of the C categories, two or more.
        multi_label: must be false: an item has one category.
        representation_dim: length of s and width of the pathways.
        discriminator_hidden: units of the inter-modality discriminators.
        dropout: rate after each encoding layer of the pathways in training, in [0, 1); the authors' code has none.
        generator_steps: updates of both pathways a batch, 1 or more.
        mismatch: `"paper"` shows D_Ci (s_i', h_i), as the paper's formula does; `"released_code"` (s_i', h_i'), as the
            authors' code, where a pair that does belong together is called a fake.
        share_weights: whether the last encoding layer is one for both modalities.
        share_category_head: whether the category head is one for both modalities; the authors' code has two, and then
            nothing but the discriminators asks a picture and a text of one category to lie in one place.
        semantic_constraint: whether the pathways are trained by category.
        use_intra_discriminator: whether D_i and D_t, and with them the decoders, take part.
        use_inter_discriminator: whether D_Ci and D_Ct take part.
        adversarial: false leaves the semantic constraint alone, without any discriminator or decoder.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`); for training also `label` (B,), and of a pair of another
            category in each row `other_image` and `other_token_ids` (or `other_text`), as of `mismatched_batches`.

    Raises:
        MmkerasError: too few categories, several an item, nothing left to train by, a value out of its range.

    Example:
        >>> model = CMGAN.from_preset("cm_gan_wikipedia", label_names=train.label_names)
        >>> model.compile()
        >>> model.fit(mismatched_batches(train, 64, seed=0), steps_per_epoch=34, epochs=100)
        >>> model.represent_image(test.images).shape
        (462, 1024)

    Reference:
        Peng, Qi & Yuan 2019 (ACM TOMM 15(1); arXiv 1710.05106); losses, sizes, order and optimizers as in the authors'
        code. That code called `share` on the two last encoding layers and then flattened each network by itself, which
        probably untied them; here they are tied. `mismatch` is the other place where paper and code differ.
    """

    supervision = "pairs_and_categories"

    def __init__(
        self,
        image_encoder,
        text_encoder,
        image_preprocessor=None,
        text_preprocessor=None,
        label_names=(),
        multi_label=False,
        representation_dim=1024,
        discriminator_hidden=512,
        dropout=0.0,
        generator_steps=5,
        mismatch="paper",
        share_weights=True,
        share_category_head=False,
        semantic_constraint=True,
        use_intra_discriminator=True,
        use_inter_discriminator=True,
        adversarial=True,
        **kwargs,
    ):
        if len(label_names) < 2 or multi_label:
            raise MmkerasError(
                "Expected the names of two categories or more, of which an item has one: targets = category. "
                f"Received: label_names={label_names!r}, multi_label={multi_label}"
            )
        for name, value in (("representation_dim", representation_dim), ("generator_steps", generator_steps)):
            if value < 1:
                raise MmkerasError(f"Expected {name} of 1 or more. Received: {name}={value}")
        if not 0 <= dropout < 1:
            raise MmkerasError(f"Expected dropout in [0, 1). Received: dropout={dropout}")
        if mismatch not in MISMATCHES:
            raise MmkerasError(f"Expected mismatch to be one of {', '.join(MISMATCHES)}. Received: {mismatch!r}")
        if not semantic_constraint and not (adversarial and (use_intra_discriminator or use_inter_discriminator)):
            raise MmkerasError("Expected semantic_constraint or a discriminator to train by. Received: neither")
        widths = {
            f"{modality}_features": network.output["embedding"].shape[-1]
            for modality, network in (("image", image_encoder), ("text", text_encoder))
        }
        dtype = kwargs.get("dtype")
        autoencoder = CrossModalAutoencoder(
            **widths,
            classes=len(label_names),
            units=representation_dim,
            share_weights=share_weights,
            share_category_head=share_category_head,
            dropout=dropout,
            name="autoencoder",
            dtype=dtype,
        )
        super().__init__(
            _pathway(image_encoder, autoencoder, "image"),
            _pathway(text_encoder, autoencoder, "text"),
            image_preprocessor,
            text_preprocessor,
            **kwargs,
        )
        self.image_network = image_encoder
        self.text_network = text_encoder
        self.autoencoder = autoencoder
        self.discriminators = CrossModalDiscriminators(
            **widths,
            representation_dim=representation_dim,
            hidden=discriminator_hidden,
            name="discriminators",
            dtype=dtype,
        )
        self.feature_heads = {
            modality: linear(len(label_names), width, dtype="float32", name=f"{modality}_feature_head")
            for modality, width in zip(MODALITIES, widths.values(), strict=True)
            if self._network(modality).weights  # the game alone has nothing to do with these heads
        }
        self.label_names = tuple(label_names)
        self.representation_dim = representation_dim
        self.discriminator_hidden = discriminator_hidden
        self.dropout = dropout
        self.generator_steps = generator_steps
        self.mismatch = mismatch
        self.share_weights = share_weights
        self.share_category_head = share_category_head
        self.semantic_constraint = semantic_constraint
        self.use_intra_discriminator = use_intra_discriminator
        self.use_inter_discriminator = use_inter_discriminator
        self.adversarial = adversarial
        self.category_loss = CategoryCrossentropy()
        self.discriminator_loss = DiscriminatorCrossentropy()
        self.trackers = {name: keras.metrics.Mean(name) for name in (*self.tracked_of_features, *self.tracked_of_game)}
        self.built = True

    # --- Parts ---

    def given_encoders(self):
        return {"image_encoder": self.image_network, "text_encoder": self.text_network}

    @property
    def parts(self):
        return {**super().parts, "autoencoder": self.autoencoder, "discriminators": self.discriminators}

    # --- Representations ---

    def represent_image(self, images, batch_size=256):
        """Return the common representation of pictures, s: float32 (N, representation_dim); see `encode_image`."""
        return self._encoded_images(images, batch_size)["representation"]

    def represent_text(self, texts, batch_size=256):
        """Return the common representation of texts, s: float32 (N, representation_dim); see `encode_text`."""
        return self._encoded_texts(texts, batch_size)["representation"]

    def category_logits_of(self, encoded, modality):
        return self.autoencoder.category_logits(modality, encoded["representation"])

    def get_config(self):
        names = (
            "representation_dim",
            "discriminator_hidden",
            "dropout",
            "generator_steps",
            "mismatch",
            "share_weights",
            "share_category_head",
            "semantic_constraint",
            "use_intra_discriminator",
            "use_inter_discriminator",
            "adversarial",
        )
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "label_names": list(self.label_names)}


def _pathway(network, autoencoder, modality):
    """Extend a feature network by the encoders of a modality's pathway: functional, for export and search."""
    representation = autoencoder.encode(modality, network.output["embedding"])
    # float32 under any policy, as the representation is: similarities near 1 differ by less than halves can tell.
    embedding = keras.layers.UnitNormalization(dtype="float32", name="representation_norm")(representation)
    tokens = {name: network.output[name] for name in network.output if name not in vectors_of(network.output)}
    outputs = {**tokens, "representation": representation, "embedding": embedding}
    return keras.Model(network.input, outputs, name=f"{modality}_encoder")
