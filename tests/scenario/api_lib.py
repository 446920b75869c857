# SPDX-License-Identifier: Apache-2.0
"""What the API scenarios share: a server of their own, calls checked against /openapi.json, TAP lines."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FRESHET_BUILD", os.path.join(ROOT, "build"))
BINARY = os.path.join(BUILD, "freshet")

failed = 0


def check(name, ok, detail=""):
    global failed
    failed += not ok
    print(("ok - " if ok else "not ok - ") + name + (f" ({detail})" if detail and not ok else ""), flush=True)
    return ok


def end():
    return 1 if failed else 0


def have(program):
    return shutil.which(program) is not None


# ---- JSON schema: the part of it that the document uses -----------------------------------------------

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def is_kind(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


def faults(schema, value, document, path="$"):
    """What of the value breaks the schema; empty when it fits."""
    if "$ref" in schema:
        return faults(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], value, document, path)
    if "oneOf" in schema:
        fits = sum(not faults(s, value, document, path) for s in schema["oneOf"])
        return [] if fits == 1 else [f"{path}: fits {fits} of oneOf"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value!r} is none of {schema['enum']}"]
    kinds = schema.get("type")
    if kinds and not any(is_kind(value, k) for k in ([kinds] if isinstance(kinds, str) else kinds)):
        return [f"{path}: {value!r} is no {kinds}"]
    found = []
    if is_kind(value, "number"):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            found.append(f"{path}: {value} is out of range")
    if isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            found.append(f"{path}: too many")
        for i, element in enumerate(value):
            found += faults(schema.get("items", {}), element, document, f"{path}[{i}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        extra = schema.get("additionalProperties", True)
        found += [f"{path}.{name}: missing" for name in schema.get("required", []) if name not in value]
        for name, member in value.items():
            if name in properties:
                found += faults(properties[name], member, document, f"{path}.{name}")
            elif extra is False:
                found.append(f"{path}.{name}: not in the schema")
            elif isinstance(extra, dict):
                found += faults(extra, member, document, f"{path}.{name}")
    return found


# ---- the server -----------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, *flags, address="127.0.0.1"):
        self.flags, self.address = flags, address
        self.data = tempfile.mkdtemp(prefix="freshet-api-")
        self.schema_faults, self.requests_recommended, self.document, self.key = [], set(), None, None
        self.code = None
        self.log_path = self.data + ".log"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.connection.close()
        shutil.rmtree(self.data, ignore_errors=True)
        os.unlink(self.log_path)

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--json", "--data-dir", self.data, "--port", str(free_port()),
                                             *self.flags], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended with {self.process.wait()}")
        self.port = json.loads(line)["port"]
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        if self.document is None:
            self.document = json.loads(self.raw("GET", "/openapi.json")[2])

    def stop(self):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        self.code = self.process.wait(60)

    def raw(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.key:
            headers.setdefault("X-API-Key", self.key)
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()  # the server ended the connection after a refusal
                if attempt == 2:
                    raise

    def call(self, method, path, body=None, headers=None):
        """Status and parsed answer; a fault against the document is noted."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        status, got, text = self.raw(method, path, body, headers)
        kind = got.get("Content-Type", "").split(";")[0]
        if not kind.endswith("json"):
            return status, text.decode()
        value = json.loads(text)
        self.compare(method, path, status, kind, value)
        if path.startswith("/v1/recommend") and status == 200:
            self.requests_recommended.add(value["request_id"])
        return status, value

    def compare(self, method, path, status, kind, value):
        plain = path.split("?")[0]
        for pattern, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", pattern), plain) and method.lower() in operations:
                answers = operations[method.lower()]["responses"]
                answer = answers.get(str(status), answers["default"])
                schema = answer["content"].get(kind, {}).get("schema")
                break
        else:
            schema = {"$ref": "#/components/schemas/Problem"}
        found = ["no schema for this answer"] if schema is None else faults(schema, value, self.document)
        for fault in found:
            self.schema_faults.append(fault)
            check(f"{method} {path} {status} against its schema: {fault}", False)


# ---- slates on disk -----------------------------------------------------------------------------------------

LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"


def id_text(number):
    return "r" + "".join(LETTERS[number >> (5 * (12 - i)) & 31] for i in range(13))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        size = struct.calcsize(form)
        value, = struct.unpack_from(form, self.data, self.at)
        self.at += size
        return value

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take("<B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def string(self):
        size = self.varint()
        self.at += size
        return self.data[self.at - size:self.at].decode()


def read_slates(data):
    """As src/serve/slates.h describes the bytes."""
    folder = os.path.join(data, "slates")
    for name in sorted(os.listdir(folder)):
        raw = open(os.path.join(folder, name), "rb").read()
        assert raw[:8] == b"FRSLATE1", name
        at = 8
        while at + 8 <= len(raw):
            size, = struct.unpack_from("<I", raw, at)
            if size == 0:
                break
            reader = Reader(raw[at + 8:at + 8 + size])
            assert reader.take("<B") == 3
            row = {"id": id_text(reader.take("<Q")), "position": reader.take("<Q"), "time_us": reader.take("<q"),
                   "user": reader.string(), "flags": reader.take("<B"), "offset": reader.varint()}
            row["places"] = [{"item": reader.string(), "score": reader.take("<f"), "propensity": reader.take("<f"),
                              "move": reader.take("<B"), "generators": reader.varint()} for _ in range(reader.varint())]
            yield row
            at += 8 + size


def query(**parameters):
    return urllib.parse.urlencode(parameters, doseq=True)
