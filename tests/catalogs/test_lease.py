"""One writer of a table at a time: who is alive keeps the lease, who is dead loses it."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from ubspark.catalogs.lease import Leased, Timing, hold_lease
from ubspark.errors import TransientError

_QUICK = Timing(beat=0.02, look=0.01, patience=1.5)
_TABLE = "s3a://bucket/stars"


class Shelf:
    """An object in memory, written on conditions as a store does."""

    def __init__(self, *, heeds: bool = True) -> None:
        self.found: Leased | None = None
        self._heeds = heeds
        self._lock = threading.Lock()
        self._tags = count()
        self.fails = False

    def read(self) -> Leased | None:
        return self.found

    def write(self, text: str, *, tag: str | None) -> Leased | None:
        if self.fails:
            msg = "the store does not answer"
            raise OSError(msg)
        with self._lock:
            if self._heeds and tag != (self.found.tag if self.found else None):
                return None
            self.found = Leased(str(next(self._tags)), text)
            return self.found


class Deaf(Shelf):
    """A store that keeps `If-None-Match` and does not know `If-Match`."""

    def write(self, text: str, *, tag: str | None) -> Leased | None:
        there = self.found
        return super().write(text, tag=tag if tag is None or there is None else there.tag)


class Forgetful(Shelf):
    """A store that writes once without telling."""

    forgets = False

    def write(self, text: str, *, tag: str | None) -> Leased | None:
        written = super().write(text, tag=tag)
        if self.forgets:
            self.forgets = False
            msg = "the answer was lost"
            raise OSError(msg)
        return written


def test_a_store_that_ignores_one_condition_is_refused() -> None:
    with pytest.raises(TransientError, match="ignores conditions"):
        hold(Deaf(), "first")


def test_an_answer_that_was_lost_does_not_lose_the_lease() -> None:
    """The store has a token that this very run sent: nobody else wrote."""
    shelf = Forgetful()
    calm = Timing(beat=60, look=0.01, patience=1.5)
    with hold_lease(shelf, _TABLE, holder={"run": "a", "host": "b"}, timing=calm) as lease:
        shelf.forgets = True
        with pytest.raises(OSError, match="lost"):
            lease.renew()
        lease.renew()
        lease.renew()
        shelf.found = Leased("99", '{"run": "other", "free": false}')
        with pytest.raises(TransientError, match="passed on to another writer"):
            lease.renew()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def dead(shelf: Shelf) -> Iterator[Shelf]:
    """A lease whose run was killed: nobody renews it, nobody gave it back."""
    shelf.write('{"run": "killed", "host": "far", "free": false}', tag=None)
    return shelf


def hold(shelf: Shelf, run: str, timing: Timing = _QUICK) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(
        hold_lease(shelf, _TABLE, holder={"run": run, "host": "here"}, timing=timing)
    )
    return stack


def test_a_living_holder_keeps_others_out(shelf: Shelf) -> None:
    with (
        hold(shelf, "first"),
        pytest.raises(TransientError, match=f"Run first on here is writing table `{_TABLE}`"),
    ):
        hold(shelf, "second")
    with hold(shelf, "second"):
        assert shelf.found is not None
        assert "second" in shelf.found.text


def test_a_lease_that_was_given_back_is_free_at_once(shelf: Shelf) -> None:
    hold(shelf, "first").close()
    before = time.monotonic()
    hold(shelf, "second", Timing(beat=60, look=60, patience=60)).close()
    assert time.monotonic() - before < 5


def test_the_lease_of_a_dead_run_passes_on_after_a_silence(dead: Shelf) -> None:
    before = time.monotonic()
    with hold(dead, "next"):
        assert time.monotonic() - before >= _QUICK.patience
        assert dead.found is not None
        assert "next" in dead.found.text


def test_of_many_that_come_at_once_one_gets_it(dead: Shelf) -> None:
    """Whether there is no lease, or that of a dead run: one writes, the others are told."""
    ended: list[str] = []
    gate, done = threading.Barrier(8), threading.Event()

    def come(run: str) -> None:
        gate.wait()
        try:
            with hold(dead, run):
                ended.append("wrote")
                done.wait(20)
        except TransientError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=come, args=(f"r{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 20
    while len(ended) < 8 and time.monotonic() < end:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert ended.count("wrote") == 1
    assert all("is writing table" in said for said in ended if said != "wrote")


def test_a_run_that_was_silent_too_long_commits_nothing(shelf: Shelf) -> None:
    """As one whose machine slept: another took the lease, so its next commit is refused."""
    asleep = Timing(beat=1000, look=0.01, patience=0.1)
    with hold_lease(shelf, _TABLE, holder={"run": "first"}, timing=asleep) as lease:
        lease.renew()
        with hold(shelf, "second", Timing(beat=0.02, look=0.01, patience=0.1)):
            with pytest.raises(TransientError, match="passed on to another writer"):
                lease.renew()
            with pytest.raises(TransientError, match="passed on to another writer"):
                lease.renew()
    # The first did not give back what it no longer had.
    hold(shelf, "third").close()


def test_a_store_that_fails_for_a_moment_costs_nothing(shelf: Shelf) -> None:
    with hold_lease(shelf, _TABLE, holder={"run": "first"}, timing=_QUICK) as lease:
        shelf.fails = True
        time.sleep(0.1)
        shelf.fails = False
        lease.renew()


def test_a_store_that_ignores_conditions_is_refused() -> None:
    with pytest.raises(TransientError, match="ignores conditions on writing"):
        hold(Shelf(heeds=False), "first")


def test_what_nobody_can_read_counts_as_a_lease(shelf: Shelf) -> None:
    shelf.write("no JSON", tag=None)
    with hold(shelf, "next"):
        pass
