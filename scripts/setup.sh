#!/bin/sh
# Make the virtual environment, find or install Java, fetch the Delta JARs. Safe to run again.
set -eu
venv=$1
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }
install() {
    say "Installing $* ..."
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if ! command -v "$python" >/dev/null 2>&1; then
    if can_install; then install python3 python3-venv; else
        say "Python 3.11 to 3.13 is needed: install python3 and python3-venv, or set PYTHON."; exit 2
    fi
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; then
    say "Python 3.11 to 3.13 is needed, got $("$python" --version). Set PYTHON to another one."; exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if can_install; then install "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"; else
        say "This Python cannot make virtual environments: install python3-venv."; exit 2
    fi
fi
if ! { [ -x "${JAVA_HOME:-/nonexistent}/bin/java" ] || command -v java >/dev/null 2>&1; }; then
    if can_install; then install openjdk-17-jre-headless; else
        say "Java 17 or 21 is needed. Debian/Ubuntu: sudo apt-get install openjdk-17-jre-headless;"
        say "macOS: brew install openjdk@17; conda: conda install openjdk=17. Then set JAVA_HOME."; exit 2
    fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
say "Installing the locked packages into $venv ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
"$venv/bin/ubspark" doctor --fix >&2
touch "$venv/.ready"
