"""Search a folder of sketches by sketch: embeddings of many pictures on disk, and the pictures most like a given one.

from sketchloss.gallery import Gallery

gallery, report = Gallery.build("my-gallery", ["drawings"])
for match in gallery.search("query.png", k=5)[0]:
    print(match.similarity, match.label, match.path)
"""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.gallery.adding import AddReport
    from sketchloss.gallery.gallery import EXACT_BELOW, Gallery
    from sketchloss.gallery.searching import Info, Match

__all__ = ["EXACT_BELOW", "AddReport", "Gallery", "Info", "Match"]

__getattr__ = lazy_names(
    __name__,
    {"AddReport": "adding", "EXACT_BELOW": "gallery", "Gallery": "gallery", "Info": "searching", "Match": "searching"},
)
