"""A drawing as strokes: a differentiable renderer, and recovery of strokes by the gradient of a loss."""

from sketchloss.strokes.batch import StrokeBatch as StrokeBatch
from sketchloss.strokes.chamfer import chamfer_distance as chamfer_distance
from sketchloss.strokes.recovery import Recovery as Recovery
from sketchloss.strokes.recovery import recover as recover
from sketchloss.strokes.renderer import render as render
