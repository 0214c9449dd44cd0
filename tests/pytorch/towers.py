"""A pair of towers in PyTorch as transformers has them: what `scripts/benchmarks/towers.py` times ours beside."""

import math

import torch
import transformers
from torch import nn
from torch.nn import functional


class PyTorchTowers:
    """ViT and BERT with a projection each, the temperature, and a training step of all their weights.

    Args:
        size: px of the pictures.
        patch: px of a patch.
        width: of the tokens.
        heads: of attention.
        depth: blocks of each tower.
        vocabulary_size: ids of texts.
        sequence_length: ids of a text.
        embedding_dim: of both projections.
        dropout: rate in the tower of texts.
    """

    def __init__(self, size, patch, width, heads, depth, vocabulary_size, sequence_length, embedding_dim, dropout=0.1):
        sizes = {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": depth,
            "num_attention_heads": heads,
        }
        image = transformers.ViTConfig(image_size=size, patch_size=patch, layer_norm_eps=1e-6, **sizes)
        text = transformers.BertConfig(
            vocab_size=vocabulary_size,
            max_position_embeddings=sequence_length,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            **sizes,
        )
        self.image, self.text = (
            nn.ModuleDict({"tower": tower, "projection": nn.Linear(width, embedding_dim)})
            for tower in (
                transformers.ViTModel(image, add_pooling_layer=False),
                transformers.BertModel(text, add_pooling_layer=False),
            )
        )
        self.log_temperature = nn.Parameter(torch.tensor(math.log(0.07)))
        self.parameters = [*self.image.parameters(), *self.text.parameters(), self.log_temperature]
        groups = [
            {"params": [one for one in self.parameters if (one.ndim > 1) == decayed], "weight_decay": 0.01 * decayed}
            for decayed in (True, False)
        ]
        self.optimizer = torch.optim.AdamW(groups, 1e-3, eps=1e-7, fused=True)

    def count_parameters(self):
        """How many numbers training changes."""
        return sum(one.numel() for one in self.parameters)

    def step(self, image, token_ids):
        """Take a step on pictures, uint8 (B, H, W, 3), and texts (B, L); returns its loss."""
        for side in (self.image, self.text):
            side.train()
        image, text = self._embeddings(image, token_ids)
        logits, right = image @ text.T / self.log_temperature.exp(), torch.arange(len(image))
        loss = (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            self.log_temperature.clamp_(min=math.log(0.01))
        return loss.detach()

    def embed(self, image, token_ids):
        """Embeddings of pictures and texts, (B, D) each, as in inference."""
        for side in (self.image, self.text):
            side.eval()
        with torch.inference_mode():
            return self._embeddings(image, token_ids)

    def _embeddings(self, image, token_ids):
        pixels = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        ids = token_ids.long()
        features = (
            self.image["tower"](pixels).last_hidden_state[:, 0],
            self.text["tower"](ids, attention_mask=(ids != 0).long()).last_hidden_state[:, 0],
        )
        sides = zip((self.image, self.text), features, strict=True)
        return [functional.normalize(side["projection"](one), dim=-1) for side, one in sides]
