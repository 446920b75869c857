#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The classes of messages that have let requests be smuggled past proxies (lengths, codings, chunks, line ends,
names, versions, targets, Host), and uses of HTTP at their limits, each as raw bytes followed by a second request.

A vector says which statuses the first may get and whether the second is answered ("kept"): a message with two
possible readings gets one refusal and the end of the connection, anything else its right answer and the next one
its own. More than two answers are two readings of one message, whatever their statuses. Refusals must be problem
details. http_raw.py holds the messages from which the parser was built; these were written without looking at it."""
import re
import socket
import sys

import api_lib as lib

EVENT = b'{"user":"a","item":"b","type":"click"}'
HOST = b"Host: localhost\r\n"
NEXT = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HIDDEN = b"GET /v1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n"  # what a smuggler wants answered
LEN = b"Content-Length: %d\r\n" % len(EVENT)
TE = b"Transfer-Encoding: chunked\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
END = b"0\r\n\r\n"
REFUSED, SPLIT = {400}, {400, 501}


def post(headers, body, version=b"HTTP/1.1"):
    return b"POST /v1/events " + version + b"\r\n" + HOST + b"Content-Type: application/json\r\n" + headers + b"\r\n" + body


def get(target, headers=b"", method=b"GET", host=HOST, version=b"HTTP/1.1"):
    return method + b" " + target + b" " + version + b"\r\n" + host + headers + b"\r\n"


def bad(name, message, statuses=REFUSED):
    return name, message, statuses, False


def good(name, message, statuses=frozenset({200})):
    return name, message, statuses, True


def coded(value):
    return post(b"Transfer-Encoding: " + value + b"\r\n", CHUNK + END)


def sized(size):
    return post(TE, size + b"\r\n" + EVENT + b"\r\n" + END)


def vectors():
    n = b"%d" % len(EVENT)
    yield good("a plain length", post(LEN, EVENT))
    yield good("a plain chunked body", post(TE, CHUNK + END))
    # two lengths
    yield bad("CL.TE", post(b"Content-Length: 5\r\n" + TE, END + HIDDEN))
    yield bad("TE.CL", post(TE + b"Content-Length: 4\r\n", b"5c\r\n" + HIDDEN + b"\r\n" + END))
    yield bad("CL.TE with equal readings", post(b"Content-Length: %d\r\n" % len(CHUNK + END) + TE, CHUNK + END))
    yield bad("CL twice, different", post(LEN + b"Content-Length: 0\r\n", EVENT))
    yield bad("CL twice, same", post(LEN + LEN, EVENT))
    yield bad("CL twice in other case", post(LEN + b"content-length: " + n + b"\r\n", EVENT))
    yield bad("CL with a list", post(b"Content-Length: " + n + b", " + n + b"\r\n", EVENT))
    yield bad("CL list of two values", post(b"Content-Length: 0, " + n + b"\r\n", EVENT))
    for text in (b"", b" ", b"+" + n, b"-1", b"-0", b"0x26", b"3_8", b"3 8", n + b".0", n + b"e0", b"\"" + n + b"\"",
                 n + b";", b"18446744073709551616", b"18446744073709551654", b"9223372036854775808", b"\xb2", n + b"\x0b",
                 b"\x0c" + n, n + b"\0", b"\xef\xbc\x93\xef\xbc\x98"):
        yield bad(f"CL {text!r}", post(b"Content-Length:" + text + b"\r\n", EVENT), {400, 413})
    yield good("CL with leading zeros", post(b"Content-Length: 00" + n + b"\r\n", EVENT))
    yield good("CL with blanks around", post(b"Content-Length: \t" + n + b" \t\r\n", EVENT))
    yield bad("CL above the limit", post(b"Content-Length: 999999999999\r\n", EVENT), {413})
    yield good("CL 0 before a next request", post(b"Content-Length: 0\r\n", b""), {400, 422})
    yield good("GET with a length and no body", get(b"/livez", b"Content-Length: 0\r\n"))
    yield good("GET with a body is refused once, its body is not a request",
               get(b"/livez", b"Content-Length: %d\r\n" % len(HIDDEN)) + HIDDEN, {400})
    # transfer codings
    for value in (b"xchunked", b"chunkedx", b",chunked", b"chunked,", b"chunked, chunked", b"identity", b"chunked, identity",
                  b"gzip, chunked", b"gzip", b"chunked;q=1", b"\"chunked\"", b"'chunked'", b"chunked\x0b", b"\x0bchunked",
                  b"chunke\xc4\x8f", b"chun ked", b"", b"\0chunked", b"chunked\0", b"0"):
        yield bad(f"TE {value!r}", coded(value), SPLIT)
    yield bad("TE twice", post(TE + TE, CHUNK + END), SPLIT)
    yield bad("TE identity, then chunked", post(b"Transfer-Encoding: identity\r\n" + TE, CHUNK + END), SPLIT)
    yield bad("TE chunked, then cow", post(TE + b"Transfer-Encoding: cow\r\n", CHUNK + END), SPLIT)
    yield bad("TE in HTTP/1.0", post(TE, CHUNK + END, b"HTTP/1.0"), SPLIT)
    yield bad("TE hidden behind a fold", post(b"Transfer-Encoding:\r\n chunked\r\n", CHUNK + END), SPLIT)
    yield bad("TE hidden behind a bare CR", post(b"X: y\rTransfer-Encoding: chunked\r\n" + LEN, EVENT))
    yield bad("TE hidden behind a bare LF", post(b"X: y\nTransfer-Encoding: chunked\r\n" + LEN, EVENT))
    yield bad("TE, space before the colon", post(b"Transfer-Encoding : chunked\r\n" + LEN, EVENT))
    yield bad("TE, tab before the colon", post(b"Transfer-Encoding\t: chunked\r\n" + LEN, EVENT))
    yield bad("TE, space before the name", post(b" Transfer-Encoding: chunked\r\n" + LEN, EVENT))
    yield good("TE with an underscore is another header", post(b"Transfer_Encoding: chunked\r\n" + LEN, EVENT))
    # chunks
    h = b"%x" % len(EVENT)
    for size in (b"", b" " + h, h + b" ", h + b"\t", b"0x" + h, b"+" + h, b"-" + h, b"2_6", b"2.6", b"2g", b"\"26\"",
                 b"10000000000000000", b"100000000000000" + h, b"ffffffffffffffff", b"8000000000000000", b"\0" + h, h + b"\0",
                 h + b";a\rb", h + b";a\nb", h + b"\n", h + b"\r", h + b"\rX", b"\n" + h, h + b",", h + b" ;a=b", b"\xb2" + h):
        yield bad(f"chunk size {size!r}", sized(size), {400, 413})
    yield good("chunk size with leading zeros", sized(b"000" + h))
    yield good("chunk size in capitals", post(TE, b"%X\r\n%s\r\n" % (len(EVENT), EVENT) + END))
    yield good("chunk extension with a value", sized(h + b";a=\"b\""))
    yield good("two chunks", post(TE, b"5\r\n" + EVENT[:5] + b"\r\n%x\r\n" % len(EVENT[5:]) + EVENT[5:] + b"\r\n" + END))
    yield bad("chunk longer than its size", post(TE, b"5\r\n" + EVENT + b"\r\n" + END))
    yield bad("chunk shorter than its size", post(TE, b"30\r\n" + EVENT + b"\r\n" + END))
    yield bad("chunk data ended by LF", post(TE, h + b"\r\n" + EVENT + b"\n" + END))
    yield bad("chunk data ended by CR", post(TE, h + b"\r\n" + EVENT + b"\r" + END))
    yield bad("chunk data without an end", post(TE, h + b"\r\n" + EVENT + END))
    yield bad("last chunk ended by LF", post(TE, CHUNK + b"0\n\n"))
    yield bad("last chunk with half an end", post(TE, CHUNK + b"0\r\n\r"))
    yield good("trailer that would be another length", post(TE, CHUNK + b"0\r\nContent-Length: 99\r\n\r\n"))
    yield bad("trailer with a bare LF", post(TE, CHUNK + b"0\r\nX: y\n\r\n"))
    yield bad("trailer with a NUL", post(TE, CHUNK + b"0\r\nX: \0\r\n\r\n"))
    yield bad("trailer without end", post(TE, CHUNK + b"0\r\n" + b"X: " + b"y" * 8192 + b"\r\n\r\n"), {400, 431})
    # lines and names
    yield bad("bare LF throughout", post(LEN, EVENT).replace(b"\r\n", b"\n"))
    yield bad("bare CR throughout", get(b"/livez").replace(b"\r\n", b"\r"))
    yield bad("CR CR LF", get(b"/livez", b"X: y\r\r\n"))
    yield bad("LF CR", get(b"/livez", b"X: y\n\r"))
    yield bad("empty line of LF after the head", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\nX: y\r\n\r\n")
    for byte in (b"\0", b"\x01", b"\x07", b"\x0b", b"\x0c", b"\x1f", b"\x7f"):
        yield bad(f"header value with {byte!r}", get(b"/livez", b"X: a" + byte + b"b\r\n"))
    for byte in (b"\0", b" ", b"\t", b"\x0b", b"\x7f", b"\x80", b"\xff", b"(", b"\"", b"/", b"[", b"{", b"@", b","):
        yield bad(f"header name with {byte!r}", get(b"/livez", b"X" + byte + b"Y: z\r\n"))
    yield good("high bytes in a value", get(b"/livez", b"X: \xe9\xff\xc3\xa9\r\n"))
    yield good("tab within a value", get(b"/livez", b"X: a\tb\r\n"))
    yield good("empty value", get(b"/livez", b"X:\r\n"))
    yield bad("folded header", get(b"/livez", b"X: a\r\n b\r\n"))
    yield bad("folded with a tab", get(b"/livez", b"X: a\r\n\tb\r\n"))
    yield bad("fold before the first header", b"GET /livez HTTP/1.1\r\n X: a\r\nHost: localhost\r\n\r\n")
    yield bad("no colon", get(b"/livez", b"XY\r\n"))
    yield bad("empty name", get(b"/livez", b": y\r\n"))
    yield bad("1,000 headers", get(b"/livez", b"".join(b"X-%d: y\r\n" % i for i in range(1000))), {431})
    yield bad("a header of 64 KiB", get(b"/livez", b"X: " + b"y" * 65536 + b"\r\n"), {431})
    # the request line
    for version in (b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/1", b"HTTP/1.", b"HTTP/1.10", b"HTTP/01.1", b"HTTP/1.1x",
                    b"HTTP/ 1.1", b"HTTP /1.1", b"http/1.1", b"HTTQ/1.1", b"HTTP/1,1", b"HTTP/+1.1", b"XHTTP/1.1", b"", b"\xff"):
        yield bad(f"version {version!r}", get(b"/livez", version=version), {400, 505})
    yield bad("GET of HTTP/0.9", b"GET /livez\r\n")
    yield bad("a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505})
    yield bad("a TLS hello", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00\r\n\r\n")
    for method in (b"G\0T", b"GE T", b"GET\t", b"", b"G@T", b"\xc3\x89", b"GET,"):
        yield bad(f"method {method!r}", get(b"/livez", method=method))
    yield good("a longer method that begins with one", get(b"/livez", method=b"GETX"), {405, 501})
    yield good("method in small letters", get(b"/livez", method=b"get"), {405, 501})
    yield good("TRACE echoes nothing", get(b"/livez", b"X-Secret: a\r\n", method=b"TRACE"), {405, 501})
    yield good("OPTIONS", get(b"/livez", method=b"OPTIONS"), {200, 204, 405})
    yield good("HEAD", get(b"/livez", method=b"HEAD"))
    yield good("HEAD of what is not there", get(b"/none", method=b"HEAD"), {404})
    yield bad("CONNECT", get(b"localhost:80", method=b"CONNECT"), {400, 405, 501})
    # targets
    for target in (b"*", b"localhost", b"localhost:80", b"livez", b"?x", b"ftp://localhost/livez", b"http:/livez", b"http://",
                   b"http:///livez", b"http://a@localhost/livez", b"http://other/livez", b"//\0", b"/li\x7fvez", b"/li\xe9vez",
                   b"/livez#top", b"/li\tvez", b"\\livez"):
        yield bad(f"target {target!r}", get(target))
    yield good("absolute target", get(b"http://localhost/livez"))
    yield good("OPTIONS *", get(b"*", method=b"OPTIONS"), {200, 204})
    yield good("double slash is no host", get(b"//localhost/livez"), {404})
    yield good("dot segments are not resolved", get(b"/v1/../livez"), {404})
    yield good("dot segments, encoded", get(b"/v1/%2e%2e/livez"), {404})
    yield bad("a target of 64 KiB", get(b"/v1/recommend?user=" + b"a" * 65536), {414})
    yield bad("a target of 9,000 bytes", get(b"/v1/recommend?user=" + b"a" * 9000), {414})
    # Host
    yield bad("no Host", b"GET /livez HTTP/1.1\r\n\r\n")
    yield bad("two Hosts", get(b"/livez", HOST))
    yield bad("two Hosts that differ", get(b"/livez", b"hOST: other\r\n"))
    for host in (b"a b", b"a,b", b"a/b", b"a@b", b"a\"b", b"a\\b", b"<a>", b"a?b", b"a#b", b"localhost\0"):
        yield bad(f"Host {host!r}", get(b"/livez", host=b"Host: " + host + b"\r\n"))
    yield good("Host of a stranger", get(b"/v1/stats", host=b"Host: evil.example\r\n"), {403})
    # what one asks for beside
    yield bad("an unknown expectation", get(b"/livez", b"Expect: 200-ok\r\n"), {417})
    yield good("upgrade to h2c is declined", get(b"/livez", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                                                 b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"))
    yield good("upgrade to websocket is declined", get(b"/livez", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"))
    yield good("an unknown content coding", post(LEN + b"Content-Encoding: br\r\n", EVENT), {415})
    yield good("an unknown content type", post(LEN, EVENT).replace(b"application/json", b"image/png"), {415})
    yield good("a gzip body that is none", post(LEN + b"Content-Encoding: gzip\r\n", EVENT), {400})
    for query in (b"n=-1", b"n=1000000000", b"n=99999999999999999999", b"n=5&n=6", b"n=%", b"n=%4", b"n=%zz", b"user=%00", b"n=",
                  b"n=5;", b"n=0x5", b"n=+5", b"nn=5", b"user=%ff", b"user=%ed%a0%80", b"user=%c0%80", b"n=1e1", b"=", b"n=5%00"):
        yield good(f"?{query.decode()}", get(b"/v1/recommend?" + query), {400})
    yield good("a NUL in a path value", get(b"/v1/items/%00"), {400, 404})
    yield good("a slash in a path value", get(b"/v1/items/a%2fb"), {404})
    yield good("bad percent-encoding in a path value", get(b"/v1/items/%g1"), {400})
    # what comes after
    yield bad("pipelined behind a refusal", get(b"/livez", b"X Y: z\r\n") + HIDDEN)
    yield good("an empty line between requests", b"\r\n" + get(b"/livez"))
    yield bad("bytes of HTTP/1.0 behind its answer", get(b"/livez", version=b"HTTP/1.0"), {200})
    yield bad("close is kept", get(b"/livez", b"Connection: close\r\n"), {200})
    yield bad("close in a list and in capitals", get(b"/livez", b"Connection: foo, CLOSE\r\n"), {200})


VECTORS = list(vectors())


def converse(port, message, half_close=True):
    """All that the server says to the message and a next request, up to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        try:
            client.sendall(message + NEXT)
            if half_close:
                client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before all of it was sent; the answer is still there
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
        except ConnectionError:
            pass
    return answer


