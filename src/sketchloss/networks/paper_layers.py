"""Layers of VGG-16 that publications and earlier versions name: presets, only for VGG."""

#: Johnson et al.'s four taps, for training generators as the paper does, which names no others.
PAPER_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
#: Johnson et al.'s layer for the content of a picture.
PAPER_CONTENT_LAYER = "relu2_2"
#: What `SketchLoss` compared by default before version 0.2.
LAYERS_BEFORE_0_2 = ("relu3_3", "relu4_3", "relu5_3")
