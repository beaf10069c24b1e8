"""Search a folder of sketches by sketch: embeddings of many pictures on disk, and the pictures most like a given one.

from sketchloss.gallery import Gallery

gallery, report = Gallery.build("my-gallery", ["drawings"])
for match in gallery.search("query.png", k=5)[0]:
    print(match.similarity, match.label, match.path)
"""

from sketchloss.gallery.adding import AddReport
from sketchloss.gallery.gallery import EXACT_BELOW, Gallery, Info, Match

__all__ = ["EXACT_BELOW", "AddReport", "Gallery", "Info", "Match"]
