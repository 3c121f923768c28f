"""A folder with keys, files, our server and an sshd; all of it gone at the end."""

import getpass
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


class Stage:
    def __init__(self, said):
        self.small, self.install, self.bin_dir = said.small, said.install, said.bin_dir
        self.size, self.rounds = (64 << 20, 3) if said.small else (1 << 30, 5)
        self.started, self.load = [], None
        self.folder = tempfile.mkdtemp(prefix="remo-benches-")

    def __enter__(self):
        try:
            self.ssh_missing = self.find_ssh()
            self.programs = os.path.abspath(self.bin_dir or build())
            self.server = self.start_server()
            if not self.ssh_missing:
                self.start_sshd()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.started and not self.ssh_missing:
            subprocess.run(self.ssh_command("-O", "exit", master=True), check=False, stderr=subprocess.DEVNULL, **QUIET)
        for process in reversed(self.started):
            process.terminate()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def describe(self):
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            model = re.search(r"model name\s*:\s*(.*)", file.read())
        return "%s, %d cores, Linux %s, load %.1f; peers: %s" % (
            model[1] if model else platform.machine(), os.cpu_count(), platform.release(), os.getloadavg()[0],
            self.ssh_missing or ssh_version())

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def program(self, name):
        return os.path.join(self.programs, name)

    # Our own.

    def start_server(self):
        for name in ("remo_serv", "alice"):
            subprocess.run([self.program("build-key-pair"), "--no-password", name, self.folder], check=True, **QUIET)
        subprocess.run([self.program("add-user"), "-b", self.path("users_db"), "alice", self.path("alice.pem")],
                       check=True, **QUIET)
        server = self.fresh_server()
        self.first = self.port, self.url
        return server

    def fresh_server(self):
        """A server of which no measurement has used any memory."""
        environment = dict(os.environ, HOME=self.folder)
        server = subprocess.Popen(
            [self.program("remo-serv"), "--port", "0", "--interface", "127.0.0.1",
             "--key-file", self.path("remo_serv_key.pem"), "--log", self.path("log"),
             "--user-service", "SqliteUserService:" + self.path("users_db.sqlite")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, cwd=self.folder)
        self.started.append(server)
        self.port = int(re.findall(r"\d+", server.stdout.readline().decode())[-1])
        self.url = "http://127.0.0.1:%d" % self.port
        return server

    def stop(self, server):
        self.started.remove(server)
        server.terminate()
        server.wait()
        server.stdout.close()
        self.port, self.url = self.first

    def environment(self):
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return dict(plain, HOME=self.folder, XDG_CONFIG_HOME=self.path("config"), XDG_CACHE_HOME=self.path("cache"))

    def who(self):
        return ["-s", self.path("remo_serv.pem"), "-u", "alice", "-k", self.path("alice_key.pem")]

    def remo(self, verb, *rest):
        """Runs one verb; gives its seconds and its peak memory in KiB."""
        return run([self.program("remo"), verb, *self.who(), *rest], self.environment())

    def ask_load(self, act, count, server=None):
        server, self.load = server or self.server, self.load or build_load()
        command = [self.load, "127.0.0.1:%d" % self.port, self.path("remo_serv.pem"), "alice",
                   self.path("alice_key.pem"), str(server.pid), act, str(count)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit("run: '%s %d' failed" % (act, count))
        return json.loads(done.stdout)

    # The peers.

    def find_ssh(self):
        if self.install and not shutil.which("ssh"):
            subprocess.run(["apt-get", "install", "-y", "openssh-server", "openssh-client"], check=True, **QUIET)
        missing = [name for name, found in (("sshd", sshd()), ("ssh", shutil.which("ssh")), ("scp", shutil.which("scp")))
                   if not found]
        if missing:
            return "%s missing: its rows are left out (apt-get install openssh-server openssh-client, or --install)" % (
                ", ".join(missing))
        return ""

    def start_sshd(self):
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(name)], check=True, **QUIET)
        shutil.copy(self.path("user.pub"), self.path("authorized"))
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.ssh_port = free.getsockname()[1]
        with open(self.path("sshd_config"), "w", encoding="ascii") as file:
            file.write("\n".join([
                "ListenAddress 127.0.0.1", "Port %d" % self.ssh_port, "HostKey " + self.path("host"),
                "AuthorizedKeysFile " + self.path("authorized"), "PidFile none", "UsePAM no", "StrictModes no",
                "PasswordAuthentication no", "MaxStartups 1000", "Subsystem sftp internal-sftp", ""]))
        self.started.append(subprocess.Popen([sshd(), "-D", "-q", "-f", self.path("sshd_config")],
                                             stderr=subprocess.DEVNULL, **QUIET))
        wait_for(self.ssh_port)
        subprocess.run(self.ssh_command("true"), check=True, **QUIET)

    def ssh_options(self, master=False, cipher=None):
        options = ["-F", "none", "-i", self.path("user"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                   "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + self.path("known"),
                   "-o", "LogLevel=ERROR"]
        if master:
            options += ["-o", "ControlMaster=auto", "-o", "ControlPath=" + self.path("cm"), "-o", "ControlPersist=600"]
        if cipher:
            options += ["-c", cipher]
        return options

    def ssh_command(self, *rest, master=False):
        return ["ssh", "-p", str(self.ssh_port), *self.ssh_options(master), self.ssh_host(), *rest]

    def ssh_host(self):
        return getpass.getuser() + "@127.0.0.1"

    def ssh(self, *rest, master=False):
        run(self.ssh_command(*rest, master=master), os.environ)

    def scp(self, source, target, *more, cipher=None):
        run(["scp", "-q", "-P", str(self.ssh_port), *self.ssh_options(cipher=cipher), *more, source, target], os.environ)

    def there(self, path):
        return "%s:%s" % (self.ssh_host(), path)


def run(command, environment):
    """Runs a command; gives its seconds and its peak memory in KiB."""
    begin = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment, stderr=said, **QUIET)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.stderr.buffer.write(said.read())
            sys.exit("run: failed (%d): %s" % (process.returncode, " ".join(command)))
    return seconds, usage.ru_maxrss


def memory(pid, name):
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as status:
        return int(re.search(name + r":\s*(\d+) kB", status.read())[1])


def forget_peak(pid):
    """Peak memory counts from now on."""
    with open("/proc/%d/clear_refs" % pid, "w", encoding="ascii") as file:
        file.write("5")


def wait_for(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit("run: sshd does not start")


def sshd():
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def ssh_version():
    return subprocess.run(["ssh", "-V"], stderr=subprocess.PIPE, check=False).stderr.decode().strip()


def build():
    """Makes release builds; gives their folder."""
    packages = [word for name in ("remo-serv", "remo-client", "remo-tools", "remo-hostile") for word in ("-p", name)]
    command = ["cargo", "build", "--quiet", "--locked", "--release", *packages]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit("run: the programs cannot be built")
    return os.path.join(os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))), "release")


def build_load():
    """Makes the program that plays many clients; gives its path."""
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "remo-serv", "--bench", "load", "--no-run",
               "--message-format", "json"]
    made = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE)
    for line in made.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "load":
            return message["executable"]
    sys.exit("run: the bench 'load' cannot be built")
