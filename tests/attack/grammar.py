"""HTTP/1 requests and the verdict of RFC 9112 on each, for test_http1.py.

A row is (name, bytes, verdict). GOOD is answered by 207 and the connection goes on; BAD is refused and the connection
ends; a tuple of numbers says exactly which answers may come (first the statuses, then True when the connection goes on; None when either will do; 0 is an end without an answer).
Where the RFC leaves a choice, the stricter of nginx's and HAProxy's counts.
"""

GOOD = ((207,), True)
BAD = ((400,), False)
LAST = ((207,), False)           # well answered, and the end
NOT_CODED = ((400, 501), False)  # a transfer coding that is not understood
TOO_LONG = ((400, 413), False)

TYPE = b"Content-Type: application/json\r\n"
HOST = b"Host: h\r\n"
LENGTH = b"Content-Length: 2\r\n"


def whole(line=b"POST /batch HTTP/1.1", host=HOST, fields=LENGTH, body=b"[]", type_=TYPE):
    return line + b"\r\n" + host + type_ + fields + b"\r\n" + body


def with_field(line):
    return whole(fields=line + b"\r\n" + LENGTH)


def with_host(value):
    return whole(host=b"Host: " + value + b"\r\n")


def with_length(value):
    return whole(fields=b"Content-Length:" + value + b"\r\n")


def with_coding(value, more=b"", body=b"2\r\n[]\r\n0\r\n\r\n", line=b"POST /batch HTTP/1.1"):
    return whole(line=line, fields=b"Transfer-Encoding:" + value + b"\r\n" + more, body=body)


def chunks(body):
    return with_coding(b" chunked", body=body)


def target(text, host=HOST):
    return whole(line=b"POST " + text + b" HTTP/1.1", host=host)


def version(text):
    return whole(line=b"POST /batch " + text)


