"""Stages that are killed, interrupted, started twice, out of disk space, or diverging.

Every time, a repeat of the same command must end with the weights of an undisturbed run.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torture._forks import STAGES, Command, Fate
from torture.common import ROOT, SECONDS, Ended, Row

sys.path.append(str(ROOT / "tests"))  # for the texts

KILLS, TIMES = 20, 4  # of each stage, in the full run
WEIGHTS = ("encoder.safetensors", "head.safetensors")
_TINY = ["--batch-size=16", "--epochs=3", "--checkpoint-minutes=0"]
_LM = [*_TINY, "--min-freq=1", "--seq-len=16"]
_LAST = 40  # the last events, which write the model directory
_DISK = 4  # MB of the small file system


@dataclass(frozen=True)
class Stage:
    """A stage under torture, with the weights and the seconds of an undisturbed run.

    made: sha256 of the weights by file. sabotage: called in every process before it begins.
    """

    number: int
    arguments: list[str]
    made: dict[str, str]
    seconds: float
    events: int
    sabotage: Callable[[], None] | None = None

    def command(self, folder: Path, *more: str) -> Command:
        """The command that writes ``m`` in `folder`."""
        arguments = [*self.arguments, f"--out={folder / 'm'}", *more]
        return Command(STAGES[self.number - 1], arguments, folder, self.sabotage)


def prepared(place: Path, number: int, parent: Path | None = None) -> Stage:
    """A stage with the figures of an undisturbed run; `parent` is the previous stage's model."""
    from tiny_stages import write_general, write_reviews

    folder = place / f"whole{number}"
    folder.mkdir()
    if number == 1:
        corpus = write_general(place / "general.csv")
        given = [*_LM, f"--corpus={corpus}", "--size=tiny", "--valid-documents=8"]
    else:
        given = [f"--data={write_reviews(place / 'reviews.csv')}"]
        if number == 2:
            given += [*_LM, f"--pretrained={parent}", "--samples=1"]
        else:
            given += [*_TINY, f"--lm={parent}", "--hidden=8", "--bptt=16"]
    stage = Stage(number, given, {}, 0.0, 0)
    for out in ("first", "m"):  # the first run reads and imports more: do not time it
        began = time.monotonic()
        child = stage.command(folder).start()
        ended = child.end()
        if ended.status != 0:
            raise RuntimeError(f"stage {number} does not even run by itself: {ended.errors}")
        if out == "first":
            shutil.rmtree(folder / "m")
    seconds = time.monotonic() - began
    return replace(stage, made=hashes(folder / "m"), seconds=seconds, events=child.events())


def hashes(model: Path) -> dict[str, str]:
    """sha256 of the weights of a model directory."""
    return {name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in WEIGHTS}


