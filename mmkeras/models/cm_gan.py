"""`CMGAN`: cross-modal autoencoders against four discriminators, on pairs and categories."""

from typing import Any, Literal

import keras
import tensorflow as tf
from keras import ops

from mmkeras.encoders.encoder import Encoder
from mmkeras.errors import MmkerasError
from mmkeras.layers.cross_modal_autoencoder import CrossModalAutoencoder
from mmkeras.layers.cross_modal_discriminators import CrossModalDiscriminators
from mmkeras.layers.initialization import linear
from mmkeras.losses.category import category_crossentropy
from mmkeras.losses.discriminator import discriminator_crossentropy, fooling_crossentropy
from mmkeras.models.batch_checks import batch_of
from mmkeras.models.batch_encoder import Pictures, Texts
from mmkeras.models.checks import at_least_one
from mmkeras.models.fused_adam import FusedAdam
from mmkeras.models.image_text_model import ImageTextModel
from mmkeras.models.replicated_step import in_turn
from mmkeras.models.staged_model import part, total
from mmkeras.preprocessing import ImagePreprocessor, StringPreprocessor, Tokenizer
from mmkeras.tensors import Arrays, Tensor, Tensors, Vectors

MODALITIES, MISMATCHES = ("image", "text"), ("paper", "released_code")
OTHER = {"image": "text", "text": "image"}


