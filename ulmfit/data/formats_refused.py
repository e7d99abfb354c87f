"""Known kinds of files that are not read, each with the way to one that is."""

_PANDAS = "with pandas, pandas.{reader}(...).to_parquet(...) does so"
_SHEET = "save the sheet as .xlsx or .csv"
_STATISTICS = "save it as .csv, or " + _PANDAS
_UNPACK = "unpack it first"

# Ending -> what it is, and the way out.
_REFUSED: dict[str, tuple[str, str]] = {
    ".xls": ("a sheet of an old Excel", _SHEET),
    ".xlsb": ("a binary Excel sheet", _SHEET),
    ".xlsm": ("an Excel sheet with macros", _SHEET),
    ".ods": ("an OpenDocument sheet", _SHEET),
    ".numbers": ("a sheet of Numbers", _SHEET),
    ".feather": (
        "Arrow's Feather",
        "save it as .parquet; " + _PANDAS.format(reader="read_feather"),
    ),
    ".arrow": ("an Arrow file", "save it as .parquet"),
    ".orc": ("ORC", "save it as .parquet; " + _PANDAS.format(reader="read_orc")),
    ".avro": ("Avro", "save it as .parquet or .jsonl"),
    ".sav": ("a file of SPSS", _STATISTICS.format(reader="read_spss")),
    ".dta": ("a file of Stata", _STATISTICS.format(reader="read_stata")),
    ".sas7bdat": ("a file of SAS", _STATISTICS.format(reader="read_sas")),
    ".rds": ("a file of R", "save it as .csv; with R, write.csv(..., row.names = FALSE) does so"),
    ".rdata": ("a file of R", "save it as .csv; with R, write.csv(..., row.names = FALSE) does so"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".joblib"),
        ("a pickle, which can run code when it is read", "save the table as .parquet or .csv"),
    ),
    **dict.fromkeys((".npy", ".npz"), ("a file of NumPy", "save the table as .parquet or .csv")),
    **dict.fromkeys(
        (".db", ".sqlite", ".sqlite3", ".duckdb"), ("a database", "export the table as .csv")
    ),
    **dict.fromkeys((".h5", ".hdf5"), ("a file of HDF5", "save the table as .parquet or .csv")),
    ".json": (
        "JSON that is one value",
        "save it as .jsonl, one object a line; with pandas, to_json(..., orient='records', "
        "lines=True) does so",
    ),
    **dict.fromkeys((".ndjson", ".jsonlines", ".jl"), ("JSON lines", "rename it to .jsonl")),
    **dict.fromkeys(
        (".tab", ".dat"), ("a text file", "rename it to .tsv or .csv if it is a table")
    ),
    ".txt": (
        "a text file",
        "rename it to .csv or .tsv if it is a table, or name a folder of .txt files, one a text",
    ),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".rtf"), ("a document", "save its texts as .csv")),
    **dict.fromkeys(
        (".xml", ".html"), ("a document of markup", "save its texts as .csv or .jsonl")
    ),
    **dict.fromkeys((".zip", ".7z", ".rar", ".tar", ".tgz"), ("an archive", _UNPACK)),
    **dict.fromkeys(
        (".bz2", ".xz", ".lz4", ".br"), ("a packed file", _UNPACK + ", or pack with gzip")
    ),
}


def way_out(ending: str, packed: str) -> tuple[str, str]:
    """What files of this ending are, in brackets, and what to do; empty where neither is known.

    Args:
        packed: the ending behind it if the file is packed, else ''.
    """
    if packed and not ending:
        return "", f"; name it by what is packed, such as reviews.csv{packed}"
    if packed and ending not in _REFUSED:
        return "", f"; {_UNPACK}"
    kind, way = _REFUSED.get(ending, ("", ""))
    return (f" ({kind})", f"; {way}") if kind else ("", "")
