// A server of Node's own http module. Run alone it listens on the descriptor that LISTEN_FDS promises.
'use strict';
const http = require('http');

let draining = false;

function create() {
  return http.createServer((request, response) => {
    const number = Number(request.url.slice(1));
    const text = `${number}\n`.repeat(1024);
    const middle = text.length / 2;
    const headers = { 'Content-Length': text.length, 'x-pid': process.pid };
    // Else a client that never pauses would keep its connection, and this process, forever.
    if (draining) headers.Connection = 'close';
    response.writeHead(200, headers);
    const pause = number >= 1e6 ? 500 : number % 200 === 0 ? 1000 : 0;
    if (!pause) return response.end(text);
    response.write(text.slice(0, middle));
    setTimeout(() => response.end(text.slice(middle)), pause);
  });
}

function drain() {
  draining = true;
}

module.exports = { create, drain };

if (require.main === module) {
  if (!(Number(process.env.LISTEN_FDS) >= 1)) {
    console.error('server.js: no listener: start it as systemd does, with LISTEN_FDS');
    process.exit(1);
  }
  const server = create();
  server.listen({ fd: 3 });
  process.on('SIGTERM', () => {
    drain();
    server.close(() => process.exit(0));
  });
}
