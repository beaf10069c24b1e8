"""Groups of a gallery's drawings that look alike: how they are found, and the command that prints them."""

from typing import TYPE_CHECKING

from sketchloss.system.lazy_names import lazy_names

if TYPE_CHECKING:
    from sketchloss.gallery.clusters.command import Cluster, cluster_gallery
    from sketchloss.gallery.clusters.finding import central_first, find_clusters

__all__ = ["Cluster", "central_first", "cluster_gallery", "find_clusters"]

__getattr__ = lazy_names(
    __name__,
    {
        "Cluster": "command",
        "central_first": "finding",
        "cluster_gallery": "command",
        "find_clusters": "finding",
    },
)
