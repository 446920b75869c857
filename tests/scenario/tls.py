#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS on request: 1.2 and 1.3 are spoken and nothing older, a renewed certificate is given to new connections
while an old one goes on, a pair that does not fit changes nothing, and all of HTTP is the same above it."""
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import api_lib as lib

SUITES = "ECDHE-ECDSA-AES128-GCM-SHA256"


def make_pair(folder, name, common_name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=" + common_name, "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem"],
                   check=True, stderr=subprocess.DEVNULL)


class Server:
    def __init__(self, folder, *flags):
        self.log = folder + "/log"
        self.process = subprocess.Popen(
            [lib.BINARY, "serve", "--json", "--data-dir", folder + "/data", "--port", str(lib.free_port()), "--tls-cert",
             folder + "/cert.pem", "--tls-key", folder + "/cert.key", *flags], stdout=subprocess.PIPE, stderr=open(self.log, "wb"))
        self.answer = json.loads(self.process.stdout.readline() or "{}")
        self.port = self.answer.get("port")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)

    def open(self, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)
        connection.connect()
        return connection

    def certificate(self):
        connection = self.open()
        der = connection.sock.getpeercert(True)
        connection.close()
        return der


def call(connection, method, path, body=None):
    connection.request(method, path, body, {"Content-Type": "application/x-ndjson"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def s_client(port, *flags):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-cipher", "ALL:@SECLEVEL=0", *flags],
                          input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    return b"Cipher is (NONE)" not in done.stdout and b"Cipher is " in done.stdout


def versions(server):
    for flag, wanted in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        lib.check(f"openssl s_client {flag} is {'accepted' if wanted else 'refused'}", s_client(server.port, flag) == wanted)
    for suite in ("AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "DES-CBC3-SHA", "RC4-SHA", "NULL-SHA256", "ADH-AES128-SHA"):
        lib.check(f"the weak suite {suite} is refused", not s_client(server.port, "-tls1_2", "-cipher", suite + ":@SECLEVEL=0"))
    lib.check(f"the suite {SUITES} is accepted", s_client(server.port, "-tls1_2", "-cipher", SUITES))
    lib.check("the address is announced as https", server.answer["url"].startswith("https://"))


def enumerated(server):
    """Another's eye: nmap's ssl-enum-ciphers tries every version and suite and grades them. Of the full form (tools/deps full)."""
    if not lib.have("nmap"):
        print("# no nmap here: ssl-enum-ciphers is left out")
        return
    text = subprocess.run(["nmap", "-n", "-Pn", "-sT", "-p", str(server.port), "--script", "ssl-enum-ciphers", "127.0.0.1"],
                          stdout=subprocess.PIPE, timeout=300).stdout.decode()
    versions_seen = set(re.findall(r"(SSLv\d|TLSv1\.\d):", text))
    lib.check("nmap sees TLS 1.2 and 1.3 and no other version", versions_seen == {"TLSv1.2", "TLSv1.3"}, str(versions_seen))
    grade = re.search(r"least strength: (\w)", text)
    lib.check("nmap grades the weakest suite A", grade is not None and grade.group(1) == "A", text[-400:])
    lib.check("nmap warns of nothing", "warnings" not in text, text[-800:])


def traffic(server):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        connection = server.open(version)
        body = b"".join(b'{"user":"u%d","item":"i%d","type":"click"}\n' % (i % 50, i % 300) for i in range(5000))
        status, answer = call(connection, "POST", "/v1/events", body)
        lib.check(f"{version.name}: a body of {len(body)} bytes over many TLS records", status == 200, str(answer[:200]))
        status, answer = call(connection, "GET", "/openapi.json")
        lib.check(f"{version.name}: an answer of {len(answer)} bytes", status == 200 and bool(json.loads(answer)["paths"]))
        good = all(call(connection, "GET", "/v1/recommend?user=u1&n=5")[0] == 200 for _ in range(100))
        lib.check(f"{version.name}: 100 requests on one connection", good)
        connection.sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
        connection.sock.sendall(b"GET /li vez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while piece := connection.sock.recv(65536):
            answer += piece
        lib.check(f"{version.name}: three pipelined requests, one refusal, the end",
                  answer.count(b"HTTP/1.1 200") == 3 and answer.count(b"HTTP/1.1 400") == 1, str(answer[-200:]))


def strangers(server):
    for name, words in (("plain HTTP", b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"), ("noise", bytes(range(256)) * 8),
                        ("half a hello that stalls", b"\x16\x03\x01\x02\x00\x01")):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(words)
            answer = b""
            try:
                while piece := client.recv(4096):
                    answer += piece
            except ConnectionError:
                pass
        lib.check(f"{name} is shown out without an answer", b"HTTP" not in answer, str(answer[:80]))
    lib.check("and the next one is served", call(server.open(), "GET", "/livez")[0] == 200)


def until_certificate(server, wanted):
    deadline = time.monotonic() + 30
    while (der := server.certificate()) != wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return der == wanted


def der_of(folder, name):
    with open(f"{folder}/{name}.pem", encoding="ascii") as pem:
        return ssl.PEM_cert_to_DER_cert(pem.read())


def reload(server, folder):
    old = server.open()
    call(old, "GET", "/livez")
    make_pair(folder, "new", "second")
    os.replace(folder + "/new.pem", folder + "/cert.pem")  # its key is not there yet: the pair does not fit
    deadline = time.monotonic() + 30
    while b"stays as it was" not in open(server.log, "rb").read() and time.monotonic() < deadline:
        time.sleep(0.05)
    lib.check("a certificate without its key changes nothing", server.certificate() != der_of(folder, "cert"))
    os.replace(folder + "/new.key", folder + "/cert.key")
    lib.check("a new connection is given the new certificate", until_certificate(server, der_of(folder, "cert")))
    lib.check("the old connection goes on", call(old, "GET", "/v1/recommend?user=u1&n=3")[0] == 200)
    for _ in range(20):
        make_pair(folder, "new", "again")
        for kind in ("key", "pem"):
            os.replace(f"{folder}/new.{kind}", f"{folder}/cert.{kind}")
        if call(old, "GET", "/livez")[0] != 200 or call(server.open(), "GET", "/livez")[0] != 200:
            lib.check("20 renewals drop nobody", False)
            return
    lib.check("20 renewals drop nobody", until_certificate(server, der_of(folder, "cert")))


def bad_options(folder):
    def ends(*flags):
        return subprocess.run([lib.BINARY, "serve", "--data-dir", folder + "/none", "--port", "0", *flags], timeout=60,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    make_pair(folder, "other", "other")
    lib.check("a certificate without a key option is a fault of usage", ends("--tls-cert", folder + "/cert.pem").returncode == 2)
    wrong = ends("--tls-cert", folder + "/cert.pem", "--tls-key", folder + "/other.key")
    lib.check("a key that does not fit ends the start and names the files",
              wrong.returncode == 1 and b"other.key" in wrong.stderr, str(wrong.stderr[-200:]))


def main():
    if not lib.have("openssl"):
        print("1..0 # SKIP no openssl here")
        return 77
    folder = tempfile.mkdtemp(prefix="freshet-tls-")
    make_pair(folder, "cert", "first")
    with Server(folder, "--header-timeout", "500ms") as server:
        versions(server)
        enumerated(server)
        traffic(server)
        strangers(server)
        reload(server, folder)
    bad_options(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return lib.end()


if __name__ == "__main__":
    sys.exit(main())
