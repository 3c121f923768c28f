#!/usr/bin/env python3
"""Starts nginx, squid or tinyproxy in a fresh folder on a free loopback port, for tests/proxies/run.

`paths.py KIND FOLDER [SERVER_URL]` writes the configuration, starts the program as a child, prints
its port and log-in (as in a URL) once it answers, and ends it (and all that it started) on SIGTERM or when its standard input closes.
No system file is touched; it needs no root and, as root, gives the programs an ordinary user.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import quote, urlsplit

PREFIX = "/remo/"
LOGIN = ("proxy-user", "s3cret:with@signs")
START_TIME = 20  # seconds for a program to open its port
STOP_TIME = 5  # seconds for it to end


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def plain_user(*names):
    """The first of these users that exists: whom a program started by root becomes."""
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    sys.exit("paths.py: none of the users %s exists" % ", ".join(names))


# --- nginx ---

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location {prefix} {{
            proxy_pass {server}/;
            {more}
        }}
    }}
}}
"""
STREAMING = """client_max_body_size 0;
            proxy_request_buffering off;
            proxy_http_version 1.1;"""
KEPT_WHOLE = "client_max_body_size 0;"


def nginx(folder, port, server, more=""):
    user = "user %s;" % plain_user("www-data", "nobody").pw_name if os.geteuid() == 0 else ""
    text = NGINX.format(folder=folder, port=port, server=server, prefix=PREFIX, more=more, user=user)
    # -e: else 1.22 opens the system's log before it reads the configuration
    return ["nginx", "-p", folder, "-e", folder + "/error.log", "-c", write(folder, "nginx.conf", text)]


# --- squid ---

SQUID = """
http_port 127.0.0.1:{port}
pid_filename {folder}/squid.pid
cache_log {folder}/cache.log
access_log none
cache deny all
cache_mem 8 MB
coredump_dir {folder}
visible_hostname remo-test
shutdown_lifetime 0 seconds
netdb_filename none
pinger_enable off
via on
{user}
{access}
http_access deny all
"""
SQUID_BASIC = """auth_param basic program {helper} {folder}/passwords
auth_param basic children 1
auth_param basic realm remo
auth_param basic utf8 off
acl known proxy_auth REQUIRED
http_access allow known"""
HELPERS = ["/usr/lib/squid/basic_ncsa_auth", "/usr/lib64/squid/basic_ncsa_auth", "/usr/libexec/squid/basic_ncsa_auth"]


def squid(folder, port, basic):
    access = "acl here src 127.0.0.1\nhttp_access allow here"
    if basic:
        helper = next((one for one in HELPERS if os.path.exists(one)), None) or sys.exit("paths.py: no basic_ncsa_auth")
        write(folder, "passwords", "%s:%s\n" % (LOGIN[0], apr1(LOGIN[1])))
        access = SQUID_BASIC.format(helper=helper, folder=folder)
    user = "cache_effective_user %s" % plain_user("proxy", "squid", "nobody").pw_name if os.geteuid() == 0 else ""
    text = SQUID.format(folder=folder, port=port, access=access, user=user)
    # a name of its own keeps its shared memory apart from that of other squids
    return ["squid", "-N", "-n", "remo%d" % os.getpid(), "-f", write(folder, "squid.conf", text)]


def apr1(password):
    out = subprocess.run(["openssl", "passwd", "-apr1", "-stdin"], input=password, stdout=subprocess.PIPE,
                         encoding="utf-8", check=True)
    return out.stdout.strip()


# --- tinyproxy ---

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 120
LogFile "{folder}/tinyproxy.log"
LogLevel Error
PidFile "{folder}/tinyproxy.pid"
MaxClients 100
Allow 127.0.0.1
{user}
{basic}
"""


def tinyproxy(folder, port, basic):
    user = "User %s" % plain_user("tinyproxy", "nobody").pw_name if os.geteuid() == 0 else ""
    login = "BasicAuth %s %s" % ascii_login() if basic else ""
    text = TINYPROXY.format(folder=folder, port=port, basic=login, user=user)
    return ["tinyproxy", "-d", "-c", write(folder, "tinyproxy.conf", text)]


def ascii_login():
    """Its configuration takes letters and digits only."""
    return "proxyuser", "s3cret"


def login_of(kind):
    """USER:PASSWORD as it stands in a proxy's URL; empty where none is asked."""
    if not kind.endswith("-basic"):
        return ""
    return ":".join(quote(one, safe="") for one in (LOGIN if kind.startswith("squid") else ascii_login()))


# --- starting and ending ---

KINDS = {
    "nginx": lambda folder, port, server: nginx(folder, port, server),
    "nginx-large": lambda folder, port, server: nginx(folder, port, server, KEPT_WHOLE),
    "nginx-streaming": lambda folder, port, server: nginx(folder, port, server, STREAMING),
    "squid": lambda folder, port, _: squid(folder, port, False),
    "squid-basic": lambda folder, port, _: squid(folder, port, True),
    "tinyproxy": lambda folder, port, _: tinyproxy(folder, port, False),
    "tinyproxy-basic": lambda folder, port, _: tinyproxy(folder, port, True),
}


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def hand_over(folder):
    """As root: lets the user that the program becomes write in its folder."""
    if os.geteuid() == 0:
        owner = plain_user("proxy" if "squid" in folder else "tinyproxy" if "tiny" in folder else "www-data", "nobody")
        for name in [folder, *(os.path.join(folder, one) for one in os.listdir(folder))]:
            os.chown(name, owner.pw_uid, owner.pw_gid)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def say(folder):
    for name in sorted(os.listdir(folder)):
        if name.endswith((".log", "out")):
            with open(os.path.join(folder, name), errors="replace", encoding="utf-8") as file:
                sys.stderr.write(file.read()[-3000:])


def start(kind, folder, server):
    """The running program and its port; another port is tried when someone took the first."""
    for _ in range(3):
        port = free_port()
        command = KINDS[kind](folder, port, server)
        hand_over(folder)
        with open(os.path.join(folder, "out"), "wb") as out:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        end = time.monotonic() + START_TIME
        while time.monotonic() < end and child.poll() is None:
            if answers(port):
                return child, port
            time.sleep(0.05)
        stop(child)
    say(folder)
    sys.exit("paths.py: %s does not start" % kind)


def stop(child):
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, name)
            child.wait(STOP_TIME)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in KINDS:
        sys.exit("usage: paths.py %s FOLDER [SERVER_URL]" % "|".join(KINDS))
    kind, folder = sys.argv[1], os.path.abspath(sys.argv[2])
    server = "http://" + urlsplit(sys.argv[3]).netloc if len(sys.argv) > 3 else ""
    os.environ["PATH"] += os.pathsep + "/usr/sbin:/sbin"
    if shutil.which(kind.split("-")[0]) is None:
        sys.exit("paths.py: %s is not installed" % kind.split("-")[0])
    os.makedirs(folder, exist_ok=True)
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, lambda *_: sys.exit(0))
    child, port = start(kind, folder, server)
    try:
        print(port, login_of(kind), flush=True)
        sys.stdin.read()
    finally:
        stop(child)


if __name__ == "__main__":
    main()
