"""`ModalityInvariant` on glyphs in PyTorch: the same network, losses and updates, as one would write them there.

`test_modality_invariant.py` compares its losses with ours on copied weights, `scripts/benchmarks/pytorch.py` times it.

PyTorch pads both sides of a picture alike, where TensorFlow gives the odd pixel of a stride of 2 to the right
and the bottom. Rather than copy every picture into a padded one, this is the mirror image of our network: mirrored
kernels on mirrored pictures give our values, at PyTorch's own price.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from .convolutions import conv_stages

LOWEST, FAR, EPSILON = -1e4, 1e9, 1e-3


class EmbeddingHead(nn.Module):
    """Projection, normalisation by the batch, unit length."""

    def __init__(self, features, embedding_dim):
        super().__init__()
        self.projection = nn.Linear(features, embedding_dim, bias=False)
        self.norm = nn.BatchNorm1d(embedding_dim, EPSILON, affine=False)

    def forward(self, features):
        return functional.normalize(self.norm(self.projection(features)))


class ImageEncoder(nn.Module):
    """Convolutions with batch normalisation; see `mmkeras.encoders.conv_image_encoder`.

    Args:
        height: px.
        width: px.
        widths: feature maps of each stage.
        strides: of each stage.
        embedding_dim: D.
    """

    def __init__(self, height, width, widths, strides, embedding_dim):
        super().__init__()
        self.stages = conv_stages(widths, strides)
        cells = height * width // math.prod(strides) ** 2
        self.head = EmbeddingHead(cells * widths[-1], embedding_dim)

    def forward(self, image):
        """Embed pictures, uint8 (B, H, W, 3)."""
        x = self.stages(image.permute(0, 3, 1, 2).float() / 255 - 1)
        return self.head(x.permute(0, 2, 3, 1).flatten(1))


class TextEncoder(nn.Module):
    """Convolutions over tokens, each pooled to its largest value; see `mmkeras.encoders.text_cnn_encoder`.

    Args:
        vocabulary_size: ids are 0, padding, to `vocabulary_size` - 1.
        width: of the token embedding.
        kernel_sizes: filter widths in tokens.
        filters: feature maps a width.
        embedding_dim: D.
    """

    def __init__(self, vocabulary_size, width, kernel_sizes, filters, embedding_dim):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size, padding=size // 2) for size in kernel_sizes)
        self.head = EmbeddingHead(len(kernel_sizes) * filters, embedding_dim)

    def forward(self, token_ids):
        """Embed texts, token ids (B, L)."""
        mask = (token_ids != 0)[:, None]  # (B, 1, L)
        x = self.embedding(token_ids).transpose(1, 2) * mask
        length = token_ids.shape[1]
        # An even kernel gives one value more, the first.
        maps = torch.cat([convolution(x)[..., -length:].relu() for convolution in self.convolutions], dim=1)
        pooled = maps.masked_fill(~mask, LOWEST).amax(dim=-1)
        return self.head(torch.where(mask.any(dim=-1), pooled, 0.0))


def modality_classifier(embedding_dim, hidden):
    """An MLP from embeddings (N, D) to logits (N, 1), positive for pictures."""
    layers = []
    for units in hidden:
        layers += [nn.Linear(embedding_dim, units), nn.LeakyReLU(0.2, inplace=True)]
        embedding_dim = units
    return nn.Sequential(*layers, nn.Linear(embedding_dim, 1))


def triplet_loss(image, text, image_id, margin):
    """The mean over the pairs of both directions' hinges on the hardest negative; see `mmkeras.losses.triplet_loss`."""
    similarity = image @ text.T
    positive = similarity.diagonal()
    same = image_id[:, None] == image_id[None]
    others = similarity.masked_fill(same, -FAR)
    hinges = [(margin - positive + others.amax(dim=dim)).relu() for dim in (1, 0)]
    return sum(hinges).mean()


