"""DeiT and BERT from their papers, in NumPy and float64, on weights under the names under which they are published.

Nothing here knows of our layers: what agrees with it has the right arithmetic and the right converter.
"""

import math

import numpy as np

CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
CLIP_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711])


def random_arrays(shapes, seed=0):
    """Normal float32 arrays of these shapes; large enough that attention is far from uniform."""
    generator = np.random.default_rng(seed)
    return {name: generator.normal(scale=0.3, size=shape).astype("float32") for name, shape in shapes.items()}


def deit_shapes(width, depth, patch, patches):
    """Names and shapes of DeiT's arrays, its classifier among them."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + patches, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "head.weight": (10, width),
        "head.bias": (10,),
    }
    for index in range(depth):
        shapes |= {
            f"blocks.{index}.{name}": shape
            for name, shape in {
                "norm1.weight": (width,),
                "norm1.bias": (width,),
                "attn.qkv.weight": (3 * width, width),
                "attn.qkv.bias": (3 * width,),
                "attn.proj.weight": (width, width),
                "attn.proj.bias": (width,),
                "norm2.weight": (width,),
                "norm2.bias": (width,),
                "mlp.fc1.weight": (4 * width, width),
                "mlp.fc1.bias": (4 * width,),
                "mlp.fc2.weight": (width, 4 * width),
                "mlp.fc2.bias": (width,),
            }.items()
        }
    return shapes


def bert_shapes(width, depth, vocabulary, positions=12, fusion_layer=None, image_width=None):
    """Names and shapes of BERT's arrays with its heads; from `fusion_layer` on with ALBEF's attention to a picture."""
    shapes = {
        "bert.embeddings.word_embeddings.weight": (vocabulary, width),
        "bert.embeddings.position_embeddings.weight": (positions, width),
        "bert.embeddings.token_type_embeddings.weight": (2, width),
        "bert.embeddings.LayerNorm.gamma": (width,),
        "bert.embeddings.LayerNorm.beta": (width,),
        "bert.pooler.dense.weight": (width, width),
        "bert.pooler.dense.bias": (width,),
        "cls.predictions.bias": (vocabulary,),
        "cls.predictions.transform.dense.weight": (width, width),
        "cls.predictions.transform.dense.bias": (width,),
        "cls.predictions.transform.LayerNorm.gamma": (width,),
        "cls.predictions.transform.LayerNorm.beta": (width,),
        "cls.seq_relationship.weight": (2, width),
        "cls.seq_relationship.bias": (2,),
    }
    for index in range(depth):
        at = f"bert.encoder.layer.{index}"
        attentions = {"attention": width}
        if fusion_layer is not None and index >= fusion_layer:
            attentions["crossattention"] = image_width
        for attention, keys in attentions.items():
            for part, inputs in (("query", width), ("key", keys), ("value", keys)):
                shapes[f"{at}.{attention}.self.{part}.weight"] = (width, inputs)
                shapes[f"{at}.{attention}.self.{part}.bias"] = (width,)
            shapes[f"{at}.{attention}.output.dense.weight"] = (width, width)
            shapes[f"{at}.{attention}.output.dense.bias"] = (width,)
            shapes[f"{at}.{attention}.output.LayerNorm.gamma"] = (width,)
            shapes[f"{at}.{attention}.output.LayerNorm.beta"] = (width,)
        shapes |= {
            f"{at}.intermediate.dense.weight": (4 * width, width),
            f"{at}.intermediate.dense.bias": (4 * width,),
            f"{at}.output.dense.weight": (width, 4 * width),
            f"{at}.output.dense.bias": (width,),
            f"{at}.output.LayerNorm.gamma": (width,),
            f"{at}.output.LayerNorm.beta": (width,),
        }
    return shapes


def deit_tokens(arrays, images, heads, depth):
    """Tokens (B, 1 + N, W) of pictures in 0..255."""
    arrays = {name: array.astype("float64") for name, array in arrays.items()}
    kernel = arrays["patch_embed.proj.weight"]
    patch = kernel.shape[-1]
    x = (images / 255 - CLIP_MEAN) / CLIP_DEVIATION
    rows = []
    for row in range(0, x.shape[1], patch):
        for column in range(0, x.shape[2], patch):
            cut = x[:, row : row + patch, column : column + patch].transpose(0, 3, 1, 2)  # (B, C, patch, patch)
            rows.append(np.tensordot(cut, kernel, axes=([1, 2, 3], [1, 2, 3])) + arrays["patch_embed.proj.bias"])
    class_token = np.broadcast_to(arrays["cls_token"], (len(images), 1, kernel.shape[0]))
    x = np.concatenate([class_token, np.stack(rows, axis=1)], axis=1) + arrays["pos_embed"]
    for index in range(depth):
        at = f"blocks.{index}"
        y = layer_norm(x, arrays[f"{at}.norm1.weight"], arrays[f"{at}.norm1.bias"], 1e-6)
        query, key, value = np.split(linear(arrays, f"{at}.attn.qkv", y), 3, axis=-1)
        x = x + linear(arrays, f"{at}.attn.proj", attend(query, key, value, heads)[0])
        y = layer_norm(x, arrays[f"{at}.norm2.weight"], arrays[f"{at}.norm2.bias"], 1e-6)
        x = x + linear(arrays, f"{at}.mlp.fc2", gelu(linear(arrays, f"{at}.mlp.fc1", y)))
    return layer_norm(x, arrays["norm.weight"], arrays["norm.bias"], 1e-6)


def bert_tokens(arrays, ids, heads, layers):
    """Tokens (B, L, W) after these layers, of ids that begin with a class token; 0 is padding."""
    arrays = {name.removeprefix("bert."): array.astype("float64") for name, array in arrays.items()}
    x = arrays["embeddings.word_embeddings.weight"][ids]
    x = x + arrays["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = bert_norm(arrays, "embeddings", x + arrays["embeddings.token_type_embeddings.weight"][0])
    return bert_blocks(arrays, x, ids != 0, heads, layers)[0]


def fused_tokens(arrays, tokens, image_tokens, mask, heads, layers, probe=None):
    """Tokens after these fusion layers, and the probabilities with which the first of them looked at the picture."""
    arrays = {name.removeprefix("bert."): array.astype("float64") for name, array in arrays.items()}
    return bert_blocks(arrays, tokens.astype("float64"), mask, heads, layers, image_tokens.astype("float64"), probe)


def bert_blocks(arrays, x, mask, heads, layers, image_tokens=None, probe=None):
    first = None
    for index in layers:
        at = f"encoder.layer.{index}"
        x, _ = bert_attention(arrays, f"{at}.attention", x, x, heads, mask)
        if image_tokens is not None:
            x, probabilities = bert_attention(arrays, f"{at}.crossattention", x, image_tokens, heads, None, probe)
            first, probe = (probabilities if first is None else first), None
        y = linear(arrays, f"{at}.output.dense", gelu(linear(arrays, f"{at}.intermediate.dense", x)))
        x = bert_norm(arrays, f"{at}.output", x + y)
    return x, first


def bert_attention(arrays, at, x, context, heads, mask, probe=None):
    query = linear(arrays, f"{at}.self.query", x)
    key, value = (linear(arrays, f"{at}.self.{part}", context) for part in ("key", "value"))
    attended, probabilities = attend(query, key, value, heads, mask, probe)
    return bert_norm(arrays, f"{at}.output", x + linear(arrays, f"{at}.output.dense", attended)), probabilities


def attend(query, key, value, heads, mask=None, probe=None):
    """Attention head by head: each takes its own slice of the features."""
    size = query.shape[-1] // heads
    outputs, maps = [], []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        logits = query[..., part] @ key[..., part].transpose(0, 2, 1) / math.sqrt(size)
        if mask is not None:
            logits = np.where(mask[:, None, :], logits, -np.inf)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        weights = weights if probe is None else weights + probe[:, head]
        maps.append(weights)
        outputs.append(weights @ value[..., part])
    return np.concatenate(outputs, axis=-1), np.stack(maps, axis=1)


def linear(arrays, name, x):
    return x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]


def bert_norm(arrays, at, x):
    return layer_norm(x, arrays[f"{at}.LayerNorm.gamma"], arrays[f"{at}.LayerNorm.beta"], 1e-12)


def layer_norm(x, scale, offset, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * scale + offset


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
