"""BERT and what was trained further from it for sentences: MiniLM, E5, BGE and others."""

from __future__ import annotations

from typing import Literal

from mmkeras.encoders.bert import bert_text_encoder
from mmkeras.encoders.checkpoints.checkpoint import Checkpoint
from mmkeras.encoders.checkpoints.model import PublishedModel
from mmkeras.encoders.encoder import Encoder
from mmkeras.encoders.pretrained_weights import load_bert
from mmkeras.errors import MmkerasError

# What holds where config.json is silent, as transformers has it.
CONFIG = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
# What files of sentence-transformers call poolings.
POOLINGS: dict[str, Literal["class", "mean"]] = {"cls": "class", "cls_token": "class", "mean": "mean"}
POOLINGS |= {"mean_tokens": "mean"}


class BERT(PublishedModel):
    """A BERT, transformers' `BertModel`, or one within a folder of sentence-transformers: a text tower alone.

    A folder of sentence-transformers says in `1_Pooling/config.json` whether the class token or the mean of all tokens
    stands for a text; where nothing says it, it is the mean. The tower takes ids with those of [CLS] and [SEP] among
    them, as a WordPiece tokenizer makes them.

    Args:
        checkpoint: `Checkpoint` with the model type `bert`.

    Attributes:
        pooling: `"class"` or `"mean"`.
        normalised: whether the published model scales its embeddings to length 1, which the tower does not.

    Reference:
        Devlin et al. 2019 (arXiv 1810.04805), section 3; Reimers & Gurevych 2019 (arXiv 1908.10084), section 3.
    """

    family = "bert"

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.config = {**CONFIG, **checkpoint.config}
        self.require(
            pad_token_id=(self.config["pad_token_id"], 0),
            position_embedding_type=(self.config["position_embedding_type"], "absolute"),
            is_decoder=(self.config["is_decoder"], False),
        )
        modules = [module.get("type", "").rpartition(".")[2] for module in checkpoint.settings("modules.json") or []]
        if unread := sorted(set(modules) - {"Transformer", "Pooling", "Normalize"}):
            raise MmkerasError(
                "Expected modules of sentence-transformers of Transformer, Pooling and Normalize. "
                f"Received: {', '.join(unread)} in {self.source}"
            )
        self.normalised = "Normalize" in modules
        self.pooling = self._pooling()
        longest = (checkpoint.settings("sentence_bert_config.json") or {}).get("max_seq_length")
        self.sequence_length = longest or self.config["max_position_embeddings"]

    def text_tower(self, sequence_length: int | None = None, depth: int | None = None) -> Encoder:
        config = self.config
        encoder = bert_text_encoder(
            config["vocab_size"],
            self.length(
                self.sequence_length if sequence_length is None else sequence_length, config["max_position_embeddings"]
            ),
            width=config["hidden_size"],
            depth=self.depth(depth, config["num_hidden_layers"]),
            heads=config["num_attention_heads"],
            mlp_ratio=config["intermediate_size"] / config["hidden_size"],
            embedding_dim=None,
            dropout=config["hidden_dropout_prob"],
            class_id=None,
            types=config["type_vocab_size"],
            initializer_range=config["initializer_range"],
            pooling=self.pooling,
            activation=self.activation(config["hidden_act"]),
            epsilon=config["layer_norm_eps"],
        )
        load_bert(encoder, self.checkpoint.arrays, partial=depth is not None)
        return encoder

    def _pooling(self):
        settings = self.checkpoint.settings("1_Pooling/config.json") or {}
        prefix = "pooling_mode_"
        named = [name.removeprefix(prefix) for name, on in settings.items() if name.startswith(prefix) and on is True]
        named = named or [settings.get("pooling_mode", "mean")]
        if len(named) != 1 or named[0] not in POOLINGS:
            raise MmkerasError(
                f"Expected a pooling of cls_token or mean_tokens. Received: {', '.join(map(str, named))} in "
                f"1_Pooling/config.json of {self.source}"
            )
        return POOLINGS[named[0]]
