#!/bin/sh
# Make the environment of a peer, `.peers/NAME`, from `requirements/peer-NAME.txt`.
set -eu
name=$1
python=${PYTHON:-python3}

[ -x ".peers/$name/bin/python" ] || "$python" -m venv ".peers/$name"
printf 'Installing the peer %s ...\n' "$name" >&2
".peers/$name/bin/python" -m pip install --quiet --disable-pip-version-check -r "requirements/peer-$name.txt"
touch ".peers/$name/.ready"
