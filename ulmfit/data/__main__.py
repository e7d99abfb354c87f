"""The command that looks at data before any compute is spent on it."""

from typing import Any

from ulmfit.base.cli import run_command


def main(
    data: str = "imdb-sample",  # a data set by name, a file or a folder
    text_col: str | None = None,  # the file's column that holds the text (default: text)
    label_col: str | None = None,  # the file's column that holds the label (default: label)
    split_col: str | None = None,  # the file's column that holds the split (default: split)
    multi_label: bool = False,  # a text may have several labels, separated by ;, or none
    seed: int = 42,  # of the split, where the data brings none
    rows: int = 3,  # how many texts to show
) -> dict[str, Any]:
    """Look at data before training on it: counts, labels, lengths, duplicates, what is odd.

    Prints a report and returns its figures. Labels of the test split are not looked at.
    """
    from ulmfit.data.load import load_data
    from ulmfit.data.preflight import examples, preflight, report

    frame = load_data(
        data,
        text_col=text_col,
        label_col=label_col,
        split_col=split_col,
        seed=seed,
        labels_required=False,
        multi_label=multi_label,
    )
    figures = preflight(frame, multi_label)
    print(report(str(data), figures, examples(frame, rows)))
    return figures


if __name__ == "__main__":
    run_command(main)
