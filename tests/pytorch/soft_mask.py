"""`SoftMask` in PyTorch: the same networks, losses and updates, as one would write them there.

`test_soft_mask.py` compares its losses with ours on copied weights, `scripts/benchmarks/pytorch.py` times it.
"""

import copy

import torch
from torch import nn
from torch.nn import functional

from .transformers import Fusion, ImageEncoder, LanguageHead, TextEncoder

CLASS_ID, IGNORED, NO_WORD, FAR = 2, -1, -1, 1e9
NO_PICTURE = -(2**63)  # the id of a place in the queue that no batch has filled yet
# What a preset's arguments for `SoftMask` leave to its constructor.
DEFAULTS = {
    "fusion": {"mlp_ratio": 4, "dropout": 0.1},
    "teacher": {"momentum": 0.995, "alpha": 0.4, "alpha_ramp_steps": 10_000},
    "temperature": {"initial": 0.07, "lowest": 0.001, "highest": 0.5},
    "token_masking": {"rate": 0.15, "mask_id": 3, "special_ids": (0, 1, 2, 3)},
    "loss_weights": {"contrastive": 1.0, "matching": 1.0, "soft_matching": 1.0, "language": 1.0},
    "gamma": 2.0,
    "negatives_temperature": 0.0,
}


class PyTorchSoftMask:
    """The network, its teacher, its queue and its training step.

    Args:
        image_encoder: `ImageEncoder`.
        text_encoder: `TextEncoder`.
        settings: dict of a preset's arguments for `SoftMask`; all losses have a weight but the soft matching, which
            may have none, masks are soft, and the text is hidden from all losses.
        learning_rate: of AdamW.
    """

    def __init__(self, image_encoder, text_encoder, settings, learning_rate=1e-3):
        self.settings = settings = DEFAULTS | {
            name: DEFAULTS[name] | value if isinstance(value, dict) else value for name, value in settings.items()
        }
        vocabulary, width = text_encoder.token_embedding.weight.shape
        fusion, masking = settings["fusion"], settings["token_masking"]
        patch_width = image_encoder.class_token.numel()
        taught = {
            "image": image_encoder,
            "text": text_encoder,
            "fusion": Fusion(
                fusion["depth"], width, patch_width, fusion["heads"], fusion["mlp_ratio"], fusion["dropout"]
            ),
            "language": LanguageHead(width, vocabulary),
        }
        self.student = nn.ModuleDict(taught)
        self.teacher = copy.deepcopy(self.student).eval().requires_grad_(False)
        self.matching_head = nn.Linear(width, 2)
        self.temperature = nn.Parameter(torch.tensor(settings["temperature"]["initial"]))
        self.parameters = [*self.student.parameters(), *self.matching_head.parameters(), self.temperature]
        decayed = [one for one in self.parameters if one.ndim > 1 or one is image_encoder.class_token]
        others = [one for one in self.parameters if not any(one is each for each in decayed)]
        groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, learning_rate, eps=1e-7, fused=True)
        # What the teacher follows: the weights, and the moving statistics beside them.
        self._pairs = [
            [[*module.parameters(), *module.buffers()] for module in (part, self.teacher[name])]
            for name, part in self.student.items()
        ]
        special = {*masking["special_ids"], masking["mask_id"]}
        self.is_word = torch.tensor([number not in special for number in range(vocabulary)])
        self.words = self.is_word.nonzero().squeeze(1)
        self._start_queue(settings["teacher"]["queue_size"], image_encoder.head[0].out_features)
        self.steps = 0

    @classmethod
    def from_preset(cls, preset, vocabulary_size):
        """Build it from the dict of a preset of `SoftMask`."""
        image, text = (
            {name: value for name, value in preset[f"{modality}_encoder"].items() if name not in NOT_TAKEN}
            for modality in ("image", "text")
        )
        size = preset["image_preprocessor"]
        return cls(
            ImageEncoder(size["height"], size["width"], **image),
            TextEncoder(vocabulary_size, preset["text_preprocessor"]["sequence_length"], **text),
            preset["arguments"],
        )

    def _start_queue(self, size, embedding_dim):
        self.image_queue, self.text_queue = (
            functional.normalize(torch.randn(size, embedding_dim), dim=1) for _ in range(2)
        )
        self.id_queue, self.pointer = torch.full((size,), NO_PICTURE), 0

    def count_parameters(self):
        """How many numbers training changes."""
        return sum(one.numel() for one in self.parameters)

    def step(self, batch):
        """Take a step.

        Args:
            batch: dict of tensors `image` and `weak_image`, uint8 (B, H, W, 3), `token_ids` (B, L) and `image_id`
                (B,).

        Returns:
            dict of the losses that have a weight.
        """
        whole = batch["token_ids"].long()
        ids, targets = self.hide_words(whole)
        encoded = self._encode(self.student, batch["image"], ids)
        with torch.no_grad():
            self._move_teacher()
            taught = self._encode(self.teacher, batch.get("weak_image", batch["image"]), whole)
        losses = self._losses(encoded, taught, targets, batch["image_id"].long())
        weights = self.settings["loss_weights"]
        total = sum(weights[name.removesuffix("_loss")] * loss for name, loss in losses.items())
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            lowest, highest = (self.settings["temperature"][limit] for limit in ("lowest", "highest"))
            self.temperature.clamp_(lowest, highest)
        self._enqueue(taught, batch["image_id"])
        self.steps += 1
        return {name: loss.detach() for name, loss in losses.items()}

    # --- Draws: a test puts its own in their place ---

    def hide_words(self, token_ids):
        """Texts with words hidden, and the hidden words, -1 elsewhere; see `mmkeras.layers.TokenMasking`."""
        chosen, how = torch.rand(2, *token_ids.shape)
        masking = self.settings["token_masking"]
        chosen = self.is_word[token_ids] & (chosen < masking["rate"])
        others = self.words[torch.randint(len(self.words), token_ids.shape)]
        hidden = torch.where(how < 0.8, masking["mask_id"], torch.where(how < 0.9, others, token_ids))
        return torch.where(chosen, hidden, token_ids), torch.where(chosen, token_ids, IGNORED)

    def draw_negatives(self, logits, image_id):
        """A column of another picture for each row, and whether there is one; see `sample_hard_negatives`."""
        negative = image_id[:, None] != image_id
        probability = logits.detach().masked_fill(~negative, -FAR).softmax(dim=1)
        return torch.multinomial(probability, 1).squeeze(1), negative.any(dim=1)

    def draw_words(self, words):
        """The place of a word in each row of bool (B, T), -1 where there is none."""
        some = words.any(dim=1)
        places = torch.multinomial((words | ~some[:, None]).float(), 1).squeeze(1)
        return torch.where(some, places, NO_WORD)

    # --- Teacher and queue ---

    def _move_teacher(self):
        share = 1 - (self.settings["teacher"]["momentum"] if self.steps else 0.0)
        for online, slow in self._pairs:
            torch._foreach_lerp_(slow, online, share)  # as `torch.optim.swa_utils` does

    def _enqueue(self, taught, image_id):
        places = slice(self.pointer, self.pointer + len(image_id))
        self.image_queue[places], self.text_queue[places] = taught["image"], taught["text"]
        self.id_queue[places] = image_id
        self.pointer = places.stop % len(self.id_queue)

    @property
    def alpha(self):
        """The teacher's share at this step."""
        teacher = self.settings["teacher"]
        return teacher["alpha"] * min(self.steps / max(1, teacher["alpha_ramp_steps"]), 1.0)

    # --- Losses ---

    @staticmethod
    def _encode(model, image, token_ids):
        """Embeddings `image` and `text`, their tokens, the ids with the class token's before them and their mask."""
        image_tokens, image = model["image"](image)
        return {"image": image, "image_tokens": image_tokens, **_read(model, token_ids)}

    def _losses(self, encoded, taught, targets, image_id):
        settings = self.settings
        soft = bool(settings["loss_weights"]["soft_matching"])
        fused, probabilities = self.student["fusion"](
            encoded["text_tokens"],
            encoded["image_tokens"],
            encoded["mask"],
            looking=settings["fusion"]["attention_block"] if soft else None,
        )
        logits = self.matching_head(fused[:, 0])
        temperature = self.temperature
        drawing = self.settings["negatives_temperature"] or temperature
        text, text_found = self.draw_negatives(encoded["image"] @ taught["text"].T / drawing, image_id)
        image, image_found = self.draw_negatives(encoded["text"] @ taught["image"].T / drawing, image_id)
        wrong_texts = encoded["text_tokens"][text], encoded["mask"][text]
        patches = torch.cat([encoded["image_tokens"][image], encoded["image_tokens"]])
        negatives = self._match(encoded, wrong_texts, patches)
        found = torch.cat([image_found, text_found])
        losses = {
            "contrastive_loss": self._contrast(encoded, taught, image_id, temperature),
            "matching_loss": _matching(torch.cat([logits, negatives]), found),
        }
        if soft:
            dimmed = self._dimmed(encoded, probabilities, logits)
            masked = self._match(encoded, wrong_texts, torch.cat([dimmed, dimmed]))
            losses["soft_matching_loss"] = _matching(masked, text_found)
        return losses | {"language_loss": self._language(encoded, taught, fused, targets)}

    def _match(self, encoded, wrong_texts, patches):
        """Logits of the right texts and then the wrong ones, with so many pictures."""
        tokens = torch.cat([encoded["text_tokens"], wrong_texts[0]])
        mask = torch.cat([encoded["mask"], wrong_texts[1]])
        fused, _ = self.student["fusion"](tokens, patches, mask, class_only=True)
        return self.matching_head(fused[:, 0])

    def _contrast(self, encoded, taught, image_id, temperature):
        image_candidates = torch.cat([taught["image"], self.image_queue])
        text_candidates = torch.cat([taught["text"], self.text_queue])
        hard = (image_id[:, None] == torch.cat([image_id, self.id_queue])).float()
        hard /= hard.sum(dim=1, keepdim=True)
        loss = 0.0
        for modality, candidates in (("image", text_candidates), ("text", image_candidates)):
            with torch.no_grad():
                soft = (taught[modality] @ candidates.T / temperature).softmax(dim=1)
                target = hard.lerp(soft, self.alpha)
            log_probability = (encoded[modality] @ candidates.T / temperature).log_softmax(dim=1)
            information = -log_probability
            if gamma := self.settings["gamma"]:
                information = (-log_probability.expm1()).clamp(min=1e-6) ** gamma * information
            loss = loss + 0.5 * (target * information).sum(dim=1).mean()
        return loss

    def _dimmed(self, encoded, probabilities, logits):
        """The pictures' tokens, dimmed where a word of their text looks."""
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), probabilities, retain_graph=True)
        with torch.no_grad():
            word = self.draw_words(self.is_word[encoded["ids"]])
            rows = torch.arange(len(word))
            looks = (gradient[rows, :, word, 1:].relu() * probabilities[rows, :, word, 1:]).mean(dim=1)  # (B, N)
            low, high = looks.aminmax(dim=1, keepdim=True)
            known = (high - low > 1e-12) & (word != NO_WORD)[:, None]
            mask = torch.where(known, (looks - low) / (high - low), 0.0)
        patches = encoded["image_tokens"][:, 1:] * (1 - mask)[..., None]
        return torch.cat([encoded["image_tokens"][:, :1], patches], dim=1)

    def _language(self, encoded, taught, fused, targets):
        hidden = targets != IGNORED
        words = targets[hidden]
        logits = self._word_logits(self.student, fused, hidden)
        with torch.no_grad():
            read = _read(self.teacher, encoded["ids"][:, 1:])
            tokens, _ = self.teacher["fusion"](read["text_tokens"], taught["image_tokens"], read["mask"])
            answer = self._word_logits(self.teacher, tokens, hidden).softmax(dim=1)
        log_probability = logits.log_softmax(dim=1)
        told = functional.nll_loss(log_probability, words)
        return (1 - self.alpha) * told - self.alpha * (answer * log_probability).sum(dim=1).mean()

    @staticmethod
    def _word_logits(model, tokens, hidden):
        return model["language"](tokens[:, 1:][hidden], model["text"].token_embedding.weight)


NOT_TAKEN = ("kind", "initializer_range")


def _read(model, token_ids):
    ids = functional.pad(token_ids, (1, 0), value=CLASS_ID)
    mask = (ids != 0)[:, None, None]  # (B, 1, 1, T)
    tokens, embedding = model["text"](ids, mask)
    return {"text": embedding, "text_tokens": tokens, "mask": mask, "ids": ids}


def _matching(logits, found):
    """Cross-entropy of matching logits (N, 2): pairs, and then as many negatives as `found` says which there are."""
    margin = logits[:, 1] - logits[:, 0]
    right, wrong = margin.split([len(logits) - len(found), len(found)])
    return (functional.softplus(-right).sum() + (functional.softplus(wrong) * found).sum()) / (len(right) + found.sum())
