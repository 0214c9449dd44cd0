"""`CrossModalGame`: the losses of `CMGAN` and its training step."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.encoders.backbone_split import taking
from mmkeras.losses.discriminator import fooling_crossentropy
from mmkeras.models.several_optimizers import SeveralOptimizers

MODALITIES = ("image", "text")
OTHER = {"image": "text", "text": "image"}


class CrossModalGame(SeveralOptimizers):
    """What a cross-modal GAN computes and updates, over the parts and arguments of `CMGAN`, where it is described.

    Each of six roles descends on its own loss with its own optimizer: `image_generator` and `text_generator`, the
    pathways; `image_intra`, `text_intra`, `image_inter` and `text_inter`, the discriminators. Logged are, for either
    modality, `generator_loss` and its terms `category_loss`, `reconstruction_loss` (of being found out by D_i) and
    `correlation_loss` (by the other modality's D_C), and of each discriminator its loss and its accuracy, in [0, 1],
    1/2 where it cannot tell. `loss` is the sum of both `generator_loss`es.
    """

    def _network(self, modality):
        return getattr(self, f"{modality}_network")

    @property
    def _plays(self):
        """Whether the game is on; the feature networks are trained where the stage trains neither side of it."""
        return self.autoencoder.trainable or self.discriminators.trainable

    @property
    def discriminating(self):
        """The kinds of discriminators that take part: of `"intra"` and `"inter"`."""
        used = {"intra": self.use_intra_discriminator, "inter": self.use_inter_discriminator}
        return tuple(kind for kind in used if used[kind] and self.adversarial)

    def _features(self, batch, training=False):
        """The features h of both modalities; without `training` no gradient reaches their networks."""
        inputs = {"image": batch["image"], "text": self._text_input(batch)}
        found = {}
        for modality, rows in inputs.items():
            network = self._network(modality)
            feature = taking(network, rows)(rows, training=training and network.trainable)["embedding"]
            found[modality] = feature if training else ops.stop_gradient(feature)
        return found

    # --- Losses ---

    @property
    def tracked_of_features(self):
        """Names of what the training of the feature networks tracks."""
        return [f"{modality}_feature_loss" for modality in self.feature_heads]

    @property
    def tracked_of_game(self):
        """Names of what the game tracks."""
        names = ["generator_loss", *(["category_loss"] if self.semantic_constraint else [])]
        for kind, fooled in (("intra", "reconstruction_loss"), ("inter", "correlation_loss")):
            if kind in self.discriminating:
                names += [fooled, f"{kind}_discriminator_loss", f"{kind}_discriminator_accuracy"]
        return [f"{modality}_{name}" for name in names for modality in MODALITIES]

    def get_metrics_result(self):
        """The total and what the stage has measured; the other trackers are at 0."""
        measured = self.tracked_of_game if self._plays else self.tracked_of_features
        results = super().get_metrics_result()
        return {name: value for name, value in results.items() if name in measured or name not in self.trackers}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the sum of what both pathways (or the feature networks) descend on."""
        features = self._features(x, training=training and not self._plays)
        loss_of = self._generator_loss if self._plays else self._feature_loss
        modalities = MODALITIES if self._plays else self.feature_heads
        losses = [loss_of(modality, features, x["label"], training) for modality in modalities]
        return _total([*losses, *self.losses])  # with regularisation that a feature network brings along

    def _feature_loss(self, modality, features, label, training):
        loss = self.category_loss(label, self.feature_heads[modality](features[modality]))
        self.trackers[f"{modality}_feature_loss"].update_state(loss)
        return loss

    def _generator_loss(self, modality, features, label, training):
        """What a pathway descends on."""
        representation = self.autoencoder.encode(modality, features[modality], training)
        losses = {}
        if "inter" in self.discriminating:
            other = OTHER[modality]
            logits = self.discriminators.inter(other, representation, features[other], training)
            losses["correlation_loss"] = ops.mean(fooling_crossentropy(logits))
        if "intra" in self.discriminating:
            reconstruction = self.autoencoder.decode(modality, representation, training)
            logits = self.discriminators.intra(modality, reconstruction, training)
            losses["reconstruction_loss"] = ops.mean(fooling_crossentropy(logits))
        if self.semantic_constraint:
            logits = self.autoencoder.category_logits(modality, representation)
            losses["category_loss"] = self.category_loss(label, logits)
        losses["generator_loss"] = _total(list(losses.values()))
        for name, loss in losses.items():
            self.trackers[f"{modality}_{name}"].update_state(loss)
        return losses["generator_loss"]

    # --- Training ---

    @property
    def steps_of_optimizers(self):
        steps = {f"{modality}_generator": self.generator_steps if self._plays else 1 for modality in MODALITIES}
        return steps | {f"{modality}_{kind}": 1 for kind in ("intra", "inter") for modality in MODALITIES}

    def variables_of(self, role):
        modality, _, kind = role.partition("_")
        if kind != "generator":
            return getattr(self.discriminators, role).trainable_variables if kind in self.discriminating else []
        if self._plays:
            return self.autoencoder.variables_of(modality, "intra" in self.discriminating, self.semantic_constraint)
        if modality == "text":  # one optimizer for both feature networks
            return []
        networks = [(self._network(each), head) for each, head in self.feature_heads.items()]
        trained = [layer for network, head in networks if network.trainable_variables for layer in (network, head)]
        return [variable for layer in trained for variable in layer.trainable_variables]

    def train_step(self, data):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self._plays:
            self._play(batch)
        else:
            self._loss_tracker.update_state(self._descend("image_generator", lambda: self.compute_loss(batch)))
        return self.get_metrics_result()

    def test_step(self, data):
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self._loss_tracker.update_state(self.compute_loss(batch, training=False))
        # Discriminators judge by the statistics of a batch, and are asked nothing here.
        return {name: value for name, value in self.get_metrics_result().items() if "discriminator" not in name}

    def _play(self, batch):
        features = self._features(batch)
        if self.discriminating:
            others = {name.removeprefix("other_"): rows for name, rows in batch.items() if name.startswith("other_")}
            self._train_discriminators(features, self._features(others))

        def train_generators(done):
            self._train_generators(features, batch["label"])
            return (done + 1,)

        # A loop in the graph: of a graph with all rounds in it the first step took three times as long.
        tf.while_loop(lambda done: done < self.generator_steps, train_generators, (0,), parallel_iterations=1)

    def _train_generators(self, features, label):
        """Update the pictures' pathway once, then the texts'."""
        losses = [
            self._descend(
                f"{modality}_generator",
                lambda modality=modality: self._generator_loss(modality, features, label, training=True),
            )
            for modality in MODALITIES
        ]
        self._loss_tracker.update_state(_total(losses))

    def _train_discriminators(self, features, others):
        """Update each discriminator once, on what the pathways make now; no gradient flows into these."""
        encoded = {m: self.autoencoder.encode(m, features[m], training=True) for m in MODALITIES}
        if "intra" in self.discriminating:
            for modality in ("text", "image"):
                reconstruction = self.autoencoder.decode(modality, encoded[modality], training=True)
                self._train_discriminator(modality, "intra", [(features[modality],), (reconstruction,)])
        if "inter" in self.discriminating:
            mismatched = {m: self.autoencoder.encode(m, others[m], training=True) for m in MODALITIES}
            beside = features if self.mismatch == "paper" else others
            for modality in ("text", "image"):
                real = encoded[modality], features[modality]
                fakes = (encoded[OTHER[modality]], features[modality]), (mismatched[modality], beside[modality])
                self._train_discriminator(modality, "inter", [real, *fakes])

    def _train_discriminator(self, modality, kind, shown):
        """Update a discriminator: of what it is shown the first is real; each is a batch of its own to it."""
        discriminator = getattr(self.discriminators, kind)
        name = f"{modality}_{kind}_discriminator"

        def loss():
            real, *fakes = (discriminator(modality, *inputs, training=True) for inputs in shown)
            right = ops.mean(ops.cast(real > 0, "float32"))
            right += sum(ops.mean(ops.cast(logits <= 0, "float32")) for logits in fakes) / len(fakes)
            self.trackers[f"{name}_accuracy"].update_state(right / 2)
            loss = self.discriminator_loss(real, fakes)
            self.trackers[f"{name}_loss"].update_state(loss)
            return loss

        self._descend(f"{modality}_{kind}", loss)

    def _descend(self, role, compute):
        """Compute a loss, and let the optimizer of a role take one step down on the variables of that role."""
        optimizer, variables = self.optimizer_of(role), self.variables_of(role)
        with tf.GradientTape() as tape:
            loss = compute()
            scaled_loss = optimizer.scale_loss(loss)
        if variables:  # none where a stage leaves this side of the game alone
            optimizer.apply(tape.gradient(scaled_loss, variables), variables)
        return loss


def _total(losses):
    """The sum of scalars, in one operation: chains of additions TensorFlow reorders, now one way, now another.

    A run that was cut off would then log a loss that differs from an uninterrupted one's in the last digit.
    """
    return ops.sum(ops.stack(losses))
