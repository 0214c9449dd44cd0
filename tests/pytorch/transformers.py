"""The networks of `SoftMask` in PyTorch: a vision transformer, BERT, the fusion encoder and the language head.

Attention is `scaled_dot_product_attention` wherever its probabilities are not asked for, and what asks, what is looked
at and what is handed on come of one product where they come of the same tokens.
"""

import torch
from torch import nn
from torch.nn import functional

from .convolutions import conv_stages

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of pixels in 0..1, as `mmkeras.encoders.vit_image_encoder` scales them
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class BatchNorm(nn.BatchNorm1d):
    """Without scale and offset. As in Keras the moving variance is of the squares over n, and not over n - 1."""

    def __init__(self, features):
        super().__init__(features, eps=1e-3, momentum=0.1, affine=False)
        self.num_batches_tracked = None  # an int, which nobody reads and a teacher cannot follow

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, dim=0, correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return functional.batch_norm(x, None, None, training=True, eps=self.eps)


class EmbeddingHead(nn.Sequential):
    """Features (B, W) to unit vectors (B, D); see `mmkeras.encoders.embedding_head`."""

    def __init__(self, features, embedding_dim, batch_norm):
        super().__init__(nn.Linear(features, embedding_dim, bias=not batch_norm))
        if batch_norm:
            self.append(BatchNorm(embedding_dim))

    def forward(self, features):
        return functional.normalize(super().forward(features), dim=-1)


class Attention(nn.Module):
    """Multi-head attention of tokens (B, L, W) to themselves, or to a context (B, N, V) where its width is given."""

    def __init__(self, width, heads, dropout, context_width=None):
        super().__init__()
        self.heads, self.dropout, self.is_self = heads, dropout, context_width is None
        self.query = nn.Linear(width, 3 * width if self.is_self else width)  # of the tokens themselves all three
        self.key_value = None if self.is_self else nn.Linear(context_width, 2 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens, context=None, mask=None, return_probabilities=False, class_only=False):
        """`mask` is bool (B, 1, 1, N); the probabilities are (B, heads, L, N), before dropout."""
        parts = self._in_heads(self.query(tokens))
        if class_only:
            parts = parts[0][:, :, :1], *parts[1:]
        if not self.is_self:
            parts += self._in_heads(self.key_value(context))
        query, key, value = parts
        probabilities, dropout = None, self.dropout if self.training else 0.0
        if return_probabilities:
            probabilities = ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)).softmax(dim=-1)
            attended = functional.dropout(probabilities, dropout) @ value
        else:
            attended = functional.scaled_dot_product_attention(query, key, value, mask, dropout)
        return self.output(attended.transpose(1, 2).flatten(2)), probabilities

    def _in_heads(self, x):
        """(B, L, n W) as n tensors (B, heads, L, W / heads)."""
        size = self.output.in_features // self.heads
        return x.unflatten(-1, (-1, self.heads, size)).permute(2, 0, 3, 1, 4).unbind()


class Block(nn.Module):
    """A transformer block; see `mmkeras.layers.TransformerBlock`."""

    def __init__(self, width, heads, mlp_ratio, dropout, post_norm=True, context_width=None):
        super().__init__()
        epsilon = 1e-12 if post_norm else 1e-6
        self.post_norm, self.dropout = post_norm, dropout
        self.attention, self.attention_norm = Attention(width, heads, dropout), nn.LayerNorm(width, epsilon)
        if context_width is not None:
            self.context_attention = Attention(width, heads, dropout, context_width)
            self.context_norm = nn.LayerNorm(width, epsilon)
        self.expand, self.contract = nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)
        self.feed_forward_norm = nn.LayerNorm(width, epsilon)

    def forward(self, tokens, mask=None, context=None, return_probabilities=False, class_only=False):
        """Return the tokens, or the first of them, and the probabilities of the attention to the context or `None`."""
        x, probabilities = self._before(self.attention_norm, tokens), None
        x, _ = self.attention(x, mask=mask, class_only=class_only)
        tokens = self._after(self.attention_norm, tokens[:, :1] if class_only else tokens, x)
        if context is not None:
            x = self._before(self.context_norm, tokens)
            x, probabilities = self.context_attention(x, context, return_probabilities=return_probabilities)
            tokens = self._after(self.context_norm, tokens, x)
        x = self.contract(functional.gelu(self.expand(self._before(self.feed_forward_norm, tokens))))
        return self._after(self.feed_forward_norm, tokens, x), probabilities

    def _before(self, norm, tokens):
        return tokens if self.post_norm else norm(tokens)

    def _after(self, norm, tokens, branch):
        tokens = tokens + functional.dropout(branch, self.dropout, self.training)
        return norm(tokens) if self.post_norm else tokens


