"""A stage for tests: a folder with keys and a database as the Python tools make them, and a stand-in server."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, rsa

import remo_wire as wire

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = ("CREATE TABLE IF NOT EXISTS users(id INTEGER PRIMARY KEY AUTOINCREMENT, "
          "user TEXT UNIQUE, key TEXT, pub TEXT)")


class Stage:
    """A folder that holds remo_serv_key.pem, the keys of its users, and users_db.sqlite; gone at the end."""

    def __init__(self, form="0.6"):
        self.form = form  # "0.3": the database holds base64; "0.6": PEM
        self.folder = tempfile.mkdtemp(prefix="remo-stage-")
        self.base = self.path("users_db.sqlite")
        with sqlite3.connect(self.base) as base:
            base.execute(SCHEMA)
        base.close()
        self.pair("remo_serv")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def pair(self, prefix, key=None):
        """Writes PREFIX_key.pem and PREFIX.pem; gives the public key."""
        key = key or ed448.Ed448PrivateKey.generate()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.PEM,
                                               serialization.PublicFormat.SubjectPublicKeyInfo)
        for name, pem in ((prefix + "_key.pem", private), (prefix + ".pem", public)):
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(pem)
        return key.public_key(), public

    def user(self, name, prefix, kind="ed448"):
        """Adds a user; its keys are PREFIX_key.pem and PREFIX.pem."""
        key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
        public, pem = self.pair(prefix, key)
        stored = pem
        if self.form == "0.3":
            raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            stored = wire.encode64(raw).encode()
        with sqlite3.connect(self.base) as base:
            base.execute("INSERT INTO users(user, pub) VALUES(?, ?)", (name, stored))
        base.close()
        return self

    def server(self, *options):
        return Server(["--key-file", self.path("remo_serv_key.pem"), "--users-db", self.base, *options])


class Server:
    """A stand-in server in a process of its own; `url` tells where."""

    def __init__(self, options):
        command = [sys.executable, os.path.join(HERE, "server.py"), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("server.py does not start")
        self.url = "http://127.0.0.1:%d" % int(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
