"""Classes of tests side by side: most tests wait most of the time. Each class runs in a process of its own; those that take
the whole machine or measure it (is_alone) run one by one before the others."""
import concurrent.futures
import io
import itertools
import multiprocessing
import sys
import time
import unittest


class Result(unittest.TextTestResult):
    """Remembers how long each test took."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seconds = {}

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.seconds[test.id()] = time.monotonic() - self.started


def classes_in(directory, names):
    """{class: its tests}, of all files; a name is a piece of a test's name."""
    loader = unittest.TestLoader()
    if names:
        loader.testNamePatterns = [f"*{name}*" for name in names]
    classes, suites = {}, [loader.discover(str(directory), pattern="test_*.py")]
    while suites:
        for entry in suites.pop():
            if isinstance(entry, unittest.TestSuite):
                suites.append(entry)
            else:
                classes.setdefault(type(entry), []).append(entry)
    if loader.errors:
        sys.exit("\n".join(loader.errors))
    return classes


def plain(pairs):
    return [(getattr(test, "test_case", test).id(), text) for test, text in pairs]


def run_one(names, aside):
    """One class, in a process of its own: what came of it, as plain values."""
    suite, out = unittest.defaultTestLoader.loadTestsFromNames(names), io.StringIO()
    result = unittest.TextTestRunner(verbosity=2, stream=out, resultclass=Result).run(suite)
    unrun = sum(isinstance(test, unittest.TestCase) for test, _ in result.skipped)  # a class that is skipped ran none
    return {"text": out.getvalue(), "run": result.testsRun, "failures": plain(result.failures), "errors": plain(result.errors),
            "unexpected": len(result.unexpectedSuccesses), "seconds": result.seconds, "skipped": plain(result.skipped), "unrun": unrun,
            "aside": aside()}


def nothing():
    return None


def run_classes(classes, jobs, aside):
    """Yields what came of each class, as they end."""
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        done = [pool.submit(run_one, [test.id() for test in tests], aside) for tests in classes]
        for each in concurrent.futures.as_completed(done):
            yield each.result()


class Whole:
    """The results of all classes, in the shape that try_again reads."""

    def __init__(self, tests):
        self.tests = {test.id(): test for test in tests}
        self.failures, self.errors, self.unexpectedSuccesses = [], [], []
        self.run, self.unrun, self.skipped, self.seconds, self.asides = 0, 0, [], {}, []

    def add(self, one):
        sys.stdout.write(one["text"])
        sys.stdout.flush()
        for kind in ("failures", "errors"):
            getattr(self, kind).extend((self.tests.get(name, name), text) for name, text in one[kind])
        self.unexpectedSuccesses += [None] * one["unexpected"]
        self.run, self.unrun = self.run + one["run"], self.unrun + one["unrun"]
        self.skipped += one["skipped"]
        self.seconds.update(one["seconds"])
        self.asides.append(one["aside"])

    def tell_slow(self, most=40):
        for name, seconds in sorted(self.seconds.items(), key=lambda pair: -pair[1])[:most]:
            print(f"{seconds:6.1f} s  {name}")


def run(classes, jobs, early=(), aside=nothing):
    """All of `classes`. Those whose names begin with one of `early` take long and begin early; `aside` is asked in each
    class's process, once it has run, for what else is to come back."""
    alone = [tests for kind, tests in classes.items() if getattr(kind, "is_alone", False)]
    beside = [kind for kind in classes if not getattr(kind, "is_alone", False)]
    beside = [classes[kind] for kind in sorted(beside, key=lambda kind: not kind.__name__.startswith(tuple(early)))]
    whole = Whole(itertools.chain(*alone, *beside))
    for one in itertools.chain(run_classes(alone, 1, aside), run_classes(beside, jobs, aside)):
        whole.add(one)
    return whole
