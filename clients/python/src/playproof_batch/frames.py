"""Results, sessions and labels as data frames; pandas, polars and pyarrow are extras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow


def codes(value: Any) -> str:
    """Reasons, or ids, as one text joined by ``;``, as ``playproof-batch score`` writes them."""
    if isinstance(value, str):
        return value
    return ";".join(one["code"] if isinstance(one, Mapping) else str(one) for one in value or [])


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose reasons and matches are one text each."""
    return {name: codes(value) if name in ("reasons", "matches") else value for name, value in row.items()}


def columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns of equal length; what a row lacks is ``None``."""
    flattened = [flat(row) for row in rows]
    names = dict.fromkeys(name for row in flattened for name in row)
    return {name: [row.get(name) for row in flattened] for name in names}


def to_pandas(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """A pandas DataFrame of results, sessions or labels. ``pip install playproof-batch[pandas]``"""
    import pandas

    return pandas.DataFrame(columns(rows))


def to_polars(rows: Iterable[Mapping[str, Any]]) -> polars.DataFrame:
    """A polars DataFrame of results, sessions or labels. ``pip install playproof-batch[polars]``"""
    import polars

    # All rows decide on a column's type: a score may be missing in the first thousand.
    return polars.DataFrame(columns(rows), infer_schema_length=None)


def to_arrow(rows: Iterable[Mapping[str, Any]]) -> pyarrow.Table:
    """An Arrow table of results, sessions or labels. ``pip install playproof-batch[arrow]``"""
    import pyarrow

    return pyarrow.table(columns(rows))


def records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a DataFrame, an Arrow table, or an iterable of mappings; cells without a value are left out."""
    if hasattr(frame, "to_pylist"):
        rows = frame.to_pylist()
    elif hasattr(frame, "to_dicts"):
        rows = frame.to_dicts()
    elif hasattr(frame, "to_dict") and hasattr(frame, "columns"):
        rows = frame.to_dict("records")
    else:
        rows = [dict(row) for row in frame]
    return [{name: plain(value) for name, value in row.items() if not missing(value)} for row in rows]


def missing(value: Any) -> bool:
    """Whether a cell is empty: ``None``, not a number, or a library's own sign for that."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def plain(value: Any) -> Any:
    """A cell as JSON has it: lists for arrays, Python's numbers for others'."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items() if not missing(one)}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value
