"""Tiny published models in folders as Hugging Face has them: random weights under the published names."""

import json

import numpy as np
from safetensors.numpy import save_file


def random_arrays(shapes, seed=0):
    """Normal arrays about 0, the scales of normalisations about 1: what stands in a text reaches its embedding."""
    rng = np.random.default_rng(seed)
    scales = ("norm.weight", "norm1.weight", "norm2.weight", "LayerNorm.weight")
    return {
        name: np.asarray(rng.normal(float(name.endswith(scales)), 0.1, shape), "float32")
        for name, shape in shapes.items()
    }


def linear(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def blocks(at, depth, width, hidden):
    shapes = {}
    for index in range(depth):
        block = f"{at}.encoder.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{block}.self_attn.{part}", width, width)
        shapes |= norm(f"{block}.layer_norm1", width) | norm(f"{block}.layer_norm2", width)
        shapes |= linear(f"{block}.mlp.fc1", width, hidden) | linear(f"{block}.mlp.fc2", hidden, width)
    return shapes


def siglip_shapes(width=16, depth=2, hidden=32, patches=4, patch=8, vocabulary=120, positions=8):
    vision, text = "vision_model", "text_model"
    return {
        f"{vision}.embeddings.patch_embedding.weight": (width, 3, patch, patch),
        f"{vision}.embeddings.patch_embedding.bias": (width,),
        f"{vision}.embeddings.position_embedding.weight": (patches, width),
        **blocks(vision, depth, width, hidden),
        **norm(f"{vision}.post_layernorm", width),
        f"{vision}.head.probe": (1, 1, width),
        f"{vision}.head.attention.in_proj_weight": (3 * width, width),
        f"{vision}.head.attention.in_proj_bias": (3 * width,),
        **linear(f"{vision}.head.attention.out_proj", width, width),
        **norm(f"{vision}.head.layernorm", width),
        **linear(f"{vision}.head.mlp.fc1", width, hidden),
        **linear(f"{vision}.head.mlp.fc2", hidden, width),
        f"{text}.embeddings.token_embedding.weight": (vocabulary, width),
        f"{text}.embeddings.position_embedding.weight": (positions, width),
        **blocks(text, depth, width, hidden),
        **norm(f"{text}.final_layer_norm", width),
        **linear(f"{text}.head", width, width),
        "logit_scale": (1,),
        "logit_bias": (1,),
    }


def sizes_of(width):
    return {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_siglip(folder, vocabulary=120, tokenizer=None, seed=0, width=16):
    """A SigLIP of 16 px pictures, four patches, and texts of 8 ids, with its tokenizer where its model is given."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = sizes_of(width)
    config = {
        "model_type": "siglip",
        "vision_config": {**sizes, "image_size": 16, "patch_size": 8},
        "text_config": {**sizes, "vocab_size": vocabulary, "max_position_embeddings": 8},
    }
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer is not None:
        (folder / "spiece.model").write_bytes(tokenizer)
        settings = {"tokenizer_class": "SiglipTokenizer", "pad_token": "</s>", "model_max_length": 8}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    arrays = random_arrays(siglip_shapes(width, hidden=2 * width, vocabulary=vocabulary), seed)
    arrays["logit_scale"][:], arrays["logit_bias"][:] = np.log(20.0), -4.0
    save_file(arrays, folder / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nTiny.\n")
    return folder


def write_clip(folder, vocabulary=120, width=16, positions=8):
    """The text tower of a CLIP with its projection, without its tokenizer: texts end with the last id."""
    folder.mkdir(parents=True, exist_ok=True)
    text = {**sizes_of(width), "vocab_size": vocabulary, "max_position_embeddings": positions}
    config = {"model_type": "clip", "text_config": {**text, "eos_token_id": vocabulary - 1}}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {
        "text_model.embeddings.token_embedding.weight": (vocabulary, width),
        "text_model.embeddings.position_embedding.weight": (positions, width),
        **blocks("text_model", 2, width, 2 * width),
        **norm("text_model.final_layer_norm", width),
        "text_projection.weight": (width, width),
        "logit_scale": (),
    }
    save_file(random_arrays(shapes), folder / "model.safetensors")
    return folder


def bert_shapes(width, depth, hidden, vocabulary, positions):
    shapes = {
        "embeddings.word_embeddings.weight": (vocabulary, width),
        "embeddings.position_embeddings.weight": (positions, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        **norm("embeddings.LayerNorm", width),
    }
    for index in range(depth):
        block = f"encoder.layer.{index}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= linear(f"{block}.attention.{part}", width, width)
        shapes |= norm(f"{block}.attention.output.LayerNorm", width) | norm(f"{block}.output.LayerNorm", width)
        shapes |= linear(f"{block}.intermediate.dense", width, hidden) | linear(f"{block}.output.dense", hidden, width)
    return shapes


def write_bert(folder, vocabulary=12):
    """A BERT of two blocks and 16 positions, without its tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bert",
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 16,
    }
    (folder / "config.json").write_text(json.dumps(config))
    save_file(random_arrays(bert_shapes(16, 2, 32, vocabulary, 16)), folder / "model.safetensors")
    return folder


def write_mobilenet_v2(folder, seed=0):
    """A MobileNetV2 of full size with random weights, numbered."""
    from mmkeras.encoders.mobilenet_v2 import NETWORK

    folder.mkdir(parents=True, exist_ok=True)
    rng, arrays = np.random.default_rng(seed), {}
    for index, one in enumerate(NETWORK):
        inputs = one.shape[0] * one.shape[1] * (1 if one.depthwise else one.shape[2])
        arrays[f"{index:02d}_w"] = rng.normal(0, (2 / inputs) ** 0.5, one.shape).astype("float32")
        arrays[f"{index:02d}_b"] = np.zeros(one.shape[2 if one.depthwise else 3], "float32")
    np.savez(folder / "weights.npz", **arrays)
    return folder


def write_vit(folder, width=16, depth=2):
    """A ViT of 16 px pictures, a class token and four patches."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": depth, "num_attention_heads": 2}
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", **sizes, "image_size": 16, "patch_size": 8}))
    shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.position_embeddings": (1, 5, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 8, 8),
        "embeddings.patch_embeddings.projection.bias": (width,),
        **norm("layernorm", width),
    }
    for index in range(depth):
        block = f"encoder.layer.{index}"
        for part in ("attention.attention.query", "attention.attention.key", "attention.attention.value"):
            shapes |= linear(f"{block}.{part}", width, width)
        shapes |= linear(f"{block}.attention.output.dense", width, width)
        shapes |= norm(f"{block}.layernorm_before", width) | norm(f"{block}.layernorm_after", width)
        shapes |= linear(f"{block}.intermediate.dense", width, 2 * width)
        shapes |= linear(f"{block}.output.dense", 2 * width, width)
    save_file(random_arrays(shapes), folder / "model.safetensors")
    return folder
