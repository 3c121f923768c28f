#!/usr/bin/env python3
"""A stand-in for the Python server of remo_serv, with its quirks or without, honest or not.

Prints its port on one line when it is ready. For tests only: it holds whole requests in memory.
"""

import argparse
import re
import signal
import struct
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import remo_wire as wire
from remo_wire import Refusal
from server_core import Drop, Service, Users, Wrong
from server_verbs import end_process, play

VERBS = {"info", "get", "put", "cmd", "icm", "idt", "edt"}
MISDEEDS = {
    "bad-signature": "signs its transient key falsely",
    "zero-key": "sends a transient key of zeros, rightly signed",
    "no-cookie": "sets no cookie",
    "cut": "closes the connection in the middle of an answer",
    "truncate": "leaves the last token out and ends the answer in good order",
    "plain": "answers in the clear, without a length",
    "plain-length": "answers in the clear, with a length",
    "reflect": "sends the request's own body back",
    "replay": "sends the session's previous answer again",
    "wrong-number": "counts the request falsely (0.6)",
    "wrong-token": "counts the second token falsely (0.6)",
    "wrong-status": "seals status 500 in an answer of 200 (0.6)",
    "swap": "swaps the last two tokens",
    "tamper": "changes a byte of the last token",
    "slow": "waits 2 s, then sends small writes",
    "hang": "sends the head of an answer and half a token, then nothing for 60 s",
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self):
        try:
            body = self.read_body()
        except ValueError:
            self.close_connection = True  # the client left within its body
            return
        path = self.path.split("?")[0]
        ids = re.findall(r"(?:^|;)\s*SESSION_ID=([^;\s]+)", "; ".join(self.headers.get_all("Cookie", [])))
        self.session = self.service.choose(ids, path, body) or self.service.new_session()
        try:
            with self.session.lock:
                self.serve(path, body)
        except Drop:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = handle_any

    def serve(self, path, body):
        verb, token = (path.split("/", 2)[1:] + ["", ""])[:2]
        session = self.session
        try:
            if verb == "auth":
                end_process(session)
                return self.clear(200, self.spoil_login(self.service.authenticate(session, body)))
            if session.key is None:
                if verb != "info":
                    return self.clear(403, b"")
                return self.clear(200, play(self.service, session, verb, token, [])[0])
            self.seal(*self.play_sealed(session, verb, token, path, body), body)
        except Wrong as wrong:
            self.clear(wrong.status, wrong.text.encode("utf-8"))

    def play_sealed(self, session, verb, token, path, body):
        self.service.settle(session, path, body)
        try:
            pieces = self.service.open(session, path, body)
        except Refusal as refusal:
            status = 400 if verb in ("get", "put") else 403
            raise Wrong(status, str(refusal)) from refusal
        try:
            if verb not in VERBS:
                raise Wrong(404, "no such verb")
            return 200, play(self.service, session, verb, token, pieces)
        except Wrong as wrong:
            return wrong.status, [wrong.text.encode("utf-8")]

    # --- bodies ---

    def read_body(self):
        if (self.headers.get("Transfer-Encoding") or "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = []
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size == 0:
                while self.rfile.readline().strip():
                    pass
                return b"".join(data)
            data.append(self.rfile.read(size))
            self.rfile.readline()

    def lines(self, status, pieces):
        """The tokens of an answer, one by one."""
        session, python = self.session, self.service.python
        if session.dialect != "0.6":
            plain = (piece for piece in pieces if piece)
        else:
            plain = wire.frames_of_answer(200 if python else status, session.number, pieces, not python)
        blank = wire.CRLF if python and session.dialect == "0.6" and self.path.startswith("/get/") else b""
        for at, one in enumerate(plain):
            yield (blank if at else b"") + session.key.seal(one) + wire.CRLF

    # --- answers ---

    def head(self, status, length=None):
        self.send_response(status)
        if self.misdeed != "no-cookie":
            self.send_header("Set-Cookie", "SESSION_ID=" + self.session.id)
        self.send_header("Content-Type", "text/plain" if length is not None else "application/octet-stream")
        self.streams = False
        if length is not None:
            self.send_header("Content-Length", str(length))
        elif self.request_version == "HTTP/1.1":
            self.send_header("Transfer-Encoding", "chunked")
            self.streams = True
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def clear(self, status, data):
        self.head(status, len(data))
        self.wfile.write(data)

    def seal(self, status, pieces, body):
        if self.misdeed in ("plain", "plain-length"):
            data = b"".join(pieces)
            if self.misdeed == "plain-length":
                return self.clear(status, data)
            return self.stream(status, [data])
        self.stream(status, self.spoil(self.lines(status, pieces), body))

    def stream(self, status, lines):
        if self.misdeed == "slow":
            time.sleep(2)
        self.head(status)
        for line in lines:
            if line is None:
                self.close_connection, self.streams = True, False
                return
            self.write(line)
        if self.streams:
            self.wfile.write(b"0\r\n\r\n")

    def write(self, line):
        size = 7 if self.misdeed == "slow" and len(line) < 5000 else len(line)
        for at in range(0, len(line), size):
            part = line[at:at + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if self.streams else part)

    # --- misdeeds ---

    def spoil_login(self, text):
        if self.misdeed not in ("bad-signature", "zero-key") or wire.CRLF not in text:
            return text
        raw = bytes(56) if self.misdeed == "zero-key" else wire.decode64(text.split(wire.CRLF)[0])
        signature = wire.sign(self.service.key, raw if self.misdeed == "zero-key" else raw + b"!")
        return (wire.encode64(raw) + "\r\n" + wire.encode64(signature)).encode()

    def spoil(self, lines, body):
        """The lines to send; None ends the connection there."""
        deed = self.misdeed
        if deed in (None, "no-cookie", "slow", "bad-signature", "zero-key"):
            return lines
        lines = list(lines)
        if deed == "reflect":
            return [line + wire.CRLF for line in wire.request_lines(body)]
        if deed == "replay":
            old, self.session.last_answer = getattr(self.session, "last_answer", lines), lines
            return old
        if deed in ("cut", "hang"):
            return self.cut(lines, deed)
        if deed == "truncate":
            return lines[:-1]
        if deed == "swap":
            return lines[:-2] + lines[-2:][::-1]
        if deed == "tamper":
            last = lines[-1]
            return lines[:-1] + [last[:40] + (b"A" if last[40:41] != b"A" else b"B") + last[41:]]
        return self.renumber(lines, deed)

    def cut(self, lines, deed):
        whole = b"".join(lines)
        yield whole[:len(whole) // 2]
        if deed == "hang":
            time.sleep(60)
        yield None

    def renumber(self, lines, deed):
        """Seals the tokens again with another number or status."""
        key, found = self.session.key, []
        for at, line in enumerate(lines):
            marks, request, token, data = wire.unframe(key.open(line.strip())[2])
            request += deed == "wrong-number"
            token += deed == "wrong-token" and at > 0
            if deed == "wrong-status" and at == 0:
                data = b"500" + data[3:]
            plain = wire.frame(marks[:1] == b"B", marks[1:] == b"E", request, token, data)
            found.append(key.seal(plain) + wire.CRLF)
        return found

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, struct.error):
            pass  # the client left, or the numbers of 0.6 ran out

    def log_message(self, *_):
        pass


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dialect", choices=["0.3", "0.6", "both"], default="both")
    parser.add_argument("--key-file", required=True, help="the server's private key (PEM)")
    parser.add_argument("--password", help="of the key file")
    parser.add_argument("--users-db", required=True, metavar="FILE.sqlite")
    parser.add_argument("--quirks", choices=["none", "python"], default="none")
    parser.add_argument("--misbehave", choices=sorted(MISDEEDS), help="; ".join("%s: %s" % p for p in MISDEEDS.items()))
    parser.add_argument("--port", type=int, default=0)
    said = parser.parse_args()
    if said.dialect == "0.3" and (said.misbehave or "").startswith("wrong-"):
        parser.error("--misbehave %s needs the frames of 0.6" % said.misbehave)
    return said


def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    said = arguments()
    signal.signal(signal.SIGTERM, stop)
    key = wire.private_key(wire.read_file(said.key_file), said.password.encode() if said.password else None)
    only = said.dialect if said.quirks == "python" and said.dialect != "both" else None
    Handler.service = Service(said.dialect, key, Users(said.users_db, only), said.quirks)
    Handler.misdeed = said.misbehave
    ThreadingHTTPServer.daemon_threads = True
    with ThreadingHTTPServer(("127.0.0.1", said.port), Handler) as server:
        print(server.server_port, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        for session in list(Handler.service.sessions.values()):
            end_process(session)


if __name__ == "__main__":
    sys.exit(main())
