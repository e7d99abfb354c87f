"""General text: what stage 1 reads, and what it refuses."""

from tiny_models import refuses

from ulmfit.data.corpora import read_corpus


def test_folder_of_texts(tmp_path):
    for name, text in {"b": "second", "a": "first", "c": " "}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    assert read_corpus(tmp_path, "text").tolist() == ["first", "second"]


def test_text_file_alone_is_refused(tmp_path):
    path = tmp_path / "general.txt"
    path.write_text("a text")
    with refuses(
        f"{path}: found the extension '.txt' (a text file), expected one of .csv, .tsv, .jsonl, "
        ".parquet, .xlsx, or a folder of .txt files; rename it to .csv or .tsv if it is a table, "
        "or name a folder of .txt files, one a text"
    ):
        read_corpus(path, "text")
