#!/bin/sh
# Lay out the context of the image in dist/image and build it: build_image.sh PYTHON TAG
# Docker, podman or buildah builds; or the command in BUILD_IMAGE, which gets Dockerfile, context, tag
# and build arguments. The container fetches the packages of Debian and PyPI, nothing else.
set -eu
cd "$(dirname "$0")/.."
python=$1 tag=$2
context=dist/image
rm -rf $context
mkdir -p $context/jars
"$python" -m build --no-isolation --wheel --outdir $context . >/dev/null
cp requirements/runtime.lock k8s/image/* $context/
cp -r jobs $context/
# With S3 set, those of object stores too.
# The JARs that this machine checked against the package; the image checks them against its wheel.
"$python" - $context/jars "${S3:-}" <<PY
import shutil, sys
from ubspark.runtime.jars import JARS, S3_JARS, fetch_jars, find_jar_folder
jars = (*JARS, *S3_JARS) if sys.argv[2] else JARS
fetch_jars(jars)
for jar in jars:
    shutil.copy(find_jar_folder() / jar.file_name, sys.argv[1])
PY
chmod 644 $context/jars/*
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[ -z "$(git status --porcelain -- lib jobs k8s/image requirements 2>/dev/null)" ] || revision=$revision-dirty
version=$("$python" -c 'import ubspark; print(ubspark.__version__)')
set -- --build-arg "REVISION=$revision" --build-arg "VERSION=$version"
if [ -n "${BUILD_IMAGE:-}" ]; then
    exec $BUILD_IMAGE $context/Dockerfile $context "$tag" "$@"
fi
for tool in docker podman buildah; do command -v $tool >/dev/null 2>&1 && break; done
exec $tool build -f $context/Dockerfile -t "$tag" "$@" $context
