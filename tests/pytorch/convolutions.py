"""Convolutions in PyTorch, with which the image encoders of several systems begin."""

import torch
from torch import nn


def conv_stages(widths, strides, channels=3):
    """A convolution with batch normalisation and ReLU a stage; see `mmkeras.encoders.conv_stages`.

    Of pictures of an even size a stride of 2 takes, by PyTorch's padding, the cells that ours takes of mirrored ones.
    """
    stages = []
    for stage, (filters, stride) in enumerate(zip(widths, strides, strict=True)):
        size = 5 if stage == 0 else 3
        stages += [nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), _norm(filters)]
        stages += [nn.ReLU(inplace=True)]
        channels = filters
    # PyTorch's convolutions are fastest with the channels last, and so our pictures lie in memory.
    return nn.Sequential(*stages).to(memory_format=torch.channels_last)


def _norm(filters):
    norm = nn.BatchNorm2d(filters, eps=1e-3)
    norm.num_batches_tracked = None  # an int, which nobody reads and a teacher cannot follow
    return norm
