#!/bin/sh
# Lets systemd read the units and say what is wrong with them; nothing is started, and nothing has to be running.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v systemd-analyze >/dev/null || { echo "skipped: there is no systemd-analyze"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The program need not be installed for that.
for unit in "$here"/sharesock@.*; do
    sed 's|/usr/local/bin/sharesock|/bin/true|' "$unit" >"$folder/${unit##*/}"
done
for unit in sharesock@app.service sharesock@app.socket; do
    said=$(systemd-analyze verify --man=no "$folder/$unit" 2>&1) || { echo "$said"; echo "$unit is refused"; exit 1; }
    # What it says of the machine's other units is theirs.
    said=$(printf '%s\n' "$said" | grep "sharesock@" || true)
    [ -z "$said" ] || { echo "$said"; echo "$unit is not clean"; exit 1; }
    echo "$unit: ok"
done
