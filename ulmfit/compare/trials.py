"""Runs jobs one after the other, each in a process, and stores each result at once."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ulmfit.artifacts.manifest import library_versions
from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.precision import hardware
from ulmfit.base.progress import progress
from ulmfit.compare.identity import differences, identity
from ulmfit.compare.judge import Judge
from ulmfit.compare.plan import METHODS, Job, Result, Settings
from ulmfit.compare.worker import how_it_ended, run_process


class Trials:
    """The results in a folder; missing ones are computed.

    A result belongs to its settings and data. Results of other settings or data are refused or,
    with `overwrite`, computed again. The next call repeats a failed job.
    """

    def __init__(
        self, out: Path, settings: Settings, judge: Judge, overwrite: bool = False
    ) -> None:
        self.out, self.settings, self.judge = out, settings, judge
        self.kept, self.shared = out / "trials", out / "work"
        self.data = judge.fingerprint()
        self.found: dict[Job, Result] = {}
        for file in sorted(self.kept.glob("*.json")):
            self._take_up(file, overwrite)

    def _take_up(self, file: Path, overwrite: bool) -> None:
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            job = Job(*result["job"])
            wanted = identity(job, self.settings, self.data)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{file} is damaged; delete it, and it is computed again") from None
        if result["identity"] == wanted:
            self.found[job] = result
            if "figures" in result:  # measure again: a label of test may have been corrected
                result["figures"] = self.judge.figures(self.probabilities(job))
        elif overwrite or result["status"] == "failed":
            file.unlink()
        else:
            other = differences(result["identity"], wanted)
            raise UserError(
                f"{file} was measured with other {' and '.join(other)}; give the same, choose "
                "another --out, or pass --overwrite to repeat such trials"
            )

    def make(self, jobs: Sequence[Job]) -> None:
        """Compute the missing results of `jobs`, in their order.

        Raises:
            KeyboardInterrupt: after Ctrl-C, when the current job has ended.
        """
        wanted = self._wanted(jobs)
        todo = [(number, job) for number, job in enumerate(jobs, 1) if job in wanted]
        for number, job in progress(todo, len(todo), "comparing", "trial", even=False):
            logger.info(f"[{number}/{len(jobs)}] {job.told}")
            result = self._failed_need(job) or self._run(job)
            result = {"job": [job.method, job.labels, job.seed], **result}
            # Not computed in the trial: the imports would add to its peak memory.
            result |= {"hardware": hardware(), "versions": library_versions()}
            result["identity"] = identity(job, self.settings, self.data)
            self._keep(job, result)
            logger.info(f"    {_told(result)}")

    def _wanted(self, jobs: Sequence[Job]) -> set[Job]:
        """Unfinished jobs, and their needs if the files in ``work`` are gone."""
        wanted = {job for job in jobs if self.found.get(job, {}).get("status") != "done"}
        for job in reversed(jobs):  # the needs of a job come before it
            if job in wanted:
                wanted |= {need for need in job.needs() if not self._place(need).exists()}
        return wanted

    def probabilities(self, job: Job) -> np.ndarray:
        """Probabilities of a finished trial for the texts of test, shape (texts, classes)."""
        return np.load(self.kept / f"{job.name}.npy")

    def _keep(self, job: Job, result: Result) -> None:
        if result["status"] == "done":
            needs = [self.found[need] for need in job.needs()]
            # A method's result includes that of its needs: language models, for example.
            result["total_seconds"] = result["seconds"] + sum(n["total_seconds"] for n in needs)
            result["peak_bytes"] = max([result["peak_bytes"], *(n["peak_bytes"] for n in needs)])
            if job.method in METHODS:
                result["figures"] = self.judge.figures(self.probabilities(job))
        self.found[job] = result
        atomic_write(self.kept / f"{job.name}.json", json.dumps(result, indent=1) + "\n")

    def _failed_need(self, job: Job) -> Result | None:
        for need in job.needs():
            result = self.found[need]
            if result["status"] == "failed":
                return {"status": "failed", "why": f"{need.method}: {result['why']}"}
        return None

    def _place(self, job: Job) -> Path:
        """A folder, in which ``made`` is for later jobs and for the job's own continuation."""
        return self.shared / job.name

    def _run(self, job: Job) -> Result:
        place = self._place(job)
        spec_file, answer, log = place / "spec.json", place / "answer.json", place / "log.txt"
        wanted = identity(job, self.settings, self.data)
        if not spec_file.exists() or json.loads(spec_file.read_bytes())["identity"] != wanted:
            shutil.rmtree(place, ignore_errors=True)  # of a job with other settings or data
        spec = {
            "identity": wanted,
            "method": job.method,
            "data": str(self._data_file(job)),
            "classes": self.judge.classes,
            "seed": 1 if job.seed is None else job.seed,
            "settings": asdict(self.settings),
            "folder": str(place / "made"),
            "shared": str(self.shared),
            "tests": self.judge.tests,
            "needs": {need.method: str(self._place(need) / "made") for need in job.needs()},
            "probabilities": str(self.kept / f"{job.name}.npy"),
            "answer": str(answer),
        }
        atomic_write(spec_file, json.dumps(spec, indent=1))
        answer.unlink(missing_ok=True)
        status = run_process([sys.executable, "-m", "ulmfit.compare.worker", str(spec_file)], log)
        if not answer.exists():
            return {"status": "failed", "why": how_it_ended(status, log)}
        return json.loads(answer.read_text(encoding="utf-8"))

    def _data_file(self, job: Job) -> Path:
        """The texts of a job, with the labels that it may see."""
        name = "texts" if job.labels is None else f"labels-{job.labels or 'all'}-{job.seed}"
        file = self.shared / f"{name}-{self.data}.parquet"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            frame = self.judge.task(job.labels, job.seed).astype({"label": "str"})
            frame.to_parquet(file, index=False)
        return file


def _told(result: Result) -> str:
    if result["status"] == "failed":
        return f"failed: {result['why']}"
    if "figures" not in result:
        return f"{result['clock']:,.1f} s"
    return f"accuracy {result['figures']['accuracy']:.4f}, {result['total_seconds']:,.1f} s in all"
