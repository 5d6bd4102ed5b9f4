"""`alexnet rsa`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alexnet.cli.options import Force, Json, picture
from alexnet.cli.screen import print_json, say, table
from alexnet.cli.targets import chosen

if TYPE_CHECKING:
    from alexnet.insight.rsa import Analysis, Curve, Pair


def rsa(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Feature files of `alexnet features`.")],
    layers: Annotated[str | None, typer.Option(help="Comma-separated. Default: all that the files have.")] = None,
    rdm: Annotated[list[Path] | None, typer.Option(help="Your own matrix (.npy, .csv, .mat); repeatable.")] = None,
    how: Annotated[str, typer.Option(help="spearman, kendall, pearson, cka or rbf-cka.")] = "spearman",
    distance: Annotated[str, typer.Option(help="correlation, cosine or euclidean.")] = "correlation",
    bootstrap: Annotated[
        int, typer.Option(min=0, max=100_000, help="Draws for 95 % intervals of spearman, kendall or pearson.")
    ] = 0,
    seed_files: Annotated[
        list[Path] | None,
        typer.Option("--seed-file", help="Features of another seed, for the noise band; two or more, repeatable."),
    ] = None,
    out: Annotated[Path | None, picture("rsa.png")] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare representations of the same images: layers, networks and seeds by RSA or CKA."""
    from alexnet.errors import InputError
    from alexnet.inference.feature_read import read
    from alexnet.insight import rsa as analysis

    out = chosen(out, "rsa.png", force)
    wanted = [each.strip() for each in layers.split(",")] if layers else None
    check = _Same()
    plain = len({path.stem for path in files}) == len(files)
    parts = {path.stem if plain else str(path): check.read(path, wanted) for path in files}
    sets = {
        f"{name}:{layer}" if len(files) > 1 else layer: values
        for name, each in parts.items()
        for layer, values in each.items()
    }
    given = {path.stem: analysis.checked_rdm(read(path).layer(), str(path)) for path in rdm or ()}
    if len(given) < len(rdm or ()) or given.keys() & sets.keys():
        raise InputError("two of the sets have the same name; rename a file")
    band = analysis.noise([check.read(path, wanted) for path in seed_files], how, distance) if seed_files else {}
    result = analysis.analyze({**sets, **given}, how, distance, list(given), bootstrap)
    curves = _curves(result, parts, list(given))
    analysis.draw(result, out, "", curves, band)
    if as_json:
        print_json({"picture": str(out), "distance": distance, **result.to_json(), "noise": band})
        return
    rows = zip(result.names, result.table, strict=True)
    table(("", *(f"{name}>" for name in result.names)), ((name, *(f"{v:.3f}" for v in row)) for name, row in rows))
    if bootstrap:
        table(("pair", f"{how}>", "95 %>"), map(_interval, result.pairs))
    for curve in curves:
        for layer, (value, _) in curve.values.items():
            seeds = f"; between seeds {band[layer][0]:.3f} to {band[layer][1]:.3f}" if layer in band else ""
            say(f"{curve.name}, {layer}: {value:.3f}{seeds}")
    say(f"picture: {out}")


def _interval(pair: "Pair") -> tuple[str, str, str]:
    one, other, value, bounds = pair
    return f"{one} – {other}", f"{value:.3f}", f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else "–"


def _curves(result: "Analysis", parts: "dict[str, dict[str, Any]]", given: list[str]) -> "list[Curve]":
    """Each file's layers against the first file's same layers, and against each matrix of the user's."""
    from alexnet.insight.rsa import Curve

    named = {file: {layer: f"{file}:{layer}" if len(parts) > 1 else layer for layer in parts[file]} for file in parts}
    (first, own), *others = named.items()
    curves = [
        Curve(f"{file} – {first}", {layer: result.value(own[layer], each[layer]) for layer in own if layer in each})
        for file, each in others
    ]
    curves += [
        Curve(f"{file} – {matrix}", {layer: result.value(name, matrix) for layer, name in each.items()})
        for matrix in given
        for file, each in named.items()
    ]
    return [curve for curve in curves if curve.values]


class _Same:
    """Reads feature files, all of which must be of the same images."""

    def __init__(self) -> None:
        self.digests: list[str] | None = None
        self.first: Path | None = None

    def read(self, path: Path, wanted: list[str] | None) -> "dict[str, Any]":
        from alexnet.errors import InputError
        from alexnet.inference.feature_read import read

        found = read(path)
        found.verify()
        if found.digests and self.digests and found.digests != self.digests:
            raise InputError(f"{str(path)!r} is of other images, or in another order, than {str(self.first)!r}")
        if found.digests and not self.digests:
            self.digests, self.first = found.digests, path
        return {layer: found.layer(layer) for layer in wanted or found.layers}