def rows(scale: float, seed: int) -> Iterator[Row]:
    """All rows of the table."""
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        place, parent = Path(name), None
        for number in (1, 2, 3):
            stage = prepared(place, number, parent)
            parent = place / f"whole{number}" / "m"
            many, some = max(1, round(KILLS * scale)), max(1, round(TIMES * scale))
            yield killed_by_the_clock(stage, place, many, seed)
            yield killed_at_events(stage, place, many // 2 or 1, seed)
            yield interrupted(stage, place, some, seed)
            yield disk_full(stage, place, 2 * some, seed)
            yield read_only(stage, place, some, seed)
            yield started_twice(stage, place, some, seed)
            yield diverged(stage, place, some, seed)


def killed_by_the_clock(stage: Stage, place: Path, kills: int, seed: int) -> Row:
    """Kill the command at random times and repeat it until it ends."""
    row = Row(f"stage {stage.number}: kill -9 at a random moment")
    draw = random.Random(f"{seed} clock {stage.number}")
    done = False
    while row.tried < kills or not done:
        with folder_in(place) as folder:
            command, done, moments = stage.command(folder), False, []
            while not done:
                if row.tried < kills:
                    moments.append(round(draw.uniform(0, stage.seconds), 3))
                    ended = command.start().killed_after(moments[-1])
                else:
                    ended = command.run()
                row.tried += ended.status == -signal.SIGKILL
                done = ended.status != -signal.SIGKILL
            check_end(row, stage, folder, ended, f"seed {seed}, killed after {moments} s")
    return row


def killed_at_events(stage: Stage, place: Path, kills: int, seed: int) -> Row:
    """Kill the command just before it changes a file; then let a repeat end."""
    row = Row(f"stage {stage.number}: kill -9 between two changes of the disk")
    for event in events(stage, kills, random.Random(f"{seed} events {stage.number}")):
        with folder_in(place) as folder:
            command = stage.command(folder)
            killed = command.run(Fate("kill", event))
            row.tried += 1
            told = f"seed {seed}, killed at event {event}"
            if killed.status != -signal.SIGKILL:
                row.fail("crashed", f"{told}: ended with {killed.status} before: {killed.errors}")
            check_end(row, stage, folder, command.run(), told)
    return row


def events(stage: Stage, count: int, draw: random.Random) -> list[int]:
    """Random events of a run, half of them among those that write the model directory."""
    late = max(1, stage.events - _LAST)
    return [draw.randint(late if i % 2 else 1, stage.events) for i in range(count)]


def interrupted(stage: Stage, place: Path, times: int, seed: int) -> Row:
    """Ctrl-C during training: status 130 and one line; a repeat continues."""
    row = Row(f"stage {stage.number}: Ctrl-C while it trains")
    draw = random.Random(f"{seed} ctrl-c {stage.number}")
    longest = 0.5 * stage.seconds
    while row.tried < times:
        with folder_in(place) as folder:
            moment = round(draw.uniform(0, longest), 3)
            command = stage.command(folder)
            ended = real(command, folder / "m.checkpoint", moment)
            # The command was faster, or Python was exiting: then the signal just ends it.
            wrote = f"wrote {folder / 'm'}\n"
            leaving = ended.status == -signal.SIGINT and wrote in ended.output
            if ended.status == 0 or leaving:
                longest *= 0.7  # measured while other work made the machine slow
                continue
            row.tried += 1
            told = f"seed {seed}, interrupted {moment} s after its first checkpoint"
            checkpoint = folder / "m.checkpoint"
            line = f"interrupted: saved {checkpoint}; the same command goes on from there\n"
            late = f"interrupted: the same command goes on from {checkpoint}\n"  # training done
            if ended.status != 130 or ended.errors not in (line, late):
                row.fail("crashed", f"{told}: status {ended.status}: {ended.errors}")
            check_end(row, stage, folder, command.run(), told)
    return row


def real(command: Command, awaited: Path, seconds: float) -> Ended:
    """``python -m ...`` that gets Ctrl-C some time after `awaited` exists."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "ULMFIT_CACHE": str(command.folder / "cache"),
    }
    arguments = [sys.executable, "-m", command.module, *command.arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        arguments, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        until = time.monotonic() + SECONDS
        while process.poll() is None and not awaited.exists() and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return Ended(None, *process.communicate())
        return Ended(process.returncode, output, errors)


def disk_full(stage: Stage, place: Path, times: int, seed: int) -> Row:
    """A full disk: one line and a whole checkpoint; with space again, a repeat continues."""
    row = Row(f"stage {stage.number}: full disk")
    for event in events(stage, times, random.Random(f"{seed} disk {stage.number}")):
        with folder_in(place, small=True) as folder:
            command = stage.command(folder)
            told = f"seed {seed}, full from event {event} on"
            ended = command.run(Fate("fill", event))
            row.tried += 1
            if ended.status != 0 and not ended.one_line_error:
                row.fail("crashed", f"{told}: status {ended.status}: {ended.errors}")
            check_checkpoint(row, folder, told)
            (folder / "filler").unlink(missing_ok=True)
            check_end(row, stage, folder, command.run(), told)
    return row


def read_only(stage: Stage, place: Path, times: int, seed: int) -> Row:
    """A read-only directory when a run continues: one line, and no file changes."""
    row = Row(f"stage {stage.number}: read-only directory")
    with folder_in(place, small=True) as folder:
        if os.geteuid() == 0 and not os.path.ismount(folder):
            row.skipped = "root writes where it likes, and may not mount here"
            return row
    for event in events(stage, times, random.Random(f"{seed} read-only {stage.number}")):
        with folder_in(place, small=True) as folder:
            command = stage.command(folder)
            command.run(Fate("kill", event))
            before = contents(folder)
            told = f"seed {seed}, killed at event {event} and then made read-only"
            with made_read_only(folder):
                ended = command.run()
            row.tried += 1
            if ended.status == 0:
                row.fail("let_in", f"{told}: it ended")
            elif not ended.one_line_error:
                row.fail("crashed", f"{told}: status {ended.status}: {ended.errors}")
            if contents(folder) != before:
                row.fail("lost", f"{told}: what lay there is not what lies there")
            check_end(row, stage, folder, command.run(), told)
    return row


def started_twice(stage: Stage, place: Path, times: int, seed: int) -> Row:
    """A second run is refused while the first is alive, and continues after its kill."""
    row = Row(f"stage {stage.number}: two runs into one directory")
    draw = random.Random(f"{seed} twice {stage.number}")
    longest = 0.5 * stage.seconds
    while row.tried < times:
        with folder_in(place) as folder:
            command, moment = stage.command(folder), round(draw.uniform(0, longest), 3)
            first = command.start()
            first.wait_for(folder / "m.lock")
            time.sleep(moment)
            first.send(signal.SIGSTOP)  # lives, and cannot end meanwhile
            held, before = (folder / "m.lock").exists(), contents(folder)
            second = command.run()
            told = f"seed {seed}, started {moment} s after the first: {second.errors}"
            unchanged = contents(folder) == before
            first.send(signal.SIGKILL)
            first.end()
            if held:
                row.tried += 1
                line = f"error: {folder / 'm'} is in use by another run (process {first.pid} on "
                if second.status == 0 or not unchanged:
                    row.fail("let_in", told)
                elif not (second.one_line_error and second.errors.startswith(line)):
                    row.fail("crashed", told)
            else:
                longest *= 0.7  # the first had ended: measured while other work slowed it down
            check_end(row, stage, folder, command.run(), told)
    return row


def diverged(stage: Stage, place: Path, times: int, seed: int) -> Row:
    """An absurd learning rate: one line with place and advice, and no bad checkpoint."""
    row = Row(f"stage {stage.number}: loss that explodes or is no number")
    draw = random.Random(f"{seed} rate {stage.number}")
    for _ in range(times):
        with folder_in(place) as folder:
            rate = f"1e{draw.randint(4, 37)}"
            ended = stage.command(folder, f"--lr={rate}").run()
            row.tried += 1
            told = f"seed {seed}, --lr {rate}: status {ended.status}: {ended.errors}"
            if ended.status == 0:
                row.fail("let_in", told)
            elif not (ended.one_line_error and "give a lower --lr" in ended.errors):
                row.fail("crashed", told)
            check_checkpoint(row, folder, told)
            check_end(row, stage, folder, stage.command(folder, "--overwrite").run(), told)
    return row


def check_end(row: Row, stage: Stage, folder: Path, ended: Ended, told: str) -> None:
    """Count failures at the end of the last run: weights, output, leftover files."""
    there = f"error: {folder / 'm'} already holds a model; choose another --out or pass --overwrite"
    # Killed after the model was written and before the checkpoint was removed.
    was_done = ended.status == 1 and ended.errors.strip() == there
    if ended.status != 0 and not was_done:
        row.fail("crashed", f"{told}: then status {ended.status}: {ended.errors}")
        return
    if hashes(folder / "m") != stage.made:
        row.fail("lost", f"{told}: other weights than those of a run that was left alone")
    left = {entry.name for entry in folder.iterdir()} - {"m", "cache"}
    if left - ({"m.checkpoint"} if was_done else set()):
        row.fail("lost", f"{told}: it left {', '.join(sorted(left))}")


def check_checkpoint(row: Row, folder: Path, told: str) -> None:
    """Count a checkpoint that is unreadable or has NaN or infinity."""
    import torch
    from safetensors import SafetensorError, safe_open

    if not (folder / "m.checkpoint").exists():
        return
    try:
        with safe_open(str(folder / "m.checkpoint"), framework="pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        row.fail("lost", f"{told}: the checkpoint cannot be read: {error}")
        return
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        row.fail("lost", f"{told}: the checkpoint holds what is no number")


def contents(folder: Path) -> dict[str, bytes]:
    """All files below `folder` except the locks."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in files if path.suffix != ".lock"}


@contextmanager
def folder_in(place: Path, small: bool = False) -> Iterator[Path]:
    """An empty folder; if `small`, a file system of its own where mounting is permitted."""
    folder = Path(tempfile.mkdtemp(dir=place))
    mounted = small and _mount("-t", "tmpfs", "-o", f"size={_DISK}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        for file in place.glob(f"{folder.name}-run*"):
            file.unlink()


@contextmanager
def made_read_only(folder: Path) -> Iterator[None]:
    """Nothing in `folder` can be changed within the block."""
    mounted = os.path.ismount(folder)
    if mounted:
        _mount("-o", "remount,ro", str(folder))
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        if mounted:
            _mount("-o", "remount,rw", str(folder))
        else:
            folder.chmod(0o755)


def _mount(*arguments: str) -> bool:
    with suppress(OSError):
        return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0
    return False
