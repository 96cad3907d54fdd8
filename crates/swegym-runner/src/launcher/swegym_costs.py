"""Tells of each test how long it took, and how much memory its process had at most.

What children of the process had is not known. Runs on Python 3.6 and newer.
"""

import time

started = None
clock = time.perf_counter


def watch_pytest(results, guard):
    results.measured = measured


def watch_unittest(results, guard):
    import unittest

    start_test = unittest.TestResult.startTest

    def start(result, test):
        begin()
        return start_test(result, test)

    unittest.TestResult.startTest = start
    results.measured = measured


def pytest_runtest_logstart(nodeid, location):
    begin()


def begin():
    global started
    # Peaks are counted from here on.
    try:
        with open("/proc/self/clear_refs", "w") as peaks:
            peaks.write("5")
    except OSError:
        pass
    started = clock()


def measured():
    """Attributes of the test that is over."""
    if started is None:
        return ""
    text = ' time="%.3f"' % (clock() - started)
    try:
        with open("/proc/self/status") as status:
            peak = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    except OSError:
        peak = []
    return text + "".join(' peak-mib="%d"' % (int(number) >> 10) for number in peak)