class PyTorchModalityInvariant:
    """The network and its training step.

    Args:
        image_encoder: `ImageEncoder`.
        text_encoder: `TextEncoder`.
        classifier: of `modality_classifier`.
        margin: of the triplet loss.
        adversary: dict of `weight`, `classifier_steps` and `gradient_penalty`, as a preset has it.
        learning_rate: of the encoders.
    """

    def __init__(self, image_encoder, text_encoder, classifier, margin, adversary, learning_rate=1e-3):
        self.image_encoder, self.text_encoder, self.classifier = image_encoder, text_encoder, classifier
        self.margin, self.adversary = margin, adversary
        self.parameters = [*image_encoder.parameters(), *text_encoder.parameters()]
        decayed = [one for one in self.parameters if one.ndim > 1]
        others = [one for one in self.parameters if one.ndim == 1]  # biases, scales and offsets
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, learning_rate, eps=1e-7, fused=True)
        self.classifier_optimizer = torch.optim.Adam(
            classifier.parameters(), 1e-3, betas=(0.5, 0.99), eps=1e-7, fused=True
        )

    @classmethod
    def from_preset(cls, preset, vocabulary_size):
        """Build it from the dict of a preset of `ModalityInvariant` with the encoders `conv` and `text_cnn`."""
        image, text, arguments = preset["image_encoder"], preset["text_encoder"], preset["arguments"]
        size = preset["image_preprocessor"]
        return cls(
            ImageEncoder(size["height"], size["width"], image["widths"], image["strides"], image["embedding_dim"]),
            TextEncoder(vocabulary_size, text["width"], text["kernel_sizes"], text["filters"], text["embedding_dim"]),
            modality_classifier(text["embedding_dim"], arguments["adversary"]["classifier_hidden"]),
            arguments["margin"],
            arguments["adversary"],
        )

    def count_parameters(self):
        """How many numbers training changes."""
        return sum(one.numel() for one in [*self.parameters, *self.classifier.parameters()])

    def embed(self, batch):
        """Embed the tensors of a batch: pictures and texts, (B, D) each."""
        return self.image_encoder(batch["image"]), self.text_encoder(batch["token_ids"])

    def triplet(self, batch):
        """Update the encoders on the triplet loss alone, and return it."""
        loss = triplet_loss(*self.embed(batch), batch["image_id"], self.margin)
        self._update_encoders(loss)
        return {"triplet_loss": loss.detach()}

    def joint(self, batch):
        """Update the classifier, then the encoders on both losses, and return these."""
        image, text = self.embed(batch)
        self.train_classifier(image, text)
        task, modality, fooling = self.losses(batch, image, text)
        self._update_encoders(task + self.adversary["weight"] * fooling)
        return {"triplet_loss": task.detach(), "modality_loss": modality.detach()}

    def losses(self, batch, image, text):
        """The triplet loss, the modality loss, and the modality loss of the wrong answer."""
        logits = self.classifier(torch.cat([image, text])).squeeze(-1)
        is_image = self._is_image(image, text)
        task = triplet_loss(image, text, batch["image_id"], self.margin)
        modality, fooling = (
            functional.binary_cross_entropy_with_logits(logits, target) for target in (is_image, 1 - is_image)
        )
        return task, modality, fooling

    def train_classifier(self, image, text):
        """Update the classifier `classifier_steps` times, with the penalty on its slope."""
        both = torch.cat([image, text]).detach().requires_grad_()
        is_image = self._is_image(image, text)
        for _ in range(self.adversary["classifier_steps"]):
            logits = self.classifier(both).squeeze(-1)
            (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
            penalty = slope.square().sum(dim=-1).mean()
            loss = functional.binary_cross_entropy_with_logits(logits, is_image)
            loss = loss + self.adversary["gradient_penalty"] * penalty
            _set_gradients(loss, list(self.classifier.parameters()))
            self.classifier_optimizer.step()

    def _update_encoders(self, loss):
        _set_gradients(loss, self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()

    @staticmethod
    def _is_image(image, text):
        return torch.cat([torch.ones(len(image)), torch.zeros(len(text))])


def _set_gradients(loss, parameters):
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
