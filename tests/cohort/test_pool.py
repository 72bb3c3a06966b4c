"""Items that kill or hold their workers, and workers that end with their work."""

import os
import time
from contextlib import closing

import psutil
import pytest
from helpers.waiting import until

from nisf.cohort.pool import Pool, shared_out
from nisf.utils.errors import InputError


class Unruly:
    """A worker that hangs or dies in the first so many attempts at an item, or says what a user has to hear."""

    def load(self):
        pass

    def do(self, item, attempt):
        if item.get("wrong"):
            raise InputError(item["wrong"])
        if attempt <= item.get("hangs", 0):
            time.sleep(600)
        if attempt <= item.get("dies", 0):
            os._exit(1)
        return {"final": True, "by": attempt}


def unruly_pool(**options):
    import ray

    return Pool(ray.remote(num_cpus=1)(Unruly).remote, size=2, **options)


def is_unruly(process):
    try:
        return "ray::Unruly" in process.name()
    except psutil.NoSuchProcess:  # it ended since it was listed
        return False


def test_items_that_kill_or_hold_their_workers_are_given_up_with_a_reason_and_the_others_done(ray):
    items = [{"dies": 9}, {"hangs": 1}, {}, {"hangs": 9}, {"dies": 1}, {"wrong": "give another"}, {}]
    jobs = list(unruly_pool(tries=2, limit=5).run(items))
    found = [next(job for job in jobs if job.item is item) for item in items]
    assert [job.attempts for job in found] == [2, 2, 1, 2, 2, 1, 1]
    assert [job.result and job.result["by"] for job in found] == [None, 2, 1, None, 2, None, 1]
    reasons = {0: "its worker died or was lost", 3: "it took longer than 5 s", 5: "give another"}
    assert {place: found[place].reason for place in reasons} == reasons


def test_work_that_is_broken_off_ends_its_workers_at_once(ray):
    with closing(unruly_pool().run([{"hangs": 1}, {}])) as jobs:
        assert next(jobs).item == {}
        began = time.monotonic()
    assert time.monotonic() - began < 30
    until(lambda: not any(is_unruly(one) for one in psutil.Process().children(recursive=True)), 30)


@pytest.mark.parametrize(
    "room, gpus, wanted, size, share",
    [
        (16, 0, None, 16, 0.0),
        (16, 0, 4, 4, 0.0),
        (2, 0, 4, 2, 0.0),
        (16, 1, None, 1, 1.0),
        (16, 1, 4, 4, 0.25),
        (16, 2, 3, 3, 0.5),
        (16, 4, 2, 2, 1.0),
        (2, 1, 4, 2, 0.25),
    ],
)
def test_workers_share_gpus_where_they_are_more_and_never_a_core(room, gpus, wanted, size, share):
    assert shared_out(room, gpus, wanted) == (size, share)
