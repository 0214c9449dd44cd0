"""`CMGAN` over features in PyTorch: the same networks, losses and updates, as one would write them there.

`test_cm_gan.py` compares its losses with ours on copied weights, `scripts/benchmarks/pytorch.py` times it.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, leaky_relu, softplus

MODALITIES = ("image", "text")
OTHER = {"image": "text", "text": "image"}


class ProjectionBlock(nn.Module):
    """A linear layer, batch normalisation, a leaky ReLU and dropout.

    Args:
        features: inputs.
        units: outputs.
        dropout: rate.
        streams: names of the distributions that go through it, each with moving statistics of its own.
    """

    def __init__(self, features, units, dropout=0.0, streams=("only",)):
        super().__init__()
        self.projection = nn.Linear(features, units)
        self.norms = nn.ModuleDict({stream: nn.BatchNorm1d(units) for stream in streams})
        first, *others = self.norms.values()
        for norm in others:
            norm.weight, norm.bias = first.weight, first.bias
        self.dropout = nn.Dropout(dropout)

    def forward(self, features, stream="only"):
        return self.dropout(leaky_relu(self.norms[stream](self.projection(features)), 0.2, inplace=True))


class PyTorchCMGAN:
    """The networks and their training step.

    Args:
        widths: dict from modality to the length of its features.
        scales: dict from modality to what its features are multiplied by.
        classes: number of categories.
        settings: dict of a preset's arguments for `CMGAN`: `units` of `autoencoder`, `hidden` of `discriminators`, and
            where they are not the class's `generator_steps`, and `dropout` and `share_category_head` of `autoencoder`.
            The rest stands as published.
        learning_rate: of all six optimizers.
    """

    def __init__(self, widths, scales, classes, settings, learning_rate=1e-3):
        self.scales = scales
        self.generator_steps = settings.get("generator_steps", 5)
        autoencoder, hidden = settings["autoencoder"], settings["discriminators"]["hidden"]
        units, dropout = autoencoder["units"], autoencoder.get("dropout", 0.0)
        shared = ProjectionBlock(units, units, dropout, MODALITIES)
        head = nn.Linear(units, classes)
        self.encoders, self.decoders, self.heads, self.intra, self.inter = ({} for _ in range(5))
        for modality, width in widths.items():
            self.encoders[modality] = ProjectionBlock(width, units, dropout)
            self.decoders[modality] = nn.Sequential(ProjectionBlock(units, units), nn.Linear(units, width))
            self.heads[modality] = head if autoencoder.get("share_category_head") else nn.Linear(units, classes)
            self.intra[modality] = nn.Linear(width, 1)
            self.inter[modality] = nn.Sequential(ProjectionBlock(units + width, hidden), nn.Linear(hidden, 1))
        self.shared = shared
        networks = {}
        for modality in MODALITIES:
            pathway = self.encoders[modality], shared, self.decoders[modality], self.heads[modality]
            networks[f"{modality}_generator"] = nn.ModuleList(pathway)
            networks[f"{modality}_intra"] = self.intra[modality]
            networks[f"{modality}_inter"] = self.inter[modality]
        self.parameters = {role: list(network.parameters()) for role, network in networks.items()}
        self.optimizers = {
            role: torch.optim.Adam(parameters, learning_rate, betas=(0.5, 0.999), eps=1e-8, fused=True)
            for role, parameters in self.parameters.items()
        }

    @classmethod
    def from_preset(cls, preset, classes):
        """Build it from the dict of a preset of `CMGAN` over features as they are."""
        encoders = {modality: preset[f"{modality}_encoder"] for modality in MODALITIES}
        widths = {modality: encoder["features"] for modality, encoder in encoders.items()}
        scales = {modality: encoder.get("scale", 1.0) for modality, encoder in encoders.items()}
        return cls(widths, scales, classes, preset["arguments"])

    def count_parameters(self):
        """How many numbers training changes."""
        return sum(each.numel() for each in {each for group in self.parameters.values() for each in group})

    def step(self, batch):
        """Update each discriminator once, then both pathways `generator_steps` times.

        Args:
            batch: dict of tensors `image`, `text`, `other_image`, `other_text` (B, F) and `label` (B,).

        Returns:
            dict from role to the list of the losses that it descended on.
        """
        features = {modality: batch[modality] * self.scales[modality] for modality in MODALITIES}
        others = {modality: batch[f"other_{modality}"] * self.scales[modality] for modality in MODALITIES}
        losses = {role: [] for role in self.optimizers}
        for role, loss in self._discriminator_losses(features, others):
            losses[role].append(self._descend(role, loss))
        for _ in range(self.generator_steps):
            for modality in MODALITIES:
                loss = self._generator_loss(modality, features, batch["label"])
                losses[f"{modality}_generator"].append(self._descend(f"{modality}_generator", loss))
        return losses

    def _encode(self, modality, features):
        return self.shared(self.encoders[modality](features), modality)

    def _judge(self, modality, representation, features):
        return self.inter[modality](torch.cat([representation, features], dim=1))

    def _discriminator_losses(self, features, others):
        with torch.no_grad():
            encoded = {modality: self._encode(modality, features[modality]) for modality in MODALITIES}
            decoded = {modality: self.decoders[modality](encoded[modality]) for modality in MODALITIES}
            mismatched = {modality: self._encode(modality, others[modality]) for modality in MODALITIES}
        for modality in MODALITIES:
            real, fake = self.intra[modality](features[modality]), self.intra[modality](decoded[modality])
            yield f"{modality}_intra", softplus(-real).mean() + softplus(fake).mean()
        for modality in MODALITIES:
            shown = encoded[modality], encoded[OTHER[modality]], mismatched[modality]
            real, crossed, wrong = (self._judge(modality, one, features[modality]) for one in shown)
            fakes = (softplus(crossed).mean() + softplus(wrong).mean()) / 2
            yield f"{modality}_inter", softplus(-real).mean() + fakes

    def _generator_loss(self, modality, features, label):
        representation = self._encode(modality, features[modality])
        reconstruction = self.decoders[modality](representation)
        other = OTHER[modality]
        correlation = softplus(-self._judge(other, representation, features[other])).mean()
        found_out = softplus(-self.intra[modality](reconstruction)).mean()
        return correlation + found_out + cross_entropy(self.heads[modality](representation), label)

    def _descend(self, role, loss):
        self.optimizers[role].zero_grad()
        loss.backward(inputs=self.parameters[role])  # and no further: the other side's weights need no gradient
        self.optimizers[role].step()
        return loss.detach()
