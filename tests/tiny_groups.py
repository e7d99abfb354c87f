"""Several processes of one training as threads of this one: sums without any network."""

import threading
from contextvars import copy_context

import torch
from torch.distributed import HashStore

from ulmfit.base.processes import CURRENT, Group


class Threads(Group):
    """A group whose sums are made in this process."""

    def __init__(self, rank, count, store, meeting, board):
        super().__init__(rank, count, store, seconds=20.0)
        self.meeting, self.board = meeting, board

    def add(self, tensors):
        for tensor in tensors:
            self.board[self.rank] = tensor.clone()
            self.meeting.wait()
            total = sum(self.board[rank] for rank in range(self.count))
            self.meeting.wait()
            with torch.no_grad():
                tensor.copy_(total)


def in_all(count, work):
    """What `work(rank)` returns or raises in each of `count` members of a group."""
    meeting, board, store = threading.Barrier(count, timeout=60), {}, HashStore()
    found = [None] * count

    def run(rank):
        CURRENT.set(Threads(rank, count, store, meeting, board))
        try:
            found[rank] = work(rank)
        except BaseException as error:
            found[rank] = error
            meeting.abort()

    threads = [threading.Thread(target=copy_context().run, args=(run, n)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
