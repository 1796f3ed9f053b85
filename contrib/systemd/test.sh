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
# What is wrong is seen.
sed 's|^ExecStart=.*|ExecStart=no/path|' "$folder/sharesock@.service" >"$folder/sharesock@wrong.service"
systemd-analyze verify --man=no "$folder/sharesock@wrong.service" 2>&1 | grep -q "sharesock@wrong" \
    || { echo "systemd-analyze finds nothing wrong with a unit whose command has no path"; exit 1; }
for unit in sharesock@app.service sharesock@app.socket; do
    # It also fails for other units of the machine, and says which: what it says of those is theirs.
    said=$(systemd-analyze verify --man=no "$folder/$unit" 2>&1 | grep "sharesock@" || true)
    [ -z "$said" ] || { echo "$said"; echo "$unit is not clean"; exit 1; }
    echo "$unit: ok"
done
