"""Outputs as Batch Transform writes them: one after the other, in the order of the input."""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from ....runtime.s3 import S3Location, S3Store
from .blocks import BLOCK
from .lines import OutputLine
from .parts import Part, Saved
from .results import read_outputs

#: Bytes that are held while the parts of a chunk are merged; the least of one part.
MEMORY = 4 * BLOCK
LEAST = 65_536


class AssembleWith(StrEnum):
    """What stands between two outputs: a line break, or nothing."""

    LINE = "Line"
    NONE = "None"


def assemble(
    store: S3Store,
    output: S3Location,
    chunks: Iterable[Sequence[Part]],
    assemble_with: AssembleWith,
) -> list[Saved]:
    """Write `assembled/part-00007.out` for each chunk that has outputs.

    Records without an output have no place in it.

    Args:
        store: where parts are read and outputs written.
        output: the job's output prefix.
        chunks: the parts of each chunk, in the order of the input.
        assemble_with: what stands between two outputs.

    Raises:
        S3Error, TransportError: something could not be read or written.
    """
    found = (_chunk(store, output, parts, assemble_with) for parts in chunks)
    return [saved for saved in found if saved]


def _chunk(
    store: S3Store, output: S3Location, parts: Sequence[Part], assemble_with: AssembleWith
) -> Saved | None:
    records = sum(part.succeeded for part in parts)
    if not records:
        return None
    key = f"assembled/part-{parts[0].chunk:05d}.out"
    block = max(MEMORY // len(parts), LEAST)
    merged = heapq.merge(
        *(read_outputs(store, output, part, block=block) for part in parts),
        key=lambda line: line.position,
    )
    tally = _Tally()
    store.put_blocks(output / key, tally.pass_on(_bodies(merged, assemble_with)))
    return Saved(key, records, tally.bytes, tally.sha256.hexdigest())


def _bodies(lines: Iterable[OutputLine], assemble_with: AssembleWith) -> Iterator[bytes]:
    for line in lines:
        if assemble_with is AssembleWith.NONE:
            yield line.output
        else:
            yield line.output.removesuffix(b"\n") + b"\n"


class _Tally:
    def __init__(self) -> None:
        self.bytes = 0
        self.sha256 = hashlib.sha256()

    def pass_on(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.bytes += len(block)
            self.sha256.update(block)
            yield block
