"""The demo's data and model: scikit-learn's handwritten digits, classified out of fold.

The data set is split in two halves and one model is trained on each. An image is always
classified by the model of the *other* half, so that all 1,797 images can be classified and no
model ever sees its own training data.
"""

import json
from dataclasses import dataclass
from typing import Any

#: Halves of the data set, and so models.
FOLDS = 2

#: With what a request says which fold its image belongs to: a custom attribute, or a JSON member.
FOLD_ATTRIBUTE = "fold"

#: Content type of a request: 64 grey values of 0 to 16 in one line.
CONTENT_TYPE = "text/csv"

#: Content type of a request that carries its fold itself: `{"fold": 0, "image": "0,16,..."}`.
#: The records of a batch job have all the same custom attributes.
JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One image and the truth about it.

    Attributes:
        number: its place in the data set, from 0.
        body: the request body, 64 comma-separated grey values.
        digit: what a human says it shows.
        fold: the half of the data set it belongs to.
    """

    number: int
    body: str
    digit: int
    fold: int

    @property
    def custom_attributes(self) -> str:
        """What the container needs to pick the model that has not seen this image."""
        return f"{FOLD_ATTRIBUTE}={self.fold}"

    def to_json(self) -> dict[str, Any]:
        """Return the body of a request that carries its fold itself."""
        return {FOLD_ATTRIBUTE: self.fold, "image": self.body}


def records(limit: int | None = None) -> list[Record]:
    """The data set's images in their order, all 1,797 unless limited."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - the demo extra, seconds to import

    bunch = load_digits()
    rows = zip(bunch.data, bunch.target, strict=True)
    made = [_record(number, row, digit) for number, (row, digit) in enumerate(rows)]
    return made[:limit]


def _record(number: int, row: Any, digit: Any) -> Record:
    body = ",".join(str(int(value)) for value in row)
    return Record(number=number, body=body, digit=int(digit), fold=number % FOLDS)


def fold_of(custom_attributes: str | None) -> int:
    """The fold that a request names.

    Raises:
        ValueError: no `fold=` with a number of a fold in the custom attributes.
    """
    name, _, value = (custom_attributes or "").partition("=")
    if name != FOLD_ATTRIBUTE or value not in {str(fold) for fold in range(FOLDS)}:
        raise ValueError(f"a request must say {FOLD_ATTRIBUTE}=0..{FOLDS - 1}")
    return int(value)


def image_of(body: bytes) -> tuple[str, int]:
    """The image of a JSON body, and its fold.

    Raises:
        ValueError: the body is not what `Record.to_json` returns.
    """
    try:
        value = json.loads(body)
        return str(value["image"]), fold_of(f"{FOLD_ATTRIBUTE}={value[FOLD_ATTRIBUTE]}")
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f'the body must be {{"{FOLD_ATTRIBUTE}": 0, "image": "..."}}') from error


class Classifier:
    """One support vector machine per fold, each trained on the images of the other folds."""

    def __init__(self) -> None:
        self._models = [_train(fold) for fold in range(FOLDS)]

    def classify(self, body: str, fold: int) -> int:
        """The digit an image shows, by the model that has not seen its fold.

        Raises:
            ValueError: the body is not 64 comma-separated numbers.
        """
        row = [float(value) for value in body.split(",")]
        return int(self._models[fold].predict([row])[0])


def _train(fold: int) -> Any:
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.svm import SVC  # noqa: PLC0415

    bunch = load_digits()
    rows = [number for number in range(len(bunch.target)) if number % FOLDS != fold]
    # gamma is the value of scikit-learn's own digits example.
    return SVC(gamma=0.001).fit(bunch.data[rows], bunch.target[rows])
