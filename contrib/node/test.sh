#!/bin/sh
# Tests the preload with servers that are activated by hand, express, fastify and koa among them if they are installed
# (npm install --prefix DIR express fastify koa; NODE_PATH=DIR/node_modules),
# and, if SHARESOCK names the program, by it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec node --test --test-timeout=60000 "$here/test/preload.test.cjs"
