"""The commands that make a gallery of drawings, keep it up to date, and show what is in it.

    sketchloss gallery build my-gallery drawings/
    sketchloss gallery add my-gallery drawings/ more/ --prune
    sketchloss gallery remove my-gallery drawings/old --label cat
    sketchloss gallery info my-gallery

`search_command`, `clusters` and `duplicates` hold the others. In Python, see `sketchloss.gallery`.
"""

from dataclasses import asdict

from sketchloss.gallery import Gallery
from sketchloss.gallery.adding import AddReport
from sketchloss.gallery.options import Add, Build, Remove, Show
from sketchloss.gallery.paths import as_text
from sketchloss.gallery.printing import LISTED, count_drawings, listed, print_json, print_lines

# Build, add, remove --------------------------------------------------------------------------------------------------


def build(config: Build) -> None:
    """Run `sketchloss gallery build`; raises as `Gallery.build`."""
    gallery, report = Gallery.build(
        config.gallery,
        config.folders,
        weights=config.weights,
        image_size=config.image_size,
        labels=config.labels,
        invert=config.invert,
        clean=config.clean,
        precision=config.precision,
        device=config.device,
        progress=True,
    )
    _print_report(gallery, report, config)


def add(config: Add) -> None:
    """Run `sketchloss gallery add`; raises as `Gallery.add`."""
    gallery = Gallery.open(config.gallery, weights=config.weights, device=config.device)
    report = gallery.add(config.folders, prune=config.prune, labels=config.labels, invert=config.invert, progress=True)
    _print_report(gallery, report, config)


def remove(config: Remove) -> None:
    """Run `sketchloss gallery remove`; raises as `Gallery.remove`."""
    gallery = Gallery.open(config.gallery)
    removed = gallery.remove(config.paths, label=config.label)
    if config.json:
        print_json({"gallery": str(gallery.folder), "removed": [str(path) for path in removed], "rows": len(gallery)})
        return
    print_lines(
        [
            *listed([as_text(path) for path in removed]),
            f"{len(removed):,} taken out, {count_drawings(len(gallery))} left",
        ]
    )


def _print_report(gallery: Gallery, report: AddReport, config: Build | Add) -> None:
    built = gallery.settings.built
    if config.json:
        missing = [str(path) for path in report.missing]
        exact = not gallery.table.uses_index()
        print_json(
            {"gallery": str(gallery.folder), **asdict(report), "missing": missing, "exact": exact, "built": built}
        )
        return
    place, mode = as_text(str(gallery.folder)), _search_mode(not gallery.table.uses_index())
    lines = [f"{count_drawings(report.rows)} in {place}, {mode}"]
    rate = f" ({report.embedded / report.seconds:,.1f} a second)" if report.embedded else ""
    copies = f"{report.copies:,} are copies of others" if report.copies != 1 else "1 is a copy of another"
    added = f"{report.added:,} added" + (f" ({copies})" if report.copies else "")
    lines.append(f"  {added}, {report.unchanged:,} there already; {report.embedded:,} embedded{rate}")
    if report.moved or report.changed or report.relabelled:
        lines.append(f"  {report.moved:,} moved, {report.changed:,} changed, {report.relabelled:,} with another label")
    if config.labels == "none" and report.label_kept:
        lines.append(f"  {report.label_kept:,} had a label before and keep it")
    if config.labels == "folder" and report.rows and set(gallery.table.labels()) == {None}:
        lines.append("  no labels: the drawings lie directly in the given folders; give the folder above for labels")
    if not built:
        lines.append("  building it was interrupted: run `sketchloss gallery build` again for the rest")
    if report.pruned:
        lines += [f"{report.pruned:,} whose files are gone taken out:", *listed(map(as_text, report.missing))]
    elif report.missing:
        gone = f"{len(report.missing):,} whose files are gone (--prune takes them out):"
        lines += [gone, *listed(map(as_text, report.missing))]
    if report.unreadable:
        lines += [f"{len(report.unreadable):,} left out:", *(f"  {line}" for line in report.unreadable)]
    lines += report.passed_over
    print_lines(lines)


# Info ----------------------------------------------------------------------------------------------------------------


def info(config: Show) -> None:
    """Run `sketchloss gallery info`; raises as `Gallery.open`."""
    gallery = Gallery.open(config.gallery)
    found = gallery.info()
    if config.json:
        # JSON has no key for what has no name.
        labels = [{"label": label, "rows": count} for label, count in found.labels.items()]
        missing = [str(path) for path in found.missing]
        print_json({**asdict(found), "folder": str(found.folder), "labels": labels, "missing": missing})
        return
    named = {label: count for label, count in found.labels.items() if label is not None}
    most = ", ".join(f"{as_text(label)} ({count:,})" for label, count in list(named.items())[:LISTED])
    count = found.labels.get(None, 0)
    without = f"; {count_drawings(count)} {'has' if count == 1 else 'have'} none" if count else ""
    start = gallery.settings.exact_below
    lines = [
        f"gallery     {as_text(str(found.folder))}" + ("" if found.built else " (building it was interrupted)"),
        f"drawings    {found.rows:,}",
        f"labels      {len(named):,}" + (f": {most}{', ...' if len(named) > LISTED else ''}" if most else "") + without,
        f"weights     {found.weights} (fingerprint {found.fingerprint[:12]})",
        f"embedding   {found.dimension} numbers from {found.layer} at {found.image_size} pixels"
        + (", bf16" if found.precision == "bf16" else ""),
        "cleaning    drawings and queries are cleaned" if found.clean else "cleaning    none (`build --clean`)",
        f"search      compares all drawings (an index from {start:,} on)"
        if found.exact
        else f"search      goes by an approximate index (from {start:,} drawings on)",
        f"on disk     {found.disk_bytes / 2**20:,.2f} MiB",
        f"files gone  {len(found.missing):,}",
    ]
    print_lines([*lines, *listed(map(as_text, found.missing))])


def _search_mode(exact: bool) -> str:
    return "searched exactly" if exact else "searched by an approximate index"