def judge(port, vector):
    """None when the server did right, else what it did."""
    _, message, statuses, kept = vector
    answer = converse(port, message)
    got = [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)]
    if len(got) != (2 if kept else 1) or got[0] not in statuses or (kept and got[1] != 200):
        return f"answers {got}"
    head = answer.split(b"\r\n\r\n", 1)[0].lower()
    if got[0] >= 400 and b"content-type: application/problem+json" not in head:
        return "a refusal without problem details"
    if not kept and b"connection: close" not in head:
        return "the end is not announced"
    if b"x-secret" in answer:
        return "the request was echoed"
    return None


def in_pieces(server):
    """Where segments are cut changes nothing: each vector's verdict a second time, byte by byte."""
    for vector in [v for v in VECTORS if len(v[1]) < 400][::8]:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = b""
            try:
                for i in range(len(vector[1] + NEXT)):
                    client.sendall((vector[1] + NEXT)[i:i + 1])
                client.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            try:
                while piece := client.recv(65536):
                    answer += piece
            except ConnectionError:
                pass
        whole = re.findall(rb"HTTP/1\.1 (\d\d\d) ", converse(server.port, vector[1]))
        lib.check(f"byte by byte: {vector[0]}", re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer) in (whole, whole[:1]), str(answer[:80]))


def half_closed(server):
    """A client that says it is done gets its answers; one that is gone in mid-message gets none."""
    for name, message, wanted in (("after whole requests", get(b"/livez") * 3, 3), ("within a head", b"GET /livez HT", 0),
                                  ("within a body", post(b"Content-Length: 99\r\n", EVENT), 0),
                                  ("within a chunk", post(TE, b"99\r\n" + EVENT), 0)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        lib.check(f"half close {name}: {wanted} answers", answer.count(b"HTTP/1.1 200") == wanted, str(answer[:80]))


def main():
    with lib.Server() as server:
        for vector in VECTORS:
            fault = judge(server.port, vector)
            lib.check(vector[0], fault is None, str(fault))
        in_pieces(server)
        half_closed(server)
        lib.check("and it still answers", server.call("GET", "/v1/recommend?n=5")[0] == 200)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
