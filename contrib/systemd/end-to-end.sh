#!/bin/sh
# Runs the units under a real systemd, a manager of user units, in namespaces of its own: nothing of it stays.
#   SHARESOCK=/path/to/sharesock ./end-to-end.sh      as root; needs node and curl
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${SHARESOCK:?names the program}"

if [ "${1:-}" != inside ]; then
    command -v /lib/systemd/systemd node curl >/dev/null || { echo "skipped: systemd, node or curl is missing"; exit 0; }
    unshare --mount --pid --fork --mount-proc true 2>/dev/null || { echo "skipped: this user may not make namespaces"; exit 0; }
    exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" inside
fi

fail() { echo "failed: $*"; systemctl --user status sharesock@app --no-pager -l || true; tail -30 /run/log; exit 1; }
# Waits until a command succeeds.
until_so() { n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 600 ] || fail "never: $*"; sleep 0.1; done; }
pid() { systemctl --user show -P MainPID sharesock@app; }
get() { curl --silent --show-error --max-time 60 "http://127.0.0.1:$port/"; }

mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0 /run/home/.config/systemd/user # The first one says that systemd is there.
export XDG_RUNTIME_DIR=/run/user/0 HOME=/run/home DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

cat >/run/app.toml <<END
listen = ["web=inherited"]
workers = 1
ready = "connect"
command = ["node", "-r", "$here/../node/sharesock.cjs", "$here/../container/server.js"]
END
# A manager of user units cannot change users, nor shut things off.
sed -e "s|/usr/local/bin/sharesock|$SHARESOCK|; s|/etc/sharesock/%i.toml|/run/app.toml|" \
    -e "s|^WatchdogSec=.*|WatchdogSec=10\nTimeoutAbortSec=1|" \
    -e '/^\(User\|CapabilityBoundingSet\|Private\|Protect\|Restrict[AS]\|NoNew\|Lock\|Limit\|Tasks\)/d' \
    "$here/sharesock@.service" >"$HOME/.config/systemd/user/sharesock@.service"
sed "s|^ListenStream=.*|ListenStream=127.0.0.1:$port|" "$here/sharesock@.socket" >"$HOME/.config/systemd/user/sharesock@.socket"

/lib/systemd/systemd --user --log-target=console >/run/log 2>&1 &
until_so systemctl --user is-system-running

systemctl --user start sharesock@app.socket
[ "$(systemctl --user is-active sharesock@app)" = inactive ] || fail "it runs before anybody asks"
first=$(get) || fail "the first request"
supervisor=$(pid)
until_so systemctl --user is-active sharesock@app
echo "ok: the first request started it ($first), and it was ready"
systemctl --user show -P StatusText sharesock@app

systemctl --user reload sharesock@app || fail "reload"
second=$(get)
[ "$second" != "$first" ] && [ "$(pid)" = "$supervisor" ] || fail "a reload that replaced nothing"
echo "ok: a reload replaced the worker ($second)"

sed -i 's|server.js|no-such-file.js|' /run/app.toml
if systemctl --user reload sharesock@app; then fail "a reload that cannot succeed did"; fi
[ "$(get)" = "$second" ] || fail "the old worker is gone"
sed -i 's|no-such-file.js|server.js|' /run/app.toml
echo "ok: a reload that failed is told, and the old worker goes on"

kill -KILL "$supervisor"
until_so sh -c "[ \"\$(systemctl --user show -P MainPID sharesock@app)\" != $supervisor ]"
third=$(get) || fail "a request while it was started anew"
until_so systemctl --user is-active sharesock@app
[ "$(systemctl --user show -P NRestarts sharesock@app)" = 1 ] || fail "it was not started anew once"
echo "ok: a supervisor that was killed was started anew, and no connection was refused ($third)"

systemctl --user stop sharesock@app.socket sharesock@app
[ "$(systemctl --user show -P Result sharesock@app)" = success ] || fail "it did not end in order"
echo "ok: it ended in order"

# Now without a socket unit: systemd keeps what the supervisor made itself.
sed -i "s|web=inherited|web=127.0.0.1:$port|" /run/app.toml
systemctl --user start sharesock@app
supervisor=$(pid)
get >/dev/null || fail "a listener of its own"
[ "$(systemctl --user show -P NFileDescriptorStore sharesock@app)" = 1 ] || fail "systemd keeps no listener"
kill -KILL "$supervisor"
get >/dev/null || fail "a request while it was started anew with its listener"
until_so sh -c "[ \"\$(systemctl --user show -P MainPID sharesock@app)\" != $supervisor ]"
until_so systemctl --user is-active sharesock@app
echo "ok: systemd kept the listener while the supervisor was started anew"

supervisor=$(pid)
kill -STOP "$supervisor"
until_so sh -c "! kill -0 $supervisor"
until_so systemctl --user is-active sharesock@app
get >/dev/null || fail "a request after the watchdog"
echo "ok: the watchdog noticed a supervisor that hung"

systemctl --user stop sharesock@app
[ "$(systemctl --user show -P NFileDescriptorStore sharesock@app)" = 0 ] || fail "systemd keeps a listener that nobody wants"
if get 2>/dev/null; then fail "somebody listens"; fi
echo "ok: nothing is left"
