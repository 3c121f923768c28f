#!/usr/bin/env python3
"""Types `./start` as its users do: with a script, with a folder, on a terminal. The last line counts.

What the prompt can do is tested elsewhere.
"""

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
START = os.path.join(HERE, "..", "start")
PATIENCE = 600  # seconds, a build included
MADE = ["me.pem", "me_key.pem", "remo_serv.pem", "remo_serv_key.pem", "server.log", "users_db.sqlite"]


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def start(script, *arguments):
    return subprocess.run([START, *arguments], input=script, encoding="utf-8", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=PATIENCE, check=False)


def expect_all_gone(told):
    """The server that was started no longer listens, and a temporary folder is removed."""
    port = int(re.search(r"listening on http://127\.0\.0\.1:(\d+)", told)[1])
    with socket.socket() as one:
        expect(one.connect_ex(("127.0.0.1", port)) != 0, "the server still listens")
    folder = re.search(r"In (\S*/remo-start-\S+), with", told)
    expect(folder is None or not os.path.exists(folder[1]), "the folder is still there")


def a_script_runs_and_its_output_is_all_there_is(_home):
    done = start("exec echo one\nexec echo two\n")
    expect(done.returncode == 0, done.stderr)
    expect(done.stdout == "one\ntwo\n", done.stdout)
    for command in ("build-key-pair --no-password", "add-user me", "remo-serv --interface", "remo prompt --user me"):
        expect("$ " + command in done.stderr, "it does not say '%s'" % command)
    expect_all_gone(done.stderr)


def a_command_that_fails_is_the_exit_code(_home):
    done = start("exec /nonexistent\n")
    expect(done.returncode == 1, "exit code %d" % done.returncode)
    expect_all_gone(done.stderr)


def a_folder_is_kept_and_serves_again(home):
    folder = os.path.join(home, "a folder")
    expect(start("exec true\n", folder).returncode == 0, "the first start fails")
    expect(sorted(os.listdir(folder)) == MADE, os.listdir(folder))
    key = content(folder, "me_key.pem")
    again = start("exec true\n", folder)
    expect(again.returncode == 0, again.stderr)
    expect(content(folder, "me_key.pem") == key, "the key is another one")
    expect_all_gone(again.stderr)


def a_foreign_folder_is_left_alone(home):
    with open(os.path.join(home, "me.pem"), "wb") as file:
        file.write(b"precious")
    expect(start("", home).returncode == 1, "it is taken")
    expect(content(home, "me.pem") == b"precious", "it is overwritten")
    expect(os.listdir(home) == ["me.pem"], os.listdir(home))


def content(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


class Terminal:
    """`./start` on a terminal of its own."""

    def __init__(self, home):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", XDG_STATE_HOME=home)  # where the history of the prompt goes
            os.execv(START, [START])
        self.told = ""
        self.taken = 0  # characters that were waited for
        self.code = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            self.close()

    def read_until(self, wanted):
        end = time.monotonic() + PATIENCE
        while wanted not in self.told[self.taken:]:
            expect(time.monotonic() < end, "'%s' does not come: %s" % (wanted, self.told[self.taken:]))
            expect(self.read(), "it ended before '%s': %s" % (wanted, self.told[self.taken:]))
        self.taken = self.told.index(wanted, self.taken) + len(wanted)

    def read(self):
        if not select.select([self.terminal], [], [], 1)[0]:
            return True
        try:
            some = os.read(self.terminal, 65536)
        except OSError:
            return False
        self.told += some.decode("utf-8", "replace")
        return bool(some)

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def end(self):
        """Waits for the end; gives the exit code."""
        end = time.monotonic() + 60
        while self.read():
            expect(time.monotonic() < end, "it does not end: " + self.told[-500:])
        return self.close()

    def close(self):
        os.close(self.terminal)
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


def at_the_terminal_ctrl_c_ends_a_command_and_ctrl_d_all(home):
    with Terminal(home) as terminal:
        terminal.read_until("remo> ")
        terminal.type("exec sh -c 'echo be''gun; exec sleep 1000'\r")
        terminal.read_until("begun")
        terminal.type("\x03")
        terminal.read_until("remo> ")
        terminal.type("exec sh -c 'echo st''ill'\r")
        terminal.read_until("still")
        terminal.read_until("remo> ")
        terminal.type("\x04")
        code = terminal.end()
        expect(code == 0, "exit code %d: %s" % (code, terminal.told[-500:]))
        expect_all_gone(terminal.told)


def a_signal_ends_it_all(home):
    with Terminal(home) as terminal:
        terminal.read_until("remo> ")
        os.kill(terminal.pid, signal.SIGTERM)
        code = terminal.end()
        expect(code == 143, "exit code %d" % code)
        expect_all_gone(terminal.told)


def a_terminal_that_is_closed_ends_it_all(home):
    with Terminal(home) as terminal:
        terminal.read_until("remo> ")
        terminal.close()
        expect_all_gone(terminal.told)


CHECKS = [a_script_runs_and_its_output_is_all_there_is, a_command_that_fails_is_the_exit_code,
          a_folder_is_kept_and_serves_again, a_foreign_folder_is_left_alone,
          at_the_terminal_ctrl_c_ends_a_command_and_ctrl_d_all, a_signal_ends_it_all,
          a_terminal_that_is_closed_ends_it_all]


def main():
    failed = 0
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            with tempfile.TemporaryDirectory(prefix="remo-start-test-") as home:
                check(home)
            print("ok", name, flush=True)
        except (AssertionError, OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
            failed += 1
            print("FAIL %s: %s" % (name, " ".join(str(error).split())), flush=True)
    print("%d passed, %d failed" % (len(CHECKS) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
