"""A second try for what failed, alone and once.

These tests hold a clock to real processes, and a machine that stands still for a second fails one now and then. What
fails twice is broken. What a process died of, or a sanitizer said, gets no second try.
"""
import unittest

MOST = 5  # more than that is no accident
FINAL = ("sanitizer", "Sanitizer", "a worker died", "resident bytes", "descriptors at", "exit status")


def accidents(result):
    """The names of tests that may be tried again."""
    failed = result.failures + result.errors
    if len(failed) > MOST or not all(isinstance(test, unittest.TestCase) for test, _ in failed):
        return []
    if any(word in text for _, text in failed for word in FINAL):
        return []
    return sorted({getattr(test, "test_case", test).id() for test, _ in failed})


def try_again(result, stream):
    """How many tests failed for good; says which did only once."""
    names = accidents(result)
    if not names:
        return len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print("once more, alone:", ", ".join(names), file=stream)
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    second = unittest.TextTestRunner(verbosity=2, stream=stream).run(suite)
    for name in names:
        print("failed on a first try:", name, file=stream)
    return len(second.failures) + len(second.errors) + len(result.unexpectedSuccesses)