ROWS = [
    # --- what must be understood ---
    ("plain", whole(), GOOD),
    ("names in lower case", whole().replace(b"Host", b"host").replace(b"Content-Length", b"content-length"), GOOD),
    ("names in upper case", whole().replace(b"Content-Length", b"CONTENT-LENGTH"), GOOD),
    ("no space after the colon", with_field(b"X-A:b"), GOOD),
    ("spaces and tabs before a value", with_field(b"X-A: \t  b"), GOOD),
    ("spaces and tabs after a value", with_field(b"X-A: b \t "), GOOD),
    ("spaces after Content-Length", with_length(b" 2 \t"), GOOD),
    ("spaces after Host", with_host(b"h  "), GOOD),
    ("an empty value", with_field(b"X-A:"), GOOD),
    ("a value of spaces", with_field(b"X-A:    "), GOOD),
    ("every token character in a name", with_field(b"!#$%&'*+-.^_`|~09azAZ: b"), GOOD),
    ("obs-text in a value", with_field(b"X-A: \x80\xff"), GOOD),
    ("every visible character in a value", with_field(b"X-A: " + bytes(range(0x21, 0x7f))), GOOD),
    ("an empty line before", b"\r\n" + whole(), GOOD),
    ("a query", target(b"/batch?a=b&c"), GOOD),
    ("a Content-Length with zeros before", with_length(b" 002"), GOOD),
    ("a Host with a port", with_host(b"h:8080"), GOOD),
    ("a Host that is IPv6", with_host(b"[::1]:80"), GOOD),
    ("a list in Connection", with_field(b"Connection: keep-alive, x-mine"), GOOD),
    ("64 names in Connection", with_field(b"Connection: " + b",".join([b"a"] * 64)), GOOD),
    ("65 names in Connection", with_field(b"Connection: " + b",".join([b"a"] * 65)), BAD),
    ("TE: trailers", with_field(b"TE: trailers"), GOOD),
    ("an Upgrade to what nobody knows", with_field(b"Connection: upgrade\r\nUpgrade: tea/1.0"), ((207,), None)),
    ("absolute-form", target(b"http://h/batch"), GOOD),
    ("absolute-form with a query", target(b"http://h/batch?a"), GOOD),
    ("absolute-form with a port", target(b"http://h:81/batch", b"Host: h:81\r\n"), GOOD),
    ("absolute-form in upper case", target(b"HTTP://H/batch"), GOOD),
    ("chunks", chunks(b"2\r\n[]\r\n0\r\n\r\n"), GOOD),
    ("two chunks", chunks(b"1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"), GOOD),
    ("a chunk size in upper case", chunks(b"A\r\n[]        \r\n0\r\n\r\n"), GOOD),
    ("a chunk size in lower case", chunks(b"a\r\n[]        \r\n0\r\n\r\n"), GOOD),
    ("a chunk size with zeros before", chunks(b"0002\r\n[]\r\n0\r\n\r\n"), GOOD),
    ("a last chunk of many zeros", chunks(b"2\r\n[]\r\n000\r\n\r\n"), GOOD),
    ("a chunk extension", chunks(b"2;a=b\r\n[]\r\n0\r\n\r\n"), GOOD),
    ("a chunk extension without value", chunks(b"2;a\r\n[]\r\n0;b\r\n\r\n"), GOOD),
    ("a quoted chunk extension", chunks(b'2;a="b;c"\r\n[]\r\n0\r\n\r\n'), GOOD),
    ("a trailer", chunks(b"2\r\n[]\r\n0\r\nX-A: b\r\n\r\n"), GOOD),
    ("two trailers", chunks(b"2\r\n[]\r\n0\r\nX-A: b\r\nX-C:d\r\n\r\n"), GOOD),
    ("a trailer that would frame", chunks(b"2\r\n[]\r\n0\r\nContent-Length: 50\r\n\r\n"), GOOD),
    ("Chunked in upper case", with_coding(b" CHUNKED"), GOOD),
    ("spaces around chunked", with_coding(b"\t chunked \t"), GOOD),
    ("HTTP/1.0", version(b"HTTP/1.0"), LAST),
    ("HTTP/1.0 without Host", whole(line=b"POST /batch HTTP/1.0", host=b""), LAST),
    ("Connection: close", with_field(b"Connection: close"), LAST),
    ("Connection: Close among others", with_field(b"Connection: x, Close"), LAST),
    ("a method that is not POST", whole(line=b"PUT /batch HTTP/1.1"), ((405,), True)),
    ("GET", b"GET /batch HTTP/1.1\r\nHost: h\r\n\r\n", ((405,), True)),
    ("a method in lower case", whole(line=b"post /batch HTTP/1.1"), ((405, 501), None)),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", ((200, 204, 404), True)),
    ("a path that nobody has", target(b"/other"), ((404,), True)),

    # --- the request line ---
    ("no target", whole(line=b"POST  HTTP/1.1"), BAD),
    ("no version", whole(line=b"POST /batch"), BAD),
    ("two spaces before the target", whole(line=b"POST  /batch HTTP/1.1"), BAD),
    ("two spaces after the target", whole(line=b"POST /batch  HTTP/1.1"), BAD),
    ("a tab before the target", whole(line=b"POST\t/batch HTTP/1.1"), BAD),
    ("a tab after the target", whole(line=b"POST /batch\tHTTP/1.1"), BAD),
    ("a space before the method", whole(line=b" POST /batch HTTP/1.1"), BAD),
    ("a space after the version", whole(line=b"POST /batch HTTP/1.1 "), BAD),
    ("a method that is no token", whole(line=b"PO(ST /batch HTTP/1.1"), BAD),
    ("a method with a control", whole(line=b"PO\x01ST /batch HTTP/1.1"), BAD),
    ("a method with NUL", whole(line=b"POST\0 /batch HTTP/1.1"), BAD),
    ("a colon in the method", whole(line=b"POST: /batch HTTP/1.1"), BAD),
    ("no method", whole(line=b"/batch HTTP/1.1"), BAD),
    ("HTTP/2.0", version(b"HTTP/2.0"), ((400, 505), False)),
    ("HTTP/0.9", b"GET /batch\r\n\r\n", BAD),
    ("HTTP/1.", version(b"HTTP/1."), BAD),
    ("HTTP/1", version(b"HTTP/1"), BAD),
    ("HTTP/1.1 with more", version(b"HTTP/1.1x"), BAD),
    ("HTTP/1.10", version(b"HTTP/1.10"), BAD),
    ("HTTP/01.1", version(b"HTTP/01.1"), BAD),
    ("HTTP/11.1", version(b"HTTP/11.1"), BAD),
    ("http/1.1", version(b"http/1.1"), BAD),
    ("HTTPS/1.1", version(b"HTTPS/1.1"), BAD),
    ("HTTP /1.1", version(b"HTTP /1.1"), BAD),
    ("a target without slash", target(b"batch"), BAD),
    ("a target with a space", target(b"/ba tch"), BAD),
    ("a target with a tab", target(b"/ba\ttch"), BAD),
    ("a target with a control", target(b"/batch\x01"), BAD),
    ("a target with NUL", target(b"/batch\0"), BAD),
    ("a target with DEL", target(b"/batch\x7f"), BAD),
    ("a target beyond ASCII", target(b"/batch\xc3\xa9"), BAD),
    ("a fragment", target(b"/batch#a"), BAD),
    ("a backslash", target(b"\\batch"), BAD),
    ("POST *", target(b"*"), BAD),
    ("authority-form", target(b"h:80"), BAD),
    ("CONNECT", b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", ((400, 405, 501), None)),
    ("CONNECT with a body", b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nContent-Length: 2\r\n\r\n[]", ((400, 405, 501), None)),
    ("CONNECT of a path", b"CONNECT /batch HTTP/1.1\r\nHost: h\r\n\r\n", ((400, 405, 501), None)),
    ("absolute-form of another host", target(b"http://other/batch"), BAD),
    ("absolute-form of another port", target(b"http://h:81/batch"), BAD),
    ("absolute-form with userinfo", target(b"http://me@h/batch"), BAD),
    ("absolute-form without host", target(b"http:///batch"), BAD),
    ("absolute-form without Host", target(b"http://h/batch", b""), BAD),
    ("absolute-form of another scheme", target(b"ftp://h/batch"), BAD),
    ("absolute-form with two Hosts", target(b"http://h/batch", HOST * 2), BAD),
    ("a bad percent-encoding", target(b"/batch%zz"), ((400, 404), None)),

    # --- lines and fields ---
    ("LF for every line end", whole().replace(b"\r\n", b"\n"), BAD),
    ("LF after the request line", whole().replace(b"1.1\r\n", b"1.1\n"), BAD),
    ("LF after a field", with_field(b"X-A: b\nX-C: d"), BAD),
    ("LF for the empty line", whole().replace(b"\r\n\r\n", b"\r\n\n"), BAD),
    ("two LF for the end", whole().replace(b"\r\n\r\n", b"\n\n"), BAD),
    ("CR alone in a value", with_field(b"X-A: b\rc"), BAD),
    ("CR alone after a field", with_field(b"X-A: b\rX-C: d"), BAD),
    ("CR CR LF", with_field(b"X-A: b\r"), BAD),
    ("CR alone in the request line", target(b"/batch\r"), BAD),
    ("NUL in a value", with_field(b"X-A: b\0c"), BAD),
    ("NUL in a name", with_field(b"X\0A: b"), BAD),
    ("a control in a value", with_field(b"X-A: \x01"), BAD),
    ("a vertical tab in a value", with_field(b"X-A: b\x0bc"), BAD),
    ("DEL in a value", with_field(b"X-A: \x7f"), BAD),
    ("a folded line", with_field(b"X-A: b\r\n c"), BAD),
    ("a folded line with a tab", with_field(b"X-A: b\r\n\tc"), BAD),
    ("an empty folded line", with_field(b"X-A: b\r\n "), BAD),
    ("a folded Transfer-Encoding", whole(fields=b"Transfer-Encoding:\r\n chunked\r\n", body=b"2\r\n[]\r\n0\r\n\r\n"), NOT_CODED),
    ("a space before the first field", whole(host=b" Host: h\r\n"), BAD),
    ("no colon", with_field(b"X-A"), BAD),
    ("no name", with_field(b": b"), BAD),
    ("a space before the colon", with_field(b"X-A : b"), BAD),
    ("a tab before the colon", with_field(b"X-A\t: b"), BAD),
    ("a space in a name", with_field(b"X A: b"), BAD),
    ("a name that is no token", with_field(b"X(A): b"), BAD),
    ("a name beyond ASCII", with_field(b"X-\xe9: b"), BAD),
    ("a control in a name", with_field(b"X\x01A: b"), BAD),
    ("more than a hundred fields", with_field(b"\r\n".join(b"X-%d: a" % i for i in range(120))), ((400, 431), False)),

    # --- Host ---
    ("no Host", whole(host=b""), BAD),
    ("an empty Host", with_host(b""), BAD),
    ("two Hosts", whole(host=HOST * 2), BAD),
    ("two different Hosts", whole(host=HOST + b"Host: i\r\n"), BAD),
    ("a Host with a space", with_host(b"a b"), BAD),
    ("two Hosts in one", with_host(b"a, b"), BAD),
    ("a Host with a path", with_host(b"h/batch"), BAD),
    ("a Host with userinfo", with_host(b"me@h"), BAD),
    ("a Host with a query", with_host(b"h?a"), BAD),
    ("a Host beyond ASCII", with_host(b"h\xe9"), BAD),
    ("a Host with a bad port", with_host(b"h:80x"), BAD),
    ("a Host with two ports", with_host(b"h:80:81"), BAD),
    ("a Host with an open bracket", with_host(b"[::1"), BAD),
    ("a space before the colon of Host", whole(host=b"Host : h\r\n"), BAD),

    # --- Content-Length ---
    ("two equal Content-Lengths", whole(fields=LENGTH * 2), BAD),
    ("two different Content-Lengths", whole(fields=LENGTH + b"Content-Length: 50\r\n"), BAD),
    ("two Content-Lengths in one", with_length(b" 2, 2"), BAD),
    ("an empty Content-Length", with_length(b""), BAD),
    ("Content-Length: +2", with_length(b" +2"), BAD),
    ("Content-Length: -2", with_length(b" -2"), BAD),
    ("Content-Length: 0x2", with_length(b" 0x2"), BAD),
    ("Content-Length: 2.0", with_length(b" 2.0"), BAD),
    ("Content-Length: 2 2", with_length(b" 2 2"), BAD),
    ("Content-Length: 2a", with_length(b" 2a"), BAD),
    ("a quoted Content-Length", with_length(b' "2"'), BAD),
    ("a Content-Length over 64 bits", with_length(b" 18446744073709551618"), TOO_LONG),
    ("a Content-Length far over 64 bits", with_length(b" 99999999999999999999999999"), TOO_LONG),
    ("a Content-Length of 64 bits", with_length(b" 18446744073709551615"), TOO_LONG),
    ("a space before the colon of Content-Length", whole(fields=b"Content-Length : 2\r\n"), BAD),
    ("a Content-Length after LF", with_field(b"X-A: b\nContent-Length: 50"), BAD),

    # --- Transfer-Encoding ---
    ("Content-Length and chunked", with_coding(b" chunked", LENGTH), BAD),
    ("chunked and Content-Length", whole(fields=b"Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
                                         body=b"2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("Content-Length and identity", with_coding(b" identity", LENGTH, b"[]"), NOT_CODED),
    ("identity", with_coding(b" identity"), NOT_CODED),
    ("gzip, chunked", with_coding(b" gzip, chunked"), NOT_CODED),
    ("chunked, gzip", with_coding(b" chunked, gzip"), NOT_CODED),
    ("chunked, chunked", with_coding(b" chunked, chunked"), NOT_CODED),
    ("chunked twice", with_coding(b" chunked", b"Transfer-Encoding: chunked\r\n"), NOT_CODED),
    ("chunked and identity", with_coding(b" chunked", b"Transfer-Encoding: identity\r\n"), NOT_CODED),
    ("identity and chunked", with_coding(b" identity", b"Transfer-Encoding: chunked\r\n"), NOT_CODED),
    ("xchunked", with_coding(b" xchunked"), NOT_CODED),
    ("chunked with a parameter", with_coding(b" chunked;q=1"), NOT_CODED),
    ("a quoted chunked", with_coding(b' "chunked"'), NOT_CODED),
    ("a comma after chunked", with_coding(b" chunked,,"), NOT_CODED),
    ("a vertical tab before chunked", with_coding(b" \x0bchunked"), NOT_CODED),
    ("NUL after chunked", with_coding(b" chunked\0"), NOT_CODED),
    ("an empty Transfer-Encoding", with_coding(b""), NOT_CODED),
    ("a space before the colon of Transfer-Encoding",
     whole(fields=b"Transfer-Encoding : chunked\r\n", body=b"2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("Transfer_Encoding beside Content-Length", with_field(b"Transfer_Encoding: chunked"), GOOD),
    ("chunked over HTTP/1.0", with_coding(b" chunked", line=b"POST /batch HTTP/1.0"), BAD),

    # --- chunks ---
    ("a chunk size 0x2", chunks(b"0x2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk size +2", chunks(b"+2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk size -2", chunks(b"-2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a space before the chunk size", chunks(b" 2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a space after the chunk size", chunks(b"2 \r\n[]\r\n0\r\n\r\n"), BAD),
    ("no chunk size", chunks(b"\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk size that is no number", chunks(b"g\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk size with an underscore", chunks(b"0_2\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk size over 64 bits", chunks(b"10000000000000002\r\n[]\r\n0\r\n\r\n"), TOO_LONG),
    ("a chunk size of 63 bits", chunks(b"7fffffffffffffff\r\n[]\r\n0\r\n\r\n"), TOO_LONG),
    ("a chunk size of 64 bits", chunks(b"fffffffffffffffe\r\n[]\r\n0\r\n\r\n"), TOO_LONG),
    ("more bytes than the chunk size", chunks(b"1\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk that swallows its end", chunks(b"3\r\n[]\r\n0\r\n\r\n"), BAD),
    ("no CRLF after a chunk", chunks(b"2\r\n[]0\r\n\r\n"), BAD),
    ("LF after a chunk size", chunks(b"2\n[]\r\n0\r\n\r\n"), BAD),
    ("CR alone after a chunk size", chunks(b"2\r[]\r\n0\r\n\r\n"), BAD),
    ("LF after a chunk", chunks(b"2\r\n[]\n0\r\n\r\n"), BAD),
    ("LF after the last chunk", chunks(b"2\r\n[]\r\n0\n\r\n"), BAD),
    ("LF at the end of the body", chunks(b"2\r\n[]\r\n0\r\n\n"), BAD),
    ("CR alone in a chunk extension", chunks(b"2;a\rb\r\n[]\r\n0\r\n\r\n"), BAD),
    ("LF in a chunk extension", chunks(b"2;a\nb\r\n[]\r\n0\r\n\r\n"), BAD),
    ("NUL in a chunk extension", chunks(b"2;a=\0\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a chunk extension without semicolon", chunks(b"2 a=b\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a very long chunk extension", chunks(b"2;a=" + b"b" * 5000 + b"\r\n[]\r\n0\r\n\r\n"), BAD),
    ("a trailer without colon", chunks(b"2\r\n[]\r\n0\r\nX-A\r\n\r\n"), BAD),
    ("a trailer with a bad name", chunks(b"2\r\n[]\r\n0\r\nX(A: b\r\n\r\n"), BAD),
    ("a trailer with a space before the colon", chunks(b"2\r\n[]\r\n0\r\nX-A : b\r\n\r\n"), BAD),
    ("a trailer that ends with LF", chunks(b"2\r\n[]\r\n0\r\nX-A: b\n\r\n"), BAD),
    ("a folded trailer", chunks(b"2\r\n[]\r\n0\r\nX-A: b\r\n c\r\n\r\n"), BAD),
    ("NUL in a trailer", chunks(b"2\r\n[]\r\n0\r\nX-A: \0\r\n\r\n"), BAD),
    ("CR alone in a trailer", chunks(b"2\r\n[]\r\n0\r\nX-A: b\rc\r\n\r\n"), BAD),
    ("very many trailers", chunks(b"2\r\n[]\r\n0\r\n" + b"X-A: b\r\n" * 20000 + b"\r\n"), TOO_LONG),

    # --- what is not HTTP/1 at all ---
    ("half of the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", ((0, 400, 505), False)),
    ("an LF before", b"\n" + whole(), BAD),
    ("two CR before", b"\r\r\n" + whole(), BAD),
]