@keras.saving.register_keras_serializable("mmkeras")
class CMGAN(ImageTextModel):
    """Two autoencoders with a common representation, trained by category and against four discriminators.

    Features h of an image and a text go through the pathways of `CrossModalAutoencoder`, to a representation s and
    back to a reconstruction r; `image_encoder` and `text_encoder` end in `representation`, s, and `embedding`, s / |s|.
    For a pair (h_i, h_t) of category c, a pair (h_i', h_t') of another category, and f = `fooling_crossentropy`:

        D_i    against  r_i beside h_i                                     the same for texts
        D_Ci   against  (s_t, h_i) and (s_i', h_i) beside (s_i, h_i)       the same for texts
        L_Gi = f(D_Ct(s_i, h_t)) + f(D_i(r_i)) + crossentropy(C_i(s_i), c)
        L_Gt = f(D_Ci(s_t, h_i)) + f(D_t(r_t)) + crossentropy(C_t(s_t), c)

    A step is one update of each discriminator, then `generator_steps` times one of the images' pathway and one of the
    texts', all six by optimizers of their own; both pathways' optimizers move the layer that they share. No distance
    between reconstruction and feature is ever taken.

    The game never moves the features. Where the encoders given have weights, a stage that trains these encoders and
    nothing else (`trains = ["image_encoder", "text_encoder"]`) teaches them the categories beforehand, by category
    heads of their own; the next stage (`trains = ["autoencoder", "discriminators"]`) plays the game.

    Args:
        image_encoder: the feature network of images, see `ImageTextModel`; its `embedding` is h_i, of any length.
        text_encoder: the feature network of texts, see `ImageTextModel`.
        image_preprocessor: see `ImageTextModel`.
        text_preprocessor: see `ImageTextModel`.
        label_names: names of the C categories, two or more.
        multi_label: must be false: an item has one category.
        autoencoder: dict of the arguments of `CrossModalAutoencoder`, its sizes and classes apart, or such a layer. Its
            `units` are the length of s. The authors' code has no dropout, and a category head for each modality: then
            nothing but the discriminators asks an image and a text of one category to lie in one place.
        discriminators: dict of the arguments of `CrossModalDiscriminators`, its sizes apart, or such a layer.
        generator_steps: updates of both pathways a batch, 1 or more.
        mismatch: `"paper"` shows D_Ci (s_i', h_i), as the paper's formula does; `"released_code"` (s_i', h_i'), as the
            authors' code, where a pair that does belong together is called a fake.
        semantic_constraint: whether the pathways are trained by category.
        use_intra_discriminator: whether D_i and D_t, and with them the decoders, take part.
        use_inter_discriminator: whether D_Ci and D_Ct take part.
        adversarial: false leaves the semantic constraint alone, without any discriminator or decoder.

    Call arguments:
        inputs: dict with `image` and `token_ids` (or `text`); for training also `label` (B,), and of a pair of another
            category in each row `other_image` and `other_token_ids` (or `other_text`), see `mismatched_batches`.

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
    builds_upon_encoders = True

    def __init__(
        self,
        image_encoder: Encoder,
        text_encoder: Encoder,
        image_preprocessor: ImagePreprocessor | None = None,
        text_preprocessor: Tokenizer | StringPreprocessor | None = None,
        label_names: tuple[str, ...] | list[str] = (),
        multi_label: bool = False,
        autoencoder: CrossModalAutoencoder | dict[str, Any] | None = None,
        discriminators: CrossModalDiscriminators | dict[str, Any] | None = None,
        generator_steps: int = 5,
        mismatch: Literal["paper", "released_code"] = "paper",
        semantic_constraint: bool = True,
        use_intra_discriminator: bool = True,
        use_inter_discriminator: bool = True,
        adversarial: bool = True,
        **kwargs: Any,
    ) -> None:
        if len(label_names) < 2 or multi_label:
            raise MmkerasError(
                "Expected the names of two categories or more, of which an item has one: targets = category. "
                f"Received: label_names={label_names!r}, multi_label={multi_label}"
            )
        at_least_one("generator_steps", generator_steps)
        if mismatch not in MISMATCHES:
            raise MmkerasError(f"Expected mismatch to be one of {', '.join(MISMATCHES)}. Received: {mismatch!r}")
        if not semantic_constraint and not (adversarial and (use_intra_discriminator or use_inter_discriminator)):
            raise MmkerasError("Expected semantic_constraint or a discriminator to train by. Received: neither")
        widths = {"image_features": image_encoder.embedding_dim, "text_features": text_encoder.embedding_dim}
        shared = {**widths, "dtype": kwargs.get("dtype")}
        autoencoder = part(CrossModalAutoencoder, autoencoder, classes=len(label_names), name="autoencoder", **shared)
        super().__init__(
            _pathway(image_encoder, autoencoder, "image"),
            _pathway(text_encoder, autoencoder, "text"),
            image_preprocessor,
            text_preprocessor,
            **kwargs,
        )
        self.networks = {"image": image_encoder, "text": text_encoder}
        self.autoencoder = autoencoder
        shared |= {"representation_dim": autoencoder.units, "name": "discriminators"}
        self.discriminators = part(CrossModalDiscriminators, discriminators, **shared)
        self.feature_heads = {
            modality: linear(len(label_names), network.embedding_dim, dtype="float32", name=f"{modality}_feature_head")
            for modality, network in self.networks.items()
            if network.weights  # the game alone has nothing to do with these heads
        }
        self.label_names = tuple(label_names)
        self.generator_steps = generator_steps
        self.mismatch = mismatch
        self.semantic_constraint = semantic_constraint
        self.use_intra_discriminator = use_intra_discriminator
        self.use_inter_discriminator = use_inter_discriminator
        self.adversarial = adversarial
        self.trackers = {name: keras.metrics.Mean(name) for name in (*self._of_features, *self._of_game)}
        self.built = True

    # --- Parts ---

    def given_encoders(self) -> dict[str, Encoder]:
        return {"image_encoder": self.networks["image"], "text_encoder": self.networks["text"]}

    @property
    def parts(self) -> dict[str, keras.layers.Layer]:
        return {**super().parts, "autoencoder": self.autoencoder, "discriminators": self.discriminators}

    # --- Representations ---

    def represent_image(self, images: Pictures, batch_size: int = 256) -> Vectors:
        """Return the common representation of pictures, s: float32 (N, `units`); see `encode_image`."""
        return self.batch_encoder.encode_images(images, batch_size)["representation"]

    def represent_text(self, texts: Texts, batch_size: int = 256) -> Vectors:
        """Return the common representation of texts, s: float32 (N, `units`); see `encode_text`."""
        return self.batch_encoder.encode_texts(texts, batch_size)["representation"]

    def category_logits_of(self, encoded: Arrays, modality: Literal["image", "text"]) -> Tensor:
        return self.autoencoder.category_logits(modality, encoded["representation"])

    # --- Losses ---

    @property
    def _plays(self):
        """Whether the game is on; the feature networks are trained where the stage trains neither side of it."""
        return self.autoencoder.trainable or self.discriminators.trainable

    @property
    def discriminating(self) -> tuple[str, ...]:
        """The kinds of discriminators that take part: of `"intra"` and `"inter"`."""
        used = {"intra": self.use_intra_discriminator, "inter": self.use_inter_discriminator}
        return tuple(kind for kind in used if used[kind] and self.adversarial)

    @property
    def tracked(self) -> tuple[str, ...]:
        """What the stage measures, of either modality.

        In the game `generator_loss` and its terms `category_loss`, `reconstruction_loss` (of being found out by D_i)
        and `correlation_loss` (by the other modality's D_C), and of each discriminator its loss and its accuracy, 1/2
        where it cannot tell. `loss` is the sum of both `generator_loss`es, or of both `feature_loss`es.
        """
        return self._of_game if self._plays else self._of_features

    @property
    def _of_features(self):
        return tuple(f"{modality}_feature_loss" for modality in self.feature_heads)

    @property
    def _of_game(self):
        names = ["generator_loss", *(["category_loss"] if self.semantic_constraint else [])]
        for kind, fooled in (("intra", "reconstruction_loss"), ("inter", "correlation_loss")):
            if kind in self.discriminating:
                names += [fooled, f"{kind}_discriminator_loss", f"{kind}_discriminator_accuracy"]
        return tuple(f"{modality}_{name}" for name in names for modality in MODALITIES)

    def compute_losses(self, batch: Arrays, outputs: Tensors | None = None, training: bool = True) -> Tensors:
        features = self._features(batch, training=training and not self._plays)
        if self._plays:
            return _joined(self._generator_losses(each, features, batch["label"], training) for each in MODALITIES)
        losses = {
            f"{modality}_feature_loss": ops.mean(category_crossentropy(batch["label"], head(features[modality])))
            for modality, head in self.feature_heads.items()
        }
        return losses | {"loss": total([*losses.values(), *self.losses])}

    def _features(self, batch, training=False):
        """The features h of both modalities; without `training` no gradient reaches their networks."""
        found = {}
        for modality, rows in (("image", batch["image"]), ("text", self._text_input(batch))):
            network = self.networks[modality]
            feature = network.accepting(rows)(rows, training=training and network.trainable)["embedding"]
            found[modality] = feature if training else ops.stop_gradient(feature)
        return found

    def _generator_losses(self, modality, features, label, training):
        """What a pathway descends on, as `loss`, and its terms."""
        representation = self.autoencoder.encode(modality, features[modality], training)
        terms = {}
        if "inter" in self.discriminating:
            other = OTHER[modality]
            logits = self.discriminators.inter(other, representation, features[other], training)
            terms["correlation_loss"] = ops.mean(fooling_crossentropy(logits))
        if "intra" in self.discriminating:
            reconstruction = self.autoencoder.decode(modality, representation, training)
            logits = self.discriminators.intra(modality, reconstruction, training)
            terms["reconstruction_loss"] = ops.mean(fooling_crossentropy(logits))
        if self.semantic_constraint:
            logits = self.autoencoder.category_logits(modality, representation)
            terms["category_loss"] = ops.mean(category_crossentropy(label, logits))
        loss = total(terms.values())
        return {f"{modality}_{name}": term for name, term in {**terms, "generator_loss": loss}.items()} | {"loss": loss}

    def _discriminator_losses(self, role, shown):
        """What a discriminator descends on: of what it is shown the first is real; each is a batch of its own to it."""
        modality, kind = role.split("_")
        discriminator = getattr(self.discriminators, kind)
        real, *fakes = (discriminator(modality, *inputs, training=True) for inputs in shown)
        right = ops.mean(ops.cast(real > 0, "float32"))
        right += sum(ops.mean(ops.cast(logits <= 0, "float32")) for logits in fakes) / len(fakes)
        loss = ops.mean(discriminator_crossentropy(real, fakes))
        return {f"{role}_discriminator_accuracy": right / 2, f"{role}_discriminator_loss": loss, "loss": loss}

    # --- Training ---

    @property
    def roles(self) -> dict[str, int]:
        steps = {f"{modality}_generator": self.generator_steps if self._plays else 1 for modality in MODALITIES}
        return steps | {f"{modality}_{kind}": 1 for kind in ("intra", "inter") for modality in MODALITIES}

    def variables_of(self, role: str) -> list[keras.Variable]:
        modality, _, kind = role.partition("_")
        if kind != "generator":
            return getattr(self.discriminators, role).trainable_variables if kind in self.discriminating else []
        if self._plays:
            decoder = "intra" in self.discriminating
            return self.autoencoder.variables_of(modality, decoder, self.semantic_constraint)  # type: ignore[arg-type]
        if modality == "text":  # one optimizer for both feature networks
            return []
        networks = [(self.networks[each], head) for each, head in self.feature_heads.items()]
        trained = [layer for network, head in networks if network.trainable_variables for layer in (network, head)]
        return [variable for layer in trained for variable in layer.trainable_variables]

    def default_optimizer(self, role: str) -> keras.optimizers.Optimizer:
        return FusedAdam(1e-3, beta_1=0.5, epsilon=1e-8)

    def train_step(self, data: Any) -> dict[str, Any]:
        batch = batch_of(data)
        if self._plays:
            self._play(batch)
        else:
            self.track(self._descend("image_generator", lambda: self.compute_losses(batch)))
        return self.get_metrics_result()

    def test_step(self, data: Any) -> dict[str, Any]:
        results = super().test_step(data)
        # Discriminators judge by the statistics of a batch, and are asked nothing here.
        return {name: value for name, value in results.items() if "discriminator" not in name}

    def _play(self, batch):
        features = self._features(batch)
        if self.discriminating:
            others = {name.removeprefix("other_"): rows for name, rows in batch.items() if name.startswith("other_")}
            self._train_discriminators(features, self._features(others))

        def train_generators(done):
            losses = [
                self._descend(
                    f"{modality}_generator",
                    lambda modality=modality: self._generator_losses(modality, features, batch["label"], True),
                )
                for modality in MODALITIES  # the images' pathway, then the texts'
            ]
            self.track(_joined(losses))
            return ()

        # A loop in the graph: of a graph with all rounds in it the first step took three times as long.
        in_turn(self.generator_steps, train_generators)

    def _train_discriminators(self, features, others):
        """Update each discriminator once, on what the pathways make now; no gradient flows into these."""
        encoded = {m: self.autoencoder.encode(m, features[m], training=True) for m in MODALITIES}
        shown = {}
        if "intra" in self.discriminating:
            for modality in ("text", "image"):
                reconstruction = self.autoencoder.decode(modality, encoded[modality], training=True)
                shown[f"{modality}_intra"] = [(features[modality],), (reconstruction,)]
        if "inter" in self.discriminating:
            mismatched = {m: self.autoencoder.encode(m, others[m], training=True) for m in MODALITIES}
            beside = features if self.mismatch == "paper" else others
            for modality in ("text", "image"):
                real = encoded[modality], features[modality]
                fakes = (encoded[OTHER[modality]], features[modality]), (mismatched[modality], beside[modality])
                shown[f"{modality}_inter"] = [real, *fakes]
        for role, inputs in shown.items():
            losses = self._descend(role, lambda role=role, inputs=inputs: self._discriminator_losses(role, inputs))
            self.track({name: value for name, value in losses.items() if name != "loss"})

    def _descend(self, role, compute):
        """Compute a role's losses, and let its optimizer take one step down on `loss`."""
        with tf.GradientTape() as tape:
            losses = compute()
            scaled_loss = self.scale_loss(role, losses["loss"])
        self.descend(role, lambda variables: tape.gradient(scaled_loss, variables))
        return losses


def _joined(losses):
    """The losses of both modalities in one dict, with the sum as `loss`."""
    image, text = losses
    return image | text | {"loss": total([image["loss"], text["loss"]])}


def _pathway(network, autoencoder, modality):
    """Extend a feature network by the encoders of a modality's pathway: functional, for export and search."""
    representation = autoencoder.encode(modality, network.output["embedding"])
    # float32 under any policy, as the representation is: similarities near 1 differ by less than halves can tell.
    embedding = keras.layers.UnitNormalization(dtype="float32", name="representation_norm")(representation)
    outputs = {**network.output, "representation": representation, "embedding": embedding}
    return Encoder(network.input, outputs, name=f"{modality}_encoder")
