"""The same batch in every format Sheaf reads, and what a good result looks like in every format it writes.

A `Form` is a pair of them. A new format is a writer here, its mark and the forms it stands in.
"""
import collections
import json

JSON, XML, MULTIPART = "application/json", "application/xml", "multipart/mixed"
NDJSON, JSON_SEQ = "application/x-ndjson", "application/json-seq"

Form = collections.namedtuple("Form", "name type accept")

# Multipart answers multipart. What is called by one name goes in and out in that format.
FORMS = [
    Form("json", JSON, JSON),
    Form("json to xml", JSON, XML),
    Form("json to multipart", JSON, MULTIPART),
    Form("json to ndjson", JSON, NDJSON),
    Form("json to json-seq", JSON, JSON_SEQ),
    Form("xml to json", XML, JSON),
    Form("ndjson to json", NDJSON, JSON),
    Form("xml", XML, XML),
    Form("multipart", MULTIPART, MULTIPART),
    Form("ndjson", NDJSON, NDJSON),
]

# By default a multipart batch runs one item after another; with this (OData 4.01 8.2.8.3) it is as parallel as the rest.
CONTINUE = "Prefer: continue-on-error"

MARKS = {JSON: '"status":200', NDJSON: '"status":200', JSON_SEQ: '"status":200', XML: "HTTP/1.1 200", MULTIPART: "HTTP/1.1 200"}


def write_json(urls):
    requests = [{"id": str(i), "method": "GET", "url": url} for i, url in enumerate(urls)]
    return json.dumps({"requests": requests}, separators=(",", ":"))


def write_ndjson(urls):
    return "".join(f'{{"id":"{i}","method":"GET","url":"{url}"}}\n' for i, url in enumerate(urls))


def write_xml(urls):
    requests = "".join(f'<request id="{i}" method="GET" url="{url}"/>' for i, url in enumerate(urls))
    return f'<batch xmlns="urn:sheaf:batch">{requests}</batch>'


def write_multipart(urls):
    parts = "".join(f"--b\r\nContent-Type: application/http\r\nContent-ID: {i}\r\n\r\nGET {url} HTTP/1.1\r\n\r\n\r\n"
                    for i, url in enumerate(urls))
    return f"{parts}--b--\r\n"


WRITERS = {JSON: write_json, NDJSON: write_ndjson, XML: write_xml, MULTIPART: write_multipart}


def content_type(form):
    """What stands in the header: a multipart names its boundary."""
    return f"{form.type}; boundary=b" if form.type == MULTIPART else form.type


def write(form, n):
    """The batch of `n` items as bytes."""
    return WRITERS[form.type]([f"/items/{i}" for i in range(n)]).encode()
