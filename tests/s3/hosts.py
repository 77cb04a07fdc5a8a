"""Machines that share no disk, no host name and no network but one wire, made of namespaces.

Each has a network, a host name, processes and mounts of its own. `/tmp` is private to it, but for
the folders that a cluster must share. All of it ends with the process that holds it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_NETWORK = "10.177.0"

#: Makes the private `/tmp`, then waits; `/mnt` holds the old one for a moment.
_SETTLE = """
set -eu
hostname "$1"
mount --bind /tmp /mnt
mount -t tmpfs -o mode=1777 tmpfs /tmp
shift 2
for kept in "$@"; do
    case $kept in /tmp/*)
        mkdir -p "$kept"
        mount --rbind "/mnt/${kept#/tmp/}" "$kept" ;;
    esac
done
umount -l /mnt
mkdir -p /tmp/own
mount --bind "$HOSTS" /etc/hosts
ip link set lo up
echo ready
exec sleep 3600
"""


def find_obstacle() -> str | None:
    """Return why machines cannot be made here, None where they can."""
    if os.geteuid() != 0:
        return "only root can make machines of namespaces"
    missing = [tool for tool in ("ip", "unshare", "nsenter", "mount") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} is not there"
    probe = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True)
    return None if probe.returncode == 0 else "this machine makes no namespaces"


@dataclass
class Host:
    """A machine; commands run on it by `start` and `run`."""

    name: str
    address: str
    holder: subprocess.Popen[str]
    environment: Mapping[str, str]

    @property
    def pid(self) -> int:
        """A process that is on the machine."""
        children = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text()
        return int(children.split()[0])

    def start(self, words: Sequence[object], *, log: Path) -> subprocess.Popen[bytes]:
        with log.open("w") as file:
            return subprocess.Popen(self._enter(words), env=dict(self.environment), stderr=file)

    def run(self, words: Sequence[object], **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._enter(words),
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def _enter(self, words: Sequence[object]) -> list[str]:
        namespaces = ["--net", "--mount", "--uts", "--pid"]
        return ["nsenter", "--target", str(self.pid), *namespaces, "--", *map(str, words)]


@dataclass
class Wire:
    """A bridge in a network of its own, and the machines on it."""

    folder: Path
    kept: Sequence[Path]
    environment: Mapping[str, str]
    hosts: list[Host] = field(default_factory=list)
    holders: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._switch = self._hold(["unshare", "--net"], ["sh", "-c", "echo ready; exec sleep 3600"])
        _in_network(self._switch.pid, "ip link add bridge type bridge")
        _in_network(self._switch.pid, "ip link set bridge up")

    def add(self, name: str, **environment: str) -> Host:
        """Put another machine on the wire."""
        number = len(self.hosts) + 1
        address = f"{_NETWORK}.{number}"
        hosts = self.folder / f"hosts.{name}"
        hosts.write_text(f"127.0.0.1 localhost\n{address} {name}\n")
        options = "--net --mount --uts --pid --fork --kill-child --mount-proc"
        settle = ["sh", "-c", _SETTLE, "settle", name, "--", *map(str, self.kept)]
        holder = self._hold(["unshare", *options.split()], settle, HOSTS=str(hosts))
        own = {"HOME": "/tmp/own", "SPARK_LOCAL_IP": address, "TMPDIR": "/tmp"}
        host = Host(name, address, holder, {**self.environment, **own, **environment})
        self.hosts.append(host)
        ends = (
            f"name eth0 netns {host.pid} type veth peer name port{number} netns {self._switch.pid}"
        )
        _call(f"ip link add {ends}")
        _in_network(self._switch.pid, f"ip link set port{number} master bridge up")
        _in_network(host.pid, f"ip address add {address}/24 dev eth0")
        _in_network(host.pid, "ip link set eth0 up")
        return host

    def close(self) -> None:
        """End all machines, with every process on them."""
        for holder in reversed(self.holders):
            holder.kill()
            holder.communicate()

    def _hold(
        self, unshare: Sequence[str], words: Sequence[str], **environment: str
    ) -> subprocess.Popen[str]:
        holder = subprocess.Popen(
            [*unshare, *words],
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
            text=True,
        )
        self.holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        return holder


def wait_for(host: Host, address: str, port: int, *, seconds: float = 120) -> None:
    """Wait until something listens, as seen from a machine."""
    end = time.monotonic() + seconds
    probe = f"import socket; socket.create_connection(('{address}', {port}), 2).close()"
    while host.run(["python3", "-c", probe]).returncode:
        assert time.monotonic() < end, f"nothing listens at {address}:{port}"
        time.sleep(0.3)


def _in_network(pid: int, command: str) -> None:
    _call(f"nsenter --target {pid} --net -- {command}")


def _call(command: str) -> None:
    subprocess.run(command.split(), check=True)
