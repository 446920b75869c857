#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Raw messages, as an attacker behind a proxy would send them: what two parsers could read differently is
refused, and the connection ends (request smuggling). Each is followed by a second request, which must not
be answered when the first was refused for its form. Then clients that are slow, and clients that are many."""
import re
import socket
import sys

import api_lib as lib

EVENT = b'{"user":"a","item":"b","type":"click"}'
SIZE = b"%x" % len(EVENT)
LENGTH = b"Content-Length: %d\r\n" % len(EVENT)
HOST = b"Host: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NEXT = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(headers, body):
    return b"POST /v1/events HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


# name: (message, what must come of it). "bad": refused, and nothing after it is read. "good": answered,
# and the next one, too.
MESSAGES = {
    "chunk ok": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "good"),
    "chunk ext": (post(CHUNKED, SIZE + b";a=b\r\n" + EVENT + b"\r\n0\r\n\r\n"), "good"),
    "chunk size 0x prefix": (post(CHUNKED, b"0x" + SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size +": (post(CHUNKED, b"+" + SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size space before": (post(CHUNKED, b" " + SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size space after": (post(CHUNKED, SIZE + b" \r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size underscore": (post(CHUNKED, b"2_6\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size negative": (post(CHUNKED, b"-1\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size overflow": (post(CHUNKED, b"ffffffffffffffff1\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk size 2^64+26": (post(CHUNKED, b"10000000000000026\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk bare LF after size": (post(CHUNKED, SIZE + b"\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk bare CR after size": (post(CHUNKED, SIZE + b"\rX" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk bare LF after data": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\n0\r\n\r\n"), "bad"),
    "chunk missing CRLF after data": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"0\r\n\r\n"), "bad"),
    "chunk junk after data": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"XX\r\n0\r\n\r\n"), "bad"),
    "chunk empty size": (post(CHUNKED, b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "chunk last bare LF": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\r\n0\n\n"), "bad"),
    "chunk trailer": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\r\n0\r\nX-T: a\r\n\r\n"), "good"),
    "chunk trailer CL": (post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\r\n0\r\nContent-Length: 5\r\n\r\n"), "good"),
    "chunk ext with LF": (post(CHUNKED, SIZE + b";a\nb\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "TE tab": (post(b"Transfer-Encoding:\tchunked\r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "good"),
    "TE vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "TE trailing space": (post(b"Transfer-Encoding: chunked \r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "good"),
    "TE CHUNKED": (post(b"Transfer-Encoding: CHUNKED\r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "good"),
    "TE quoted": (post(b"Transfer-Encoding: \"chunked\"\r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "TE 1.0": (b"POST /v1/events HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n" + SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n", "bad"),
    "TE space before colon": (post(b"Transfer-Encoding : chunked\r\n", SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n"), "bad"),
    "CL space before colon": (post(b"Content-Length : %d\r\n" % len(EVENT), EVENT), "bad"),
    "CL then CL obs-fold": (post(b"Content-Length: 5\r\n 5\r\n", EVENT), "bad"),
    "folded header": (post(b"X-A: b\r\n c\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "folded first": (b"POST /v1/events HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(EVENT) + EVENT, "bad"),
    "bare LF headers": (b"POST /v1/events HTTP/1.1\nHost: localhost\nContent-Length: %d\n\n" % len(EVENT) + EVENT, "bad"),
    "bare LF one header": (b"POST /v1/events HTTP/1.1\r\nHost: localhost\nContent-Length: %d\r\n\r\n" % len(EVENT) + EVENT, "bad"),
    "bare CR in header": (post(b"X: a\rb\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "bare CR hides CL": (post(b"X: a\rContent-Length: 3\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "NUL in header": (post(b"X: a\0b\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "NUL in name": (post(b"X\0: a\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "no colon": (post(b"Xab\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "empty name": (post(b": a\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "high byte value": (post(b"X: \xff\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "good"),
    "high byte name": (post(b"X\xff: a\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "version 1.2": (b"GET /livez HTTP/1.2\r\n" + HOST + b"\r\n", "good"),
    "version 2.0": (b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n", "bad"),
    "version junk": (b"GET /livez HTTX/1.1\r\n" + HOST + b"\r\n", "bad"),
    "version lower": (b"GET /livez http/1.1\r\n" + HOST + b"\r\n", "bad"),
    "no version": (b"GET /livez\r\n" + HOST + b"\r\n", "bad"),
    "two spaces": (b"GET  /livez HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "tab separators": (b"GET\t/livez\tHTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "leading space": (b" GET /livez HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "leading CRLF": (b"\r\nGET /livez HTTP/1.1\r\n" + HOST + b"\r\n", "good"),
    "space in target": (b"GET /li vez HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "NUL in target": (b"GET /livez\0 HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "host missing": (b"GET /livez HTTP/1.1\r\n\r\n", "bad"),
    "host twice": (b"GET /livez HTTP/1.1\r\n" + HOST + HOST + b"\r\n", "bad"),
    "host space": (b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", "bad"),
    "trailing CRLF after body": (post(LENGTH,EVENT) + b"\r\n", "good"),
    "method junk": (b"GE(T /livez HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "CL empty": (post(b"Content-Length: \r\n", EVENT), "bad"),
    "CL list same": (post(b"Content-Length: 5, 5\r\n", EVENT), "bad"),
    "CL hex": (post(b"Content-Length: 0x26\r\n", EVENT), "bad"),
    "CL huge": (post(b"Content-Length: 99999999999999999999\r\n", EVENT), "bad"),
    "TE identity": (post(b"Transfer-Encoding: identity\r\nContent-Length: %d\r\n" % len(EVENT), EVENT), "bad"),
    "header name with tab": (post(b"Content-Length\t: %d\r\n" % len(EVENT), EVENT), "bad"),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", "bad"),
    "upgrade h2c": (b"GET /livez HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", "good"),
}


def statuses(port, message):
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(20)
        client.sendall(message + NEXT)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)]


def smuggling(server):
    for name, (message, wanted) in MESSAGES.items():
        got = statuses(server.port, message)
        if wanted == "good":
            ok = got == [200, 200]
        else:
            ok = len(got) <= 1 and all(400 <= s < 600 for s in got)
        lib.check(f"{name} is {wanted}", ok, str(got))


def pieces(server):
    message = post(CHUNKED, SIZE + b"\r\n" + EVENT + b"\r\n0\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(message)):
            client.sendall(message[i:i + 1])
        lib.check("a message in pieces of one byte is whole", b"HTTP/1.1 200" in client.recv(4096))


def many(server):
    idle = []
    try:
        for _ in range(900):
            idle.append(socket.create_connection(("127.0.0.1", server.port)))
            idle[-1].sendall(b"GET /livez HTTP/1.1\r\nHost: l")  # and no more
        lib.check("900 connections that stall leave the others alone",
                  all(server.call("GET", "/v1/recommend?n=5")[0] == 200 for _ in range(200)))
    finally:
        for client in idle:
            client.close()


def continues(server):
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(post(LENGTH + b"Expect: 100-continue\r\n", b""))
        lib.check("100-continue is said before the body", client.recv(100).startswith(b"HTTP/1.1 100 Continue\r\n\r\n"))
        client.sendall(EVENT)
        lib.check("and the answer after it", client.recv(4096).startswith(b"HTTP/1.1 200"))


def main():
    with lib.Server("--connections-max", "2000") as server:
        for part in (smuggling, pieces, continues, many):
            part(server)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
