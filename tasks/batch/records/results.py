"""A job's own objects, and what its parts hold.

job.json        what the job is; written first, so that it shows that the prefix can be written
manifest.json   counts, keys and checksums; written last, so that it means complete
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ....runtime.exceptions import S3AccessDenied
from ....runtime.s3 import S3Location, S3Store
from .blocks import BLOCK, blocks
from .lines import ErrorLine, OutputLine, decode_error, decode_output
from .packing import JSON
from .parts import ERRORS, KEY, OUTPUT, Part, Saved
from .splitting import LineSplitter

JOB = "job.json"
MANIFEST = "manifest.json"

#: Of the manifest's form.
VERSION = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says."""

    job: Mapping[str, Any]
    """The job's own members: id, request_counts, ..."""
    parts: tuple[Part, ...]
    """What was written, by chunk and run."""
    assembled: tuple[Saved, ...] = ()
    """Outputs put together, if that was asked for."""


def describe(store: S3Store, output: S3Location, job: Mapping[str, Any]) -> None:
    """Write `job.json`.

    Raises:
        S3Error, TransportError: the output prefix cannot be written.
    """
    store.put(output / JOB, _pretty(job), JSON)


def write_manifest(
    store: S3Store,
    output: S3Location,
    job: Mapping[str, Any],
    parts: Iterable[Part],
    assembled: Sequence[Saved] = (),
) -> None:
    """Write `manifest.json`: the job's own members, then its objects.

    Raises:
        S3Error, TransportError: it was not written.
    """
    ordered = sorted(parts, key=lambda part: (part.chunk, part.run))
    manifest = {
        "version": VERSION,
        **job,
        "parts": [asdict(part) for part in ordered],
        "assembled": [asdict(saved) for saved in assembled],
    }
    store.put(output / MANIFEST, _pretty(manifest), JSON)


def read_manifest(store: S3Store, output: S3Location) -> Manifest:
    """Read `manifest.json`.

    Raises:
        S3ObjectNotFound: the job is not complete.
        S3Error, TransportError: it cannot be read now.
    """
    values: dict[str, Any] = json.loads(store.get(output / MANIFEST).body or b"")
    parts = tuple(
        Part(part["chunk"], part["run"], _saved(part["output"]), _saved(part["errors"]))
        for part in values.pop("parts")
    )
    assembled = tuple(Saved(**saved) for saved in values.pop("assembled"))
    del values["version"]
    return Manifest(values, parts, assembled)


def read_outputs(
    store: S3Store, output: S3Location, part: Part, *, block: int = BLOCK
) -> Iterator[OutputLine]:
    """Yield a part's outputs in order of position, one block of bytes in memory at a time.

    Raises:
        S3Error, TransportError: they cannot be read.
    """
    return map(decode_output, _lines(store, output, part.output, block))


def read_errors(store: S3Store, output: S3Location, part: Part) -> Iterator[ErrorLine]:
    """Yield a part's errors in order of position, one block of bytes in memory at a time.

    Raises:
        S3Error, TransportError: they cannot be read.
    """
    return map(decode_error, _lines(store, output, part.errors, BLOCK))


def remove_strays(store: S3Store, output: S3Location, parts: Iterable[Part]) -> int:
    """Delete what runs wrote that were killed before their part counted; return how many.

    Whoever reads `output/*` then sees each record once. Touches only objects that are named as
    parts are. Without s3:DeleteObject or s3:ListBucket they stay, and a warning says so.

    Args:
        store: where they lie.
        output: the job's own output prefix; no other job may write below it.
        parts: all that count.

    Raises:
        S3Error, TransportError: they cannot be listed or deleted now.
    """
    counted = {saved.key for part in parts for saved in part.objects}
    try:
        strays = [
            name
            for folder in (OUTPUT, ERRORS)
            for name in _parts_in(store, output, folder)
            if name not in counted
        ]
        store.delete(output / stray for stray in strays)
    except S3AccessDenied as error:
        logger.warning("strays_left", extra={"location": str(output), "error": str(error)})
        return 0
    return len(strays)


def _parts_in(store: S3Store, output: S3Location, folder: str) -> Iterator[str]:
    root = (output / "").key
    for found in store.list(output / f"{folder}/"):
        name = found.location.key.removeprefix(root)
        if KEY.fullmatch(name):
            yield name


def _lines(store: S3Store, output: S3Location, saved: Saved | None, block: int) -> Iterator[bytes]:
    if saved is None:
        return
    splitter = LineSplitter(saved.bytes)
    for found in blocks(store, output / saved.key, 0, saved.bytes, block=block):
        yield from splitter.feed(found)
    yield from splitter.flush()


def _saved(values: dict[str, Any] | None) -> Saved | None:
    return Saved(**values) if values else None


def _pretty(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, indent=1).encode() + b"\n"