class ImageEncoder(nn.Module):
    """A vision transformer; see `mmkeras.encoders.vit_image_encoder`."""

    def __init__(
        self,
        height,
        width,
        patch,
        depth,
        token_width,
        heads,
        embedding_dim,
        batch_norm=False,
        mlp_ratio=4,
        dropout=0.0,
        mean=MEAN,
        deviation=DEVIATION,
        stem=(),
    ):
        super().__init__()
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(-1, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(deviation).reshape(-1, 1, 1))
        self.stem = conv_stages(stem, [2] * len(stem))
        left = patch // 2 ** len(stem)
        self.patches = nn.Conv2d(stem[-1] if stem else 3, token_width, left, left)
        self.class_token = nn.Parameter(0.02 * torch.randn(token_width))
        places = 1 + (height // patch) * (width // patch)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(places, token_width))
        self.blocks = nn.ModuleList(Block(token_width, heads, mlp_ratio, dropout, False) for _ in range(depth))
        self.final_norm = nn.LayerNorm(token_width, 1e-6)
        self.head = EmbeddingHead(token_width, embedding_dim, batch_norm)

    def forward(self, image):
        """Encode pictures, uint8 (B, H, W, 3): their tokens and embeddings."""
        pixels = (image.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        patches = self.patches(self.stem(pixels)).flatten(2).transpose(1, 2)  # (B, N, W)
        tokens = torch.cat([self.class_token.expand(len(image), 1, -1), patches], dim=1) + self.position_embedding
        for block in self.blocks:
            tokens, _ = block(tokens)
        tokens = self.final_norm(tokens)
        return tokens, self.head(tokens[:, 0])


class TextEncoder(nn.Module):
    """BERT; see `mmkeras.encoders.bert_text_encoder`."""

    def __init__(
        self,
        vocabulary_size,
        sequence_length,
        width,
        depth,
        heads,
        embedding_dim,
        batch_norm=False,
        mlp_ratio=4,
        dropout=0.1,
    ):
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary_size, width)
        self.position_embedding = nn.Parameter(0.02 * torch.randn(1 + sequence_length, width))
        self.type_embedding = nn.Parameter(0.02 * torch.randn(2, width))
        self.embedding_norm = nn.LayerNorm(width, 1e-12)
        self.embedding_dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_ratio, dropout) for _ in range(depth))
        self.head = EmbeddingHead(width, embedding_dim, batch_norm)
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(self, token_ids, mask):
        """Encode texts, ids (B, T) with the class token's first and their `attention_mask`: tokens and embeddings."""
        added = self.position_embedding[: token_ids.shape[1]] + self.type_embedding[0]
        tokens = self.embedding_dropout(self.embedding_norm(self.token_embedding(token_ids) + added))
        for block in self.blocks:
            tokens, _ = block(tokens, mask)
        return tokens, self.head(tokens[:, 0])


class Fusion(nn.Module):
    """The fusion encoder; see `mmkeras.encoders.FusionEncoder`."""

    def __init__(self, depth, width, context_width, heads, mlp_ratio, dropout):
        super().__init__()
        blocks = [Block(width, heads, mlp_ratio, dropout, context_width=context_width) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tokens, image_tokens, mask, looking=None, class_only=False):
        """Return the fused tokens, and the probabilities with which the block of number `looking` sees the picture.

        With `class_only` the last block computes the first token alone, all that matching reads.
        """
        probabilities = None
        for number, block in enumerate(self.blocks):
            last = class_only and number == len(self.blocks) - 1
            tokens, found = block(tokens, mask, image_tokens, number == looking, last)
            probabilities = found if number == looking else probabilities
        return tokens, probabilities


class LanguageHead(nn.Module):
    """The masked language head, whose kernel is the table of the embedding; see `mmkeras.layers.MaskedLanguageHead`."""

    def __init__(self, width, vocabulary_size):
        super().__init__()
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width, 1e-12)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def forward(self, tokens, table):
        return functional.linear(self.norm(functional.gelu(self.dense(tokens))), table, self.bias)
