"""How well clusters of embeddings match classes that nobody told: several methods, on galleries with labels.

    sketchloss gallery build drawings-gallery drawings/
    python benchmarks/clusters.py drawings-gallery

AMI: adjusted mutual information, 1 for the classes, about 0 for chance. Homogeneity: 1 if every cluster holds drawings
of one class. A drawing that HDBSCAN leaves out of all clusters counts as one of a further cluster.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
from sklearn.metrics import adjusted_mutual_info_score, homogeneity_score

from sketchloss.figures.tables import markdown_table
from sketchloss.gallery import Gallery
from sketchloss.gallery.clusters import find_clusters


def methods(classes: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what is compared, by name; some are told how many classes there are."""

    def hdbscan(least: int, **settings: Any) -> Callable[[np.ndarray], np.ndarray]:
        options: dict[str, Any] = {"min_cluster_size": least, "copy": True, **settings}
        return HDBSCAN(**options).fit_predict

    k_means: dict[str, Any] = {"n_clusters": classes, "n_init": 4, "random_state": 0}
    return {
        "Ward, number by silhouette (ours)": find_clusters,
        "HDBSCAN, at least 3": hdbscan(3),
        "HDBSCAN, at least 5": hdbscan(5),
        "HDBSCAN, at least 5, leaves": hdbscan(5, min_samples=1, cluster_selection_method="leaf"),
        "Ward, number of classes (ours)": lambda rows: find_clusters(rows, classes),
        "k-means, number of classes": KMeans(**k_means).fit_predict,
        "average linkage, number of classes": AgglomerativeClustering(
            classes, metric="cosine", linkage="average"
        ).fit_predict,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("galleries", nargs="+", type=Path)
    for folder in parser.parse_args().galleries:
        rows, vectors = Gallery.open(folder).table.vectors()
        labels = [row.label or "" for row in rows]
        classes = len(set(labels))
        print(f"{folder.name}: {len(rows):,} drawings of {classes} classes\n")
        cells = []
        for name, find in methods(classes).items():
            start = time.perf_counter()
            found = find(vectors)
            seconds = time.perf_counter() - start
            scores = (adjusted_mutual_info_score(labels, found), homogeneity_score(labels, found))
            count, left_out = len(set(found.tolist()) - {-1}), np.mean(found == -1)
            cells.append([name, *(f"{x:.3f}" for x in scores), str(count), f"{left_out:.0%}", f"{seconds:.1f}"])
        print(markdown_table(["method", "AMI", "homogeneity", "clusters", "left out", "seconds"], cells) + "\n")


if __name__ == "__main__":
    main()
