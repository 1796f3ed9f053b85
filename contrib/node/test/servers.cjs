'use strict';
// Servers as anybody would write them: none of them knows of passed sockets. Which one: the first argument.
const http = require('node:http');
const net = require('node:net');

/** Answers at once, or, for /slow, when it is told to go on by a second request: /go. */
let waiting = [];
function answer(request, response) {
  if (request.url === '/go') {
    waiting.splice(0).forEach((finish) => finish());
    return response.end('gone on\n');
  }
  if (request.url === '/slow') {
    console.log('slow has begun');
    return waiting.push(() => response.end('slow\n'));
  }
  if (request.url === '/stream') {
    response.write('begun\n');
    console.log('stream has begun');
    return waiting.push(() => response.end('ended\n'));
  }
  return response.end(`pid ${process.pid}\n`);
}
const say = (what) => () => console.log(what);

const servers = {
  port: () => http.createServer(answer).listen(3000, say('listening')),
  options: () => http.createServer(answer).listen({ port: 3000, host: '127.0.0.1', backlog: 5 }, say('listening')),
  path: () => http.createServer(answer).listen('/nowhere/app.sock', say('listening')),
  text: () => http.createServer(answer).listen('3000', '0.0.0.0', say('listening')),
  two: () => http.createServer(answer).listen(3000, () => {
    http.createServer((request, response) => response.end('admin\n')).listen(9090, '127.0.0.1', say('listening'));
  }),
  own: () => {
    process.on('SIGTERM', () => {
      console.log('its own way');
      process.exit(7);
    });
    http.createServer(answer).listen(3000, say('listening'));
  },
  echo: () => net.createServer((socket) => socket.pipe(socket)).listen(3000, say('listening')),
  express: () => require('express')().use(answer).listen(3000, say('listening')),
  fastify: () => {
    const fastify = require('fastify')();
    fastify.get('/', async () => `pid ${process.pid}\n`);
    fastify.listen({ port: 3000 }).then(say('listening'));
  },
  koa: () => {
    const app = new (require('koa'))();
    app.use((context) => { context.body = `pid ${process.pid}\n`; });
    app.listen(3000, say('listening'));
  },
  nothing: () => {
    setInterval(() => {}, 1000);
    console.log('listening');
  },
};
servers[process.argv[2]]();
