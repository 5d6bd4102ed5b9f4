"""`alexnet check`: what is wrong with a dataset, before anything is trained on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alexnet.data.groups import grouping
from alexnet.data.readers.source import Labels
from alexnet.errors import InputError
from alexnet.inference.model import Model
from alexnet.insight.check.faults import KINDS, Fault, Item, counts_of, find
from alexnet.insight.check.inspect import Seen
from alexnet.insight.check.labels import Doubt, doubts
from alexnet.insight.check.listing import SPLITS, Listed, list_dataset, looks

Progress = Callable[[int, int], None]


@dataclass
class Checked:
    """What was looked at, and what was found."""

    listed: Listed
    seen: list[Seen]
    faults: list[Fault]
    notes: list[str] = field(default_factory=list)
    """What is to be said of how the dataset was read and how its labels were judged."""

    @property
    def serious(self) -> bool:
        return any(fault.serious for fault in self.faults)

    @property
    def quarantine(self) -> dict[str, str]:
        """Images that training is better without: name → why, in the dataset's order."""
        why: dict[int, str] = {}
        for fault in self.faults:
            for item in fault.items:
                for row in item.quarantine:
                    why.setdefault(row, f"{fault.kind}: {item.text}")
        return {self.listed.names[row]: why[row] for row in sorted(why)}

    def to_json(self) -> dict[str, Any]:
        """place, kind, images, splits {name: {class: images}}, serious, faults [{kind, serious, count, about, items
        [{images, text}]}], quarantine, notes."""
        listed, counts = self.listed, counts_of(self.listed)
        splits = {
            split: {name: int(counts[number, label]) for label, name in enumerate(listed.classes)}
            for number, split in enumerate(SPLITS)
            if counts[number].any()
        }
        return {
            "place": str(listed.place),
            "kind": listed.kind,
            "images": len(listed.names),
            "splits": splits,
            "serious": self.serious,
            "faults": [
                {
                    "kind": fault.kind,
                    "serious": fault.serious,
                    "count": len(fault.items),
                    "about": fault.about,
                    "items": [
                        {"images": [listed.names[row] for row in item.images], "text": item.text}
                        for item in fault.items
                    ],
                }
                for fault in self.faults
            ],
            "quarantine": self.quarantine,
            "notes": self.notes,
        }


def check(
    data: Path | str,
    name: str = "auto",
    *,
    group_by: str | None = None,
    model: Model | None = None,
    layer: str | None = None,
    progress: Progress | None = None,
    table: Labels | None = None,
) -> Checked:
    """Looks at every image of the dataset at `data` once.

    name: one of `alexnet.data.sources.SETS`; 'auto': recognized. group_by: a regular expression that finds an image's
    group (a patient, a burst) in its name, in its first parenthesis or as a whole; groups that train and are measured
    on are found, as are those of a table. model, layer: whose features judge the labels (`labels.doubts`), of which an
    image must have one. table: of the images' labels. InputError where there is no dataset, and for an expression that
    is none.
    """
    by_name = grouping(group_by) if group_by else None
    listed = list_dataset(data, name, table)
    group_of = by_name or (listed.groups.get if listed.groups else None)
    if model is not None and listed.targets is not None:
        raise InputError(
            "likely label errors are found among images of one class each, and these have several labels an image: "
            "leave out --weights"
        )
    if not listed.names:
        raise InputError(f"no images in {str(listed.place)!r}")
    seen: list[Seen] = []
    for block in looks(listed):
        seen += block
        if progress:
            progress(len(seen), len(listed.names))
    faults = find(listed, seen, group_of)
    if model is None:
        return Checked(listed, seen, faults, listed.notes)
    found, notes = doubts(listed, model, layer)
    if found:
        faults.append(doubtful(listed, found))
    return Checked(listed, seen, faults, listed.notes + notes)


def doubtful(listed: Listed, found: Sequence[Doubt]) -> Fault:
    """Likely label errors as a fault; none is quarantined, since somebody is to look at them first."""
    kind = "likely label error"
    items = tuple(
        Item((each.row,), f"looks like {listed.classes[each.likelier]}; its label has a probability of "
             f"{each.confidence:.1%}") for each in found
    )  # fmt: skip
    return Fault(kind, *KINDS[kind], items)


def quarantine_text(checked: Checked) -> str:
    """The quarantine list as a file: a name and, after a tab, the reason, on each line."""
    lines = (f"{name}\t{reason}\n" for name, reason in checked.quarantine.items())
    return "".join(lines)
