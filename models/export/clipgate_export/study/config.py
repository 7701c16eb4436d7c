"""The file that says what a study compares, in TOML; its paths are relative to it.

seed = 1
methods = ["minmax", "lsq-distil"]       # default: all
bits = [32, 8, 4]                        # default: 8; of weights, activations have 8; 32: trained, nothing rounded
range_images = 256                       # how many of the photos set ranges of methods without training
resamples = 1000                         # of the bootstrap
[images]
ranges = "images/ranges"                 # photos that set quantisation ranges
training = "images/training"             # one folder a label; only where a method trains
reporting = "images/reporting"           # one folder a label: what is counted
[[ood]]
name = "other things"
kind = "far"                             # or "near"
images = "images/other"
[[source]]
name = "mine"
bundle = "bundles/mine"                  # its image encoder is fp32 (`clipgate-export reference`)
[qat]                                    # also batch, rate, label_smoothing, range_images, checkpoint_steps, device
steps = 150
[promise]
risk = 0.1                               # share of accepted answers that may be wrong
fit_fraction = 0.5                       # of the reporting images, for temperature and threshold; the rest is counted
[corruptions]
images = 200                             # of the reporting images; 0: none
severities = [2, 4]                      # of 1 to 5
"""

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..qat.plan import BITS, SEEDS, Options
from .methods import METHODS

KINDS = ("near", "far")
SEVERITIES = (1, 2, 3, 4, 5)
REQUIRED = object()
# What a value's kind is called.
NAMED = {str: "text", int: "whole number", float: "number with a point", list: "list", dict: "table"}


@dataclass(frozen=True)
class Ood:
    """Images that show none of the labels; `kind` is "near" or "far"."""

    name: str
    kind: str
    images: Path


@dataclass(frozen=True)
class Source:
    """A model before quantisation."""

    name: str
    bundle: Path


@dataclass(frozen=True)
class Promise:
    """How gates are fitted: Learn-then-Test at `risk`, on `fit_fraction` of the reporting images."""

    risk: float = 0.1
    fit_fraction: float = 0.5


@dataclass(frozen=True)
class Corruptions:
    """How many of the reporting images are corrupted (0: none), at which severities of 1 to 5."""

    images: int = 200
    severities: tuple[int, ...] = (2, 4)


@dataclass(frozen=True)
class Study:
    """A checked config; `training` may be missing where nothing is trained."""

    path: Path
    seed: int
    methods: tuple[str, ...]
    bits: tuple[int, ...]
    ranges: Path
    reporting: Path
    training: Path | None
    ood: tuple[Ood, ...]
    sources: tuple[Source, ...]
    qat: Options
    promise: Promise
    corruptions: Corruptions
    range_images: int
    resamples: int

    @classmethod
    def read(cls, path: Path) -> "Study":
        """UserError names the file, the key and what to do."""
        try:
            record = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise UserError(f"{path}: not TOML ({error})") from error
        return _study(path, _Table(path, "", record))


class _Table:
    """A table of the file whose keys are taken one by one; what is left at the end is refused."""

    def __init__(self, path: Path, name: str, record: dict[str, Any]) -> None:
        self._path, self._name, self._record = path, name, record
        self._known: list[str] = []

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = REQUIRED) -> Any:
        self._known.append(key)
        value = self._record.get(key, default)
        if value is REQUIRED:
            raise self.wrong(key, "is missing")
        if key in self._record and (not isinstance(value, kind) or isinstance(value, bool)):
            raise self.wrong(key, f"{value!r}: give {_words(kind)}")
        return value

    def folder(self, key: str, default: Any = REQUIRED) -> Path | None:
        """A folder that exists."""
        given = self.take(key, str, default)
        if given is None:
            return None
        folder = self._path.parent / given
        if not folder.is_dir():
            raise self.wrong(key, f"{folder}: no such folder")
        return folder

    def table(self, key: str) -> "_Table":
        return _Table(self._path, f"{self._name}{key}.", self.take(key, dict, {}))

    def tables(self, key: str) -> list["_Table"]:
        listed = self.take(key, list, [])
        if not all(isinstance(entry, dict) for entry in listed):
            raise self.wrong(key, f"write it as [[{key}]]")
        return [_Table(self._path, f"{key} {place + 1}: ", entry) for place, entry in enumerate(listed)]

    def end(self) -> None:
        for key in self._record:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1, 0.0)
                raise self.wrong(key, f"no such key; the nearest is {near[0]!r}")

    def wrong(self, key: str, why: str) -> UserError:
        return UserError(f"{self._path}: {self._name}{key}: {why}")

    def unfit(self, why: str) -> UserError:
        """Of the whole table: `why` names the key."""
        return UserError(f"{self._path}: {self._name.removesuffix('.')}: {why}")


