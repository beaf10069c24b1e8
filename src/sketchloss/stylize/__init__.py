"""Turn photos into sketches with a stylizer that `sketchloss style train` made.

from sketchloss.system.images import open_picture
from sketchloss.networks.stylizer import load_stylizer
from sketchloss.stylize import prepare_stylizer, stylize

stylizer = prepare_stylizer(load_stylizer("my-run"))
stylize(stylizer, open_picture("photo.jpg")).save("sketch.png")

`stylize.exporting` writes ONNX files and `stylize.exported` runs them; both need the extra `onnx`.
"""

from sketchloss.stylize.pictures import MAX_PIXELS, prepare_stylizer, stylize
from sketchloss.stylize.tiles import TILE, stylize_tiled

__all__ = ["MAX_PIXELS", "TILE", "prepare_stylizer", "stylize", "stylize_tiled"]
