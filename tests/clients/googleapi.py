"""Debian's python3-googleapi sends its batches (multipart/mixed, LF line ends) and reads every part: googleapi.py ADDRESS"""
import json
import sys
import traceback

import httplib2
from googleapiclient.errors import HttpError
from googleapiclient.http import BatchHttpRequest, HttpRequest

GATEWAY = sys.argv[1]


def read(response, content):
    """What a model's postproc does: an error raises, the rest is its bytes."""
    if response.status >= 300:
        raise HttpError(response, content)
    return response.status, content


def run(*requests):
    """Posts the requests (method, path, body); returns {id: (status, content) or HttpError}, in the order of callbacks."""
    results = {}
    batch = BatchHttpRequest(callback=lambda name, answer, error: results.__setitem__(name, error or answer),
                             batch_uri=GATEWAY + "/google")
    for number, (method, path, body) in enumerate(requests):
        headers = {"content-type": "application/json"} if body else {}
        batch.add(HttpRequest(None, read, GATEWAY + path, method=method, body=body, headers=headers), request_id=f"r{number}")
    batch.execute(http=httplib2.Http())
    return results


def every_part_is_answered_with_its_status_and_body():
    results = run(("GET", "/o/text", None), ("GET", "/o/echo?q=1", None), ("POST", "/o/echo", '{"a": 1}'))
    assert list(results) == ["r0", "r1", "r2"], results
    assert results["r0"][0] == 200 and b'plain "text"' in results["r0"][1], results
    seen = json.loads(results["r1"][1])
    assert (seen["method"], seen["target"]) == ("GET", "/echo?q=1"), seen
    seen = json.loads(results["r2"][1])
    assert (seen["method"], json.loads(seen["body"])) == ("POST", {"a": 1}), seen
    assert dict(map(tuple, seen["headers"]))["content-type"] == "application/json", seen


def a_failed_part_is_an_error_and_leaves_its_siblings_alone():
    results = run(("GET", "/o/status/404", None), ("GET", "/nowhere", None), ("GET", "/o/drop", None), ("GET", "/o/text", None))
    assert [results[f"r{n}"].resp.status for n in range(3)] == [404, 404, 502], results
    assert b"no-route" in results["r1"].content, results["r1"].content
    assert results["r3"][0] == 200, results


def a_part_without_a_body_is_answered():
    results = run(("DELETE", "/o/status/204", None), ("GET", "/o/bytes/0", None))
    assert results["r0"][0] == 204 and results["r0"][1] == b"" and results["r1"] == (200, b""), results


def fifty_parts():
    results = run(*[("GET", f"/o/echo?n={n}", None) for n in range(50)])
    for n in range(50):
        assert json.loads(results[f"r{n}"][1])["target"] == f"/echo?n={n}", results[f"r{n}"]


def main():
    failed = 0
    for test in (every_part_is_answered_with_its_status_and_body, a_failed_part_is_an_error_and_leaves_its_siblings_alone,
                 a_part_without_a_body_is_answered, fifty_parts):
        try:
            test()
            print("ok", test.__name__.replace("_", " "))
        except Exception:
            failed = 1
            print("not ok", test.__name__.replace("_", " "))
            traceback.print_exc(file=sys.stdout)
    return failed


if __name__ == "__main__":
    sys.exit(main())