def _words(kind: type | tuple[type, ...]) -> str:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return "a " + " or a ".join(NAMED[kind] for kind in kinds)


def _study(path: Path, table: _Table) -> Study:
    methods = _listed(table, "methods", str, list(METHODS))
    for method in methods:
        if method not in METHODS:
            raise table.wrong("methods", f"{method!r} is unknown; there are {', '.join(METHODS)}")
    bits = _listed(table, "bits", int, [8])
    for width in bits:
        if width not in BITS:
            raise table.wrong("bits", f"{width}; weights take {', '.join(map(str, BITS))}")
    if not any(width in METHODS[method].bits for method in methods for width in bits):
        raise table.wrong("bits", f"{', '.join(methods)}: no method takes weights of {', '.join(map(str, bits))} bits")
    seed = table.take("seed", int, 0)
    if not 0 <= seed < SEEDS:
        raise table.wrong("seed", f"{seed} is not from 0 to {SEEDS - 1}")
    images = table.table("images")
    trained = [method for method in methods if METHODS[method].kind == "QAT"]
    ranges, reporting = images.folder("ranges"), images.folder("reporting")
    training = images.folder("training", REQUIRED if trained else None)
    images.end()
    study = Study(
        path=path,
        seed=seed,
        methods=tuple(name for name in METHODS if name in methods),
        bits=tuple(sorted(bits, reverse=True)),
        ranges=ranges,
        reporting=reporting,
        training=training,
        ood=tuple(_ood(entry) for entry in table.tables("ood")),
        sources=tuple(_source(entry) for entry in table.tables("source")),
        qat=_qat(table.table("qat"), seed),
        promise=_promise(table.table("promise")),
        corruptions=_corruptions(table.table("corruptions")),
        range_images=_at_least(table, "range_images", 256, 16),
        resamples=_at_least(table, "resamples", 1000, 20),
    )
    table.end()
    if not study.sources:
        raise table.wrong("source", "is missing: name a model in [[source]]")
    for key, named in (("source", study.sources), ("ood", study.ood)):
        names = [entry.name for entry in named]
        if repeated := [name for name in names if names.count(name) > 1]:
            raise table.wrong(key, f"{repeated[0]!r} names two")
    return study


def _listed(table: _Table, key: str, kind: type, default: list) -> list:
    values = table.take(key, list, default)
    if not values or not all(isinstance(value, kind) for value in values) or len(set(values)) != len(values):
        raise table.wrong(key, f"{values!r}: give a list of {NAMED[kind]}s, at least one and none twice")
    return values


def _at_least(table: _Table, key: str, default: int, least: int) -> int:
    value = table.take(key, int, default)
    if value < least:
        raise table.wrong(key, f"{value} is below {least}")
    return value


def _share(table: _Table, key: str, default: float) -> float:
    value = table.take(key, float, default)
    if not 0 < value < 1:
        raise table.wrong(key, f"{value} is not between 0 and 1")
    return value


def _ood(table: _Table) -> Ood:
    kind = table.take("kind", str)
    if kind not in KINDS:
        raise table.wrong("kind", f"{kind!r}; it is one of {', '.join(KINDS)}")
    ood = Ood(_name(table), kind, table.folder("images"))
    table.end()
    return ood


def _source(table: _Table) -> Source:
    source = Source(_name(table), table.folder("bundle"))
    table.end()
    return source


def _name(table: _Table) -> str:
    name = table.take("name", str).strip()
    # It becomes part of a bundle's id, and of `--ood NAME=DIR`.
    if not name or len(name) > 60 or not name.isprintable() or "=" in name:
        raise table.wrong("name", f"{name!r}: give 1 to 60 printable characters without '='")
    return name


def _qat(table: _Table, seed: int) -> Options:
    usual = Options()
    given: dict[str, Any] = {}
    for key, kind in (
        *((key, int) for key in ("steps", "batch", "range_images", "checkpoint_steps")),
        *((key, (int, float)) for key in ("rate", "label_smoothing")),
        ("device", str),
    ):
        given[key] = table.take(key, kind, getattr(usual, key))
    table.end()
    try:
        return Options(**given, seed=seed)
    except UserError as error:
        raise table.unfit(str(error)) from None


def _promise(table: _Table) -> Promise:
    usual = Promise()
    promise = Promise(_share(table, "risk", usual.risk), _share(table, "fit_fraction", usual.fit_fraction))
    table.end()
    return promise


def _corruptions(table: _Table) -> Corruptions:
    usual = Corruptions()
    severities = _listed(table, "severities", int, list(usual.severities))
    if wrong := [severity for severity in severities if severity not in SEVERITIES]:
        raise table.wrong("severities", f"{wrong[0]}; it is 1 to 5")
    corruptions = Corruptions(_at_least(table, "images", usual.images, 0), tuple(sorted(severities)))
    table.end()
    return corruptions
