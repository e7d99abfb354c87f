"""Actors on a cluster that loses machines, with a Ray that this file makes up."""

from collections import deque
from types import SimpleNamespace

import pytest
from tiny_models import refuses

from ulmfit.bulk.actors import Pool


class ActorError(Exception):
    pass


class LostError(Exception):
    pass


class TaskError(Exception):
    pass


class Part:
    advice = "give more memory"

    def __init__(self, number):
        self.number, self.about = number, f"part {number}"


class Cluster:
    """A Ray with `cores` for actors; a call ends when `wait` is asked for it.

    deadly: numbers of parts that end their worker and its core, once each time they stand there.
    """

    exceptions = SimpleNamespace(
        RayTaskError=TaskError,
        RayActorError=ActorError,
        WorkerCrashedError=ActorError,
        OutOfMemoryError=ActorError,
        ObjectLostError=LostError,
    )

    def __init__(self, cores, deadly=(), lost=True, alive=True):
        self.cores, self.deadly, self.lost, self.alive = cores, deque(deadly), lost, alive
        self.used = 0
        self.calls = {}
        self.done = []

    def remote(self, **options):
        return lambda kind: SimpleNamespace(remote=lambda job: Actor(self, kind(job)))

    def kill(self, actor):
        pass

    def nodes(self):
        if self.alive is None:
            raise ConnectionError("nobody answers")
        return [{"Alive": self.alive, "Resources": {"CPU": 1.0}}]

    def wait(self, references, timeout):
        for reference in references:
            actor = self.calls[reference][0]
            if not actor.placed and self.used < self.cores:
                actor.placed, self.used = True, self.used + 1
            if actor.placed:
                return [reference], [r for r in references if r != reference]
        return [], references

    def get(self, reference):
        actor, part = self.calls.pop(reference)
        if part is None:
            return None
        if self.deadly and self.deadly[0] == part.number:
            self.deadly.popleft()
            self.used, self.cores = self.used - 1, self.cores - self.lost
            raise ActorError("The actor died unexpectedly.\nmore lines")
        self.done.append(part.number)
        return actor.worker.run(part)


class Actor:
    def __init__(self, cluster, worker):
        self.cluster, self.worker, self.placed = cluster, worker, False
        self.begin = SimpleNamespace(remote=lambda: self._called(None))
        self.run = SimpleNamespace(remote=self._called)

    def _called(self, part):
        reference = object()
        self.cluster.calls[reference] = self, part
        return reference


class Job:
    def run(self, part):
        return part.number


def finished(cluster, workers, count=6):
    return list(Pool(cluster, Job(), workers).run(map(Part, range(count))))


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_every_part_is_done_once(workers):
    cluster = Cluster(cores=2 if workers > 1 else 1)
    assert sorted(finished(cluster, workers)) == list(range(6))
    assert sorted(cluster.done) == list(range(6))


def test_parts_of_a_lost_machine_go_to_those_that_are_left(told):
    cluster = Cluster(cores=2, deadly=[1])
    assert sorted(finished(cluster, 2)) == list(range(6))
    assert cluster.cores == 1
    assert told == ["a worker has died; another one takes part 1"]


def test_a_dead_worker_is_replaced():
    cluster = Cluster(cores=1, deadly=[0, 2, 2], lost=False)
    assert sorted(finished(cluster, 1)) == list(range(6))


def test_a_part_that_ends_three_workers_ends_the_run():
    with refuses(
        "3 workers have died on part 2, perhaps for want of memory (The actor died unexpectedly.); "
        "give more memory"
    ):
        finished(Cluster(cores=1, deadly=[2, 2, 2], lost=False), 1)


@pytest.mark.parametrize("alive", [False, None])
def test_a_cluster_without_machines_ends_the_run(alive):
    with refuses(
        "the Ray cluster has no machine left; start it again and give the same command, which "
        "keeps what is finished"
    ):
        finished(Cluster(cores=1, deadly=[3], alive=alive), 1)


def test_workers_that_do_not_start_end_the_run(monkeypatch):
    cluster = Cluster(cores=1)

    def died(reference):
        cluster.calls.pop(reference)
        cluster.used -= 1
        raise ActorError("no memory")

    monkeypatch.setattr(cluster, "get", died)
    with refuses(
        "3 workers have died at their start, perhaps for want of memory (no memory); give fewer "
        "--workers, and install the same version of ulmfit on every machine"
    ):
        finished(cluster, 1)


def test_a_busy_cluster_is_waited_for(told):
    cluster, waits = Cluster(cores=0), []
    wait = cluster.wait

    def slow(references, timeout):
        waits.append(timeout)
        cluster.cores = int(len(waits) > 3)
        return wait(references, timeout)

    cluster.wait = slow
    assert finished(cluster, 1, 2) == [0, 1]
    assert told == ["no worker has started yet: all cores of the cluster are in use; waiting"]


def test_idle_actors_of_a_lost_machine_cost_no_tries():
    cluster = Cluster(cores=5)
    pool = Pool(cluster, Job(), 5)
    doomed = []
    get = cluster.get

    def lost(reference):
        actor, part = cluster.calls[reference]
        if part is not None and part.number == 5 and not doomed:
            doomed.extend([actor, *pool._idle[:3]])  # four of five are on the lost machine
        if actor in doomed:
            cluster.calls.pop(reference)
            if actor.placed:
                actor.placed, cluster.used, cluster.cores = False, cluster.used - 1, 1
            raise ActorError("gone")
        return get(reference)

    cluster.get = lost
    assert sorted(pool.run(map(Part, range(6)))) == list(range(6))
    assert doomed


def test_a_lost_result_is_computed_again(monkeypatch):
    cluster = Cluster(cores=1)
    get, lost = cluster.get, []

    def once(reference):
        found = get(reference)
        if found == 2 and not lost:
            lost.append(found)
            cluster.used -= 1
            raise LostError("its machine is gone")
        return found

    cluster.get = once
    assert sorted(finished(cluster, 1)) == list(range(6))
    assert lost == [2]
