"""EfficientNet-Lite and MobileNetV2 in PyTorch, as a loop over the published table and names."""

from .installed import import_torch

torch = import_torch()
functional = torch.nn.functional

# Kernel, stride, expansion, width, repeats: what EfficientNet-Lite0 and Lite2 are published with.
LITE0 = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4)]
LITE0 += [(3, 1, 6, 320, 1)]
LITE2 = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4), (5, 1, 6, 120, 4), (5, 2, 6, 208, 5)]
LITE2 += [(3, 1, 6, 352, 1)]
MOBILENET_V2 = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (3, 2, 6, 32, 3), (3, 2, 6, 64, 4), (3, 1, 6, 96, 3)]
MOBILENET_V2 += [(3, 2, 6, 160, 3), (3, 1, 6, 320, 1)]


def names(table):
    """timm's name of each convolution and of the normalisation behind it, with its shape, stride, groups and place.

    Yields:
        convolution, normalisation, (out, in, height, width), stride, groups, "first", "inner" or "last" of a block.
    """
    yield "conv_stem", "bn1", (32, 3, 3, 3), 2, 1, "inner"
    width = 32
    for stage, (kernel, stride, expansion, out, repeats) in enumerate(table):
        for block in range(repeats):
            at, inner, step = f"blocks.{stage}.{block}.", width * expansion, stride if block == 0 else 1
            depthwise = (inner, 1, kernel, kernel)
            if expansion > 1:
                yield at + "conv_pw", at + "bn1", (inner, width, 1, 1), 1, 1, "first"
                yield at + "conv_dw", at + "bn2", depthwise, step, inner, "inner"
                yield at + "conv_pwl", at + "bn3", (out, inner, 1, 1), 1, 1, "last"
            else:
                yield at + "conv_dw", at + "bn1", depthwise, step, inner, "first"
                yield at + "conv_pw", at + "bn2", (out, inner, 1, 1), 1, 1, "last"
            width = out
    yield "conv_head", "bn2", (1280, width, 1, 1), 1, 1, "inner"


def random_state(table, generator):
    """A state dict of random numbers, float64, such that no layer dies or blows up."""
    state = {"classifier.weight": generator.normal(size=(10, 1280)), "classifier.bias": generator.normal(size=10)}
    for convolution, norm, shape, *_, place in names(table):
        # Small steps between the sums of blocks: a network that doubles every rounding tells nothing.
        inputs = shape[1] * shape[2] * shape[3] * (8 if place == "last" else 1)
        state[f"{convolution}.weight"] = generator.normal(size=shape) * (2 / inputs) ** 0.5
        state[f"{norm}.weight"] = generator.uniform(0.5, 1.5, shape[0])
        state[f"{norm}.bias"] = generator.normal(size=shape[0]) * 0.3
        state[f"{norm}.running_mean"] = generator.normal(size=shape[0]) * 0.3
        state[f"{norm}.running_var"] = generator.uniform(0.5, 1.5, shape[0])
        state[f"{norm}.num_batches_tracked"] = 1
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()}


def feature_map(state, table, pixels):
    """The last feature map of a network in inference, with the padding "SAME" of TensorFlow.

    Args:
        state: dict of tensors, as `random_state` makes it.
        table: the stages.
        pixels: (B, 3, H, W), float64, scaled.

    Returns:
        (B, 1280, H / 32, W / 32).
    """
    x = came_in = pixels
    for convolution, norm, shape, stride, groups, place in names(table):
        came_in = x if place == "first" else came_in
        pads = []
        for side, size in ((x.shape[3], shape[3]), (x.shape[2], shape[2])):
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        x = functional.conv2d(functional.pad(x, pads), state[f"{convolution}.weight"], stride=stride, groups=groups)
        normal = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *normal, eps=1e-3)
        if place != "last":
            x = functional.relu6(x)
        elif x.shape == came_in.shape:
            x = x + came_in
    return x
