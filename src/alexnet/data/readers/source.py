"""What every format offers: a name, how it is recognized, and how its images are opened or listed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from alexnet.data.dataset import Dataset
from alexnet.data.loading.depth import dim_color, range_of
from alexnet.data.loading.samples import Range, told
from alexnet.data.loading.stored import Form, Listing, Progress, open_listing
from alexnet.data.remote.address import Address
from alexnet.errors import InputError, counted


@dataclass(frozen=True)
class Labels:
    """Which table gives the labels, and what the user says of its form."""

    path: Path | None = None
    """None: the dataset's path is the table."""
    separator: str | None = None
    """Between the labels of one image; '': a label is taken as it is, whatever it holds; None: not said."""
    columns: tuple[str, ...] = ()
    """The columns of 0 and 1, one a class; (): all there are."""
    classes: tuple[str, ...] = ()
    """The classes of a multi-label model whose images these are; (): the table says them."""

    @property
    def form(self) -> str:
        """What is said of the table's form, by its recipe key; empty: nothing."""
        return "label_separator" if self.separator is not None else "label_columns" if self.columns else ""

    def kind(self, name: str | None) -> str | None:
        """The dataset's kind, where the user said `name`. InputError for one that has its labels otherwise."""
        if self.path is None:
            return name
        if name not in (None, "auto", "folder", "table"):
            raise InputError(f"a table of labels is for a folder of images, not for {name}")
        return "table"

    def check(self, kind: str) -> None:
        """InputError where the dataset is of a `kind` that has no table, and one was named or its form said."""
        if kind != "table" and self.path is not None:
            raise InputError(f"a table of labels (--labels) is for a folder of images, not for {kind}: leave it out")
        if kind != "table" and self.form:
            raise InputError(f"data.{self.form} is for a table of labels, not for {kind}")


@dataclass(frozen=True)
class Request:
    """What is asked of a source; each takes of it what concerns it."""

    path: Path | None = None
    size: tuple[int, int] | None = None
    """(height, width) at which images of any size are kept; None: their own."""
    channels: int | None = None
    """1 or 3; None: the source's own, for image files 3."""
    fit: str = "crop"
    antialias: bool = True
    samples: Range | None = None
    """Of image files with more than 8 bits a sample: the range that becomes 0–255; None: it is found."""
    layout: str = "auto"
    """Of class folders, one of folder.LAYOUTS."""
    transpose: bool | None = None
    """Of IDX files: whether rows and columns are exchanged; None: where the files are EMNIST's."""
    labels: Labels | None = None
    """The table that gives the labels of the images at `path`, or what is said of the table there; None: neither."""
    first_classes: int | None = None
    progress: Progress | None = None
    classes: int = 10
    """Of synthetic images, as `count` and `seed`."""
    count: int = 1000
    seed: int = 0
    address: Address | None = None
    """Where shards lie elsewhere, instead of `path`."""
    missing_shards: str = "stop"
    """One of shards.MISSING."""

    @property
    def place(self) -> Path:
        assert self.path is not None, "open_splits gives a path to every source that reads"
        return self.path


def whole_groups(groups: Mapping[str, str]) -> str:
    """The line that says so. groups: as `Listing.groups`."""
    return f"{counted(len(set(groups.values())), 'group')}: validation takes whole groups"


@dataclass
class Opened:
    """What a source gives."""

    splits: dict[str, Dataset]
    """'train', perhaps 'validation' and 'test'."""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    """Files that were left out: (name, reason)."""
    notes: list[str] = field(default_factory=list)
    """How the source was read, a line each."""
    samples: Range | None = None
    """The range of deep samples that was used."""
    groups: dict[str, str] = field(default_factory=dict)
    """As `Listing.groups`."""
    index: str = ""
    """SHA-256 of the index of shards that lie elsewhere."""


class Source(ABC):
    """A kind of dataset by its name."""

    name: str
    expected: str = ""
    """What lies where it is read; empty: it is made, not read."""
    home: str | None = None
    """Its folder below $ALEXNET_DATA and the cache; None: it is read only where the user says."""
    any_size = False
    """Whether its images are made as large as they are asked for."""
    picks_classes = False
    """Whether it can give its first classes only."""

    def recognize(self, path: Path) -> bool:
        """Whether it lies at `path`: known by its files, not by their place."""
        return False

    @abstractmethod
    def open(self, request: Request) -> Opened:
        """The images. Raises InputError for anything wrong, naming what is expected."""


class ListedSource(Source):
    """Image files, or members of archives, that are listed first and decoded afterwards."""

    any_size = picks_classes = True
    examine = True
    """Whether every image is decoded once before anything begins: see `open_listing`."""

    @abstractmethod
    def list(
        self, path: Path, first_classes: int | None = None, layout: str = "auto", labels: Labels | None = None
    ) -> Listing:
        """The images at `path`, none of them decoded; `layout`: one of folder.LAYOUTS; `labels`: as in Request."""

    def open(self, request: Request) -> Opened:
        listing = self.list(request.place, request.first_classes, request.layout, request.labels)
        samples, count, dim = request.samples, 0, None
        if samples is None and self.examine:
            samples, count = range_of(listing)
            dim = dim_color(listing)
        form: Form = {
            "channels": request.channels or 3,
            "size": request.size or (0, 0),
            "fit": request.fit,
            "antialias": request.antialias,
            "samples": samples,
        }
        splits, skipped = open_listing(
            listing, form, request.progress, examine=self.examine, own_sizes=request.size is None
        )
        notes = [*listing.notes, *([told(samples, count)] if samples and count else []), *([dim] if dim else [])]
        return Opened(splits, skipped, notes, samples, listing.groups)
