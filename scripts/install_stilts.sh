#!/bin/sh
# Install STILTS, which Debian and Ubuntu package; without it, or the right to install, its tests are skipped.
set -eu

if command -v stilts >/dev/null; then
    exit 0
fi
root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
if ! command -v apt-get >/dev/null || ! $root true 2>/dev/null; then
    echo "STILTS is not here and cannot be installed (it needs apt-get as root); its tests are skipped."
    exit 0
fi
install() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends stilts >/dev/null
}
install 2>/dev/null || { $root apt-get update >/dev/null && install; } ||
    echo "STILTS could not be installed from the packages of this system; its tests are skipped."
