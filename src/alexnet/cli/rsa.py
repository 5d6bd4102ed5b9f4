"""`alexnet rsa`."""

from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.options import Json
from alexnet.cli.screen import print_json, say, table


def rsa(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Feature files of `alexnet features`.")],
    layers: Annotated[str | None, typer.Option(help="Comma-separated. Default: all that the files have.")] = None,
    rdm: Annotated[list[Path] | None, typer.Option(help="Your own matrix (.npy, .csv, .mat); repeatable.")] = None,
    how: Annotated[str, typer.Option(help="spearman, kendall, pearson, cka or rbf-cka.")] = "spearman",
    distance: Annotated[str, typer.Option(help="correlation, cosine or euclidean.")] = "correlation",
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("rsa.png"),
    as_json: Json = False,
) -> None:
    """Compare representations of the same images: layers, networks and seeds by RSA or CKA."""
    from alexnet.errors import InputError
    from alexnet.files import check_target
    from alexnet.inference.feature_read import read
    from alexnet.insight import rsa as analysis

    check_target(out)
    wanted = [each.strip() for each in layers.split(",")] if layers else None
    sets, names, digests = {}, [], None
    for path in files:
        found = read(path)
        found.verify()
        if found.digests and digests and found.digests != digests:
            raise InputError(f"{str(path)!r} is of other images, or in another order, than {str(files[0])!r}")
        digests = digests or found.digests
        for layer in wanted or found.layers:
            sets[f"{path.stem}:{layer}" if len(files) > 1 else layer] = found.layer(layer)
    for path in rdm or ():
        sets[path.stem] = analysis.checked_rdm(read(path).layer(), str(path))
        names.append(path.stem)
    result = analysis.analyze(sets, how, distance, names)
    analysis.draw(result, out)
    if as_json:
        print_json({"picture": str(out), "distance": distance, **result.to_json()})
        return
    rows = zip(result.names, result.table, strict=True)
    table(("", *(f"{name}>" for name in result.names)), ((name, *(f"{v:.3f}" for v in row)) for name, row in rows))
    say(f"picture: {out}")
