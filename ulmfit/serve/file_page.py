"""The page of one file: how far it is, then the links to its result.

The page has no script. It is sent bit by bit: each step hides the one before it (see `style`).
"""

import asyncio
from collections.abc import AsyncIterator

from fastcore import xml as html
from fastcore.xml import FT, H2, P

from ulmfit.serve.limits import KEPT_MINUTES
from ulmfit.serve.results import Job, Results
from ulmfit.serve.site import FILES, Frame, Site, framed_parts, problem

_PAUSE = 0.25  # seconds between two looks at the job


async def file_page(site: Site, results: Results, job: Job, theme: str) -> AsyncIterator[str]:
    """The page in parts: as long as it is read, the job goes on."""
    address = f"{FILES}/{job.key}"
    head, tail = framed_parts(
        site,
        Frame(address, theme, "file"),
        f"ulmfit: {job.name}",
        html.Form(id="file", action=address, method="post"),
        html.H1(job.name),
    )
    job.watchers += 1
    try:
        yield head
        if not job.work.done():
            yield '<div class="steps" role="log" aria-label="Progress">'
            last = ""
            while not job.work.done():
                if (step := _step(job)) != last:
                    last = step
                    yield step
                await asyncio.sleep(_PAUSE)
            yield _shown(P("Done."))
            yield "</div>"
        yield "".join(map(_shown, _end(job, address)))
        yield tail
    finally:
        job.watchers -= 1
        results.watch(job)


def _step(job: Job) -> str:
    """How far the job is; the share changes a hundred times at most."""
    if not job.rows:
        return _shown(P("Reading the file. Keep this page open."))
    if job.scored >= job.rows:
        return _shown(P(f"Classified {job.rows:,} texts. Drawing the report."))
    share = 100 * job.scored // job.rows
    bar = html.Progress(value=share, max=100, aria_label=f"{share} % of the texts are classified")
    return _shown(P(bar, f" {share} % of {job.rows:,} texts. Keep this page open."))


def _end(job: Job, address: str) -> list[FT]:
    back = P(html.A("Another text or file", href="/"))
    if job.problem:
        return [*problem(job.problem), back]
    links = [html.Li(html.A("The file with predictions (csv)", href=f"{address}/scored.csv"))]
    if job.work.result():
        links.insert(0, html.Li(html.A("The report", href=f"{address}/report")))
    else:
        what = "has no rows" if not job.rows else "is too large"
        links.append(html.Li(f"The file {what}: there is no report."))
    delete = html.Button("Delete both now", type="submit", name="delete", value="yes", cls="plain")
    kept = f"They are kept for {KEPT_MINUTES} minutes, for everyone who knows their address."
    return [
        html.Section(
            H2(f"{job.rows:,} texts are classified"),
            html.Ul(*links),
            P(kept, cls="note"),
            html.Form(delete, action=address, method="post"),
            cls="result",
        ),
        back,
    ]


def _shown(part: FT) -> str:
    return html.to_xml(part, indent=False)
