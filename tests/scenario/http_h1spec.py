#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What RFC 9112 (and 9110 where it says how) demands of a server, in 32 cases of our own: what MUST be refused is
refused, what MUST be accepted is accepted, and a connection lives and ends as it must."""
import re
import sys

import api_lib as lib
from http_vectors import CHUNK, END, EVENT, HOST, LEN, TE, converse, get, post

# section: what is demanded; the raw message; statuses it may get; answers in all with the next request (2: the
# connection is kept, 1: it ends)
CASES = [
    ("2.2: an empty line before the request line is passed over", b"\r\n" + get(b"/livez"), {200}, 2),
    ("2.2: white space before the first header field is refused", b"GET /livez HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n", {400}, 1),
    ("2.2: a bare CR is not a line end", get(b"/livez", b"X: a\rY: b\r\n"), {400}, 1),
    ("2.3: a minor version above ours is read as ours", get(b"/livez", version=b"HTTP/1.9"), {200}, 2),
    ("2.3: another major version is refused", get(b"/livez", version=b"HTTP/2.0"), {400, 505}, 1),
    ("2.3: the name of the protocol has its case", get(b"/livez", version=b"http/1.1"), {400}, 1),
    ("3: a request line of one word is refused", b"GET\r\n" + HOST + b"\r\n", {400}, 1),
    ("3: a request line without a version is refused", b"GET /livez\r\n" + HOST + b"\r\n", {400}, 1),
    ("3: white space within the target is refused", get(b"/li vez"), {400}, 1),
    ("3: a target longer than we parse gets 414", get(b"/" + b"a" * 32768), {414}, 1),
    ("3.1: a method not known gets 501 or 405", get(b"/livez", method=b"BREW"), {405, 501}, 2),
    ("3.1: methods have their case", get(b"/livez", method=b"Get"), {405, 501}, 2),
    ("3.2: HTTP/1.1 without Host is refused", b"GET /livez HTTP/1.1\r\n\r\n", {400}, 1),
    ("3.2: two Hosts are refused", get(b"/livez", HOST), {400}, 1),
    ("3.2: a Host that is no host is refused", get(b"/livez", host=b"Host: a b\r\n"), {400}, 1),
    ("3.2.2: the absolute form is accepted", get(b"http://localhost/livez"), {200}, 2),
    ("3.2.4: the asterisk form is accepted for OPTIONS", get(b"*", method=b"OPTIONS"), {200, 204}, 2),
    ("5: white space around a value is no part of it", post(b"Content-Length: \t%d \t\r\n" % len(EVENT), EVENT), {200}, 2),
    ("5: names of headers have no case", post(b"cONTENT-lENGTH: %d\r\n" % len(EVENT), EVENT), {200}, 2),
    ("5.1: white space between name and colon is refused", get(b"/livez", b"X : y\r\n"), {400}, 1),
    ("5.2: a folded header is refused (or read as a blank)", get(b"/livez", b"X: a\r\n b\r\n"), {400}, 1),
    ("5: a line without a colon is refused", get(b"/livez", b"X\r\n"), {400}, 1),
    ("5.5 of 9110: a NUL in a value is refused", get(b"/livez", b"X: a\0b\r\n"), {400}, 1),
    ("6.1: a coding not known gets 501 or 400", post(b"Transfer-Encoding: cow\r\n", CHUNK + END), {400, 501}, 1),
    ("6.1: names of codings have no case", post(b"Transfer-Encoding: Chunked\r\n", CHUNK + END), {200}, 2),
    ("6.3: chunked that is not last is refused", post(b"Transfer-Encoding: chunked, gzip\r\n", CHUNK + END), {400, 501}, 1),
    ("6.3: a length beside a coding ends the connection", post(LEN + TE, CHUNK + END), {400}, 1),
    ("6.3: a length that is no number is refused", post(b"Content-Length: x\r\n", EVENT), {400}, 1),
    ("6.3: two lengths that differ are refused", post(LEN + b"Content-Length: 1\r\n", EVENT), {400}, 1),
    ("7.1: chunks, extensions and trailers are read over", post(TE, CHUNK.replace(b"\r\n", b";a=\"b\"\r\n", 1) + b"0\r\nX: y\r\n\r\n"), {200}, 2),
    ("9.3: HTTP/1.1 keeps the connection, HTTP/1.0 does not", get(b"/livez", version=b"HTTP/1.0"), {200}, 1),
    ("9.6: after close nothing more is answered", get(b"/livez", b"Connection: close\r\n"), {200}, 1),
]


def passes(port, case):
    _, message, statuses, answers = case
    got = [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", converse(port, message))]
    return len(got) == answers and got[0] in statuses and got[1:] in ([], [200]), got


def main():
    with lib.Server() as server:
        lib.check("there are 32 cases", len(CASES) == 32)
        for case in CASES:
            ok, got = passes(server.port, case)
            lib.check(case[0], ok, str(got))
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
