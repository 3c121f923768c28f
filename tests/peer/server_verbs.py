"""The verbs of the stand-in server: files, commands, and the interactive command.

Each gives the pieces of its answer; refusals are Wrong. No tokens and no HTTP in here.
"""

import os
import select
import shlex
import signal
import socket
import subprocess
import tempfile

from remo_wire import ANSWER_PIECE, Refusal
from server_core import Drop, Wrong

READ_SIZE = 8192
WAIT = 0.1  # seconds that /icm and /idt wait for output
GRACE = 5.0  # seconds between asking a process to end and killing it


def text_of(raw, status):
    if not raw or b"\0" in raw:
        raise Wrong(status, "an empty name, or one with NUL")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Wrong(status, "not UTF-8") from error


# --- files ---


def fetch(raw, python):
    name = text_of(raw, 400)
    if os.path.exists(name) and not os.path.isfile(name):
        raise Wrong(400, "cannot read '%s': no regular file" % name)
    try:
        file = open(name, "rb")
    except OSError as error:
        if python and isinstance(error, FileNotFoundError):
            raise Drop from error
        raise Wrong(400, "cannot read '%s': %s" % (name, error.strerror)) from error
    return pieces_of_file(file)


def pieces_of_file(file):
    with file:
        yield from iter(lambda: file.read(ANSWER_PIECE), b"")


def store(raw, pieces):
    name = text_of(raw, 400)
    folder = os.path.dirname(name) or "."
    if os.path.isdir(name) or not os.path.isdir(folder):
        raise Wrong(400, "cannot write '%s': no file can be there" % name)
    mode = os.stat(name).st_mode & 0o7777 if os.path.exists(name) else 0o644
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.writelines(pieces)
        os.chmod(file.name, mode)
        os.replace(file.name, name)
    except OSError as error:
        raise Wrong(500, "cannot write '%s': %s" % (name, error.strerror)) from error
    return []


# --- commands ---


def words_of(raw):
    try:
        words = shlex.split(text_of(raw, 400))
    except ValueError as error:
        raise Wrong(400, str(error)) from error
    if not words or not words[0]:
        raise Wrong(400, "an empty command")
    return words


def start(words, python, **streams):
    try:
        return subprocess.Popen(words, start_new_session=True, **streams)
    except FileNotFoundError as error:
        if python:
            raise Drop from error
        raise Wrong(400, "cannot run '%s': no such command" % words[0]) from error
    except OSError as error:
        raise Wrong(400, "cannot run '%s': %s" % (words[0], error.strerror)) from error


def run(raw, pieces, python):
    """/cmd: standard output and error as one stream."""
    words = words_of(raw)
    with tempfile.TemporaryFile() as spool:
        spool.writelines(pieces)
        spool.seek(0)
        process = start(words, python, stdin=spool, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return output_of(process)


def output_of(process):
    with process.stdout as out:
        yield from iter(lambda: out.read1(ANSWER_PIECE), b"")
    process.wait()


class Interactive:
    """A command on one end of a socket pair."""

    def __init__(self, raw, python):
        self.near, far = socket.socketpair()
        with far:
            try:
                self.process = start(words_of(raw), python, stdin=far, stdout=far, stderr=far)
            except BaseException:
                self.near.close()
                raise

    def talk(self, pieces):
        """Sends input, then gives what comes within the wait, and whether the output has ended."""
        self.send(pieces)
        try:
            if not select.select([self.near], [], [], WAIT)[0]:
                return b"", False
            data = self.near.recv(READ_SIZE)
        except OSError:
            data = b""
        return data, not data

    def send(self, pieces):
        try:
            for piece in pieces:
                if piece:
                    self.near.sendall(piece)
        except OSError:
            pass  # it ended; what it said before is still to be read

    def finish(self, pieces):
        """Shuts the input and streams the rest."""
        self.send(pieces)
        try:
            self.near.shutdown(socket.SHUT_WR)
            yield from iter(lambda: self.near.recv(READ_SIZE), b"")
        except OSError:
            pass
        self.close()

    def close(self):
        self.near.close()
        for name in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, name)
            except OSError:
                pass
            try:
                self.process.wait(GRACE)
                return
            except subprocess.TimeoutExpired:
                continue


def end_process(session):
    if session.process is not None:
        session.process.close()
        session.process = None


def play(service, session, verb, token, pieces):
    """One verb: the pieces of its answer."""
    if verb not in ("idt", "edt"):
        end_process(session)
    if verb == "info":
        return [b"remo_serv 0.stand-in here"]
    if verb in ("idt", "edt"):
        return converse(session, verb, pieces)
    try:
        raw = service.argument(session, token)
    except Refusal as refusal:
        raise Wrong(400 if verb in ("get", "put") else 403, str(refusal)) from refusal
    if verb == "get":
        return fetch(raw, service.python)
    if verb == "put":
        return store(raw, pieces)
    if verb == "cmd":
        return run(raw, pieces, service.python)
    session.process = Interactive(raw, service.python)
    return converse(session, "idt", pieces)


def converse(session, verb, pieces):
    if session.process is None:
        raise Wrong(400, "no command runs")
    if verb == "edt":
        process, session.process = session.process, None
        return process.finish(pieces)
    data, ended = session.process.talk(pieces)
    if ended:
        end_process(session)
    return [data]
