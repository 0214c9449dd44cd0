"""Folders of published models, written without what published them."""

import json

import numpy as np

TINY = {"hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2}
BERT = {**TINY, "model_type": "bert", "vocab_size": 20, "max_position_embeddings": 9}
VISION = {**TINY, "image_size": 16, "patch_size": 8}
TEXT = {**TINY, "vocab_size": 20, "max_position_embeddings": 9}


def write_folder(folder, config, arrays=None, **files):
    """Write config.json, model.safetensors and other JSON files, `name` for name.json; return the folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    save_file(arrays or {"one": np.ones(2, "float32")}, folder / "model.safetensors")
    return folder


def linear(name, size_in, size_out):
    return {f"{name}.weight": (size_out, size_in), f"{name}.bias": (size_out,)}


def norm(name, width=8):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def clip_arrays(seed=0):
    """Names and random arrays of a CLIP of `VISION` and `TEXT`, as transformers writes them."""
    shapes = {
        "logit_scale": (),
        "visual_projection.weight": (5, 8),
        "text_projection.weight": (5, 8),
        "text_model.embeddings.position_ids": (1, 9),  # as old versions wrote it
        "text_model.embeddings.token_embedding.weight": (20, 8),
        "text_model.embeddings.position_embedding.weight": (9, 8),
        "vision_model.embeddings.class_embedding": (8,),
        "vision_model.embeddings.patch_embedding.weight": (8, 3, 8, 8),
        "vision_model.embeddings.position_embedding.weight": (5, 8),
        **norm("text_model.final_layer_norm"),
        **norm("vision_model.pre_layrnorm"),
        **norm("vision_model.post_layernorm"),
    }
    for side in ("text_model", "vision_model"):
        for index in range(2):
            at = f"{side}.encoder.layers.{index}"
            shapes |= {**norm(f"{at}.layer_norm1"), **norm(f"{at}.layer_norm2")}
            shapes |= {**linear(f"{at}.mlp.fc1", 8, 12), **linear(f"{at}.mlp.fc2", 12, 8)}
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes |= linear(f"{at}.self_attn.{part}", 8, 8)
    generator = np.random.default_rng(seed)
    return {name: np.asarray(generator.normal(size=shape), "float32") for name, shape in shapes.items()}
