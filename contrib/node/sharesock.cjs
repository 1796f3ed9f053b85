'use strict';
// Lets an unchanged Node server listen on the sockets that `sharesock run`, or systemd, passes to it:
//
//     sharesock run --listen web=127.0.0.1:3000 -- node -r ./sharesock.cjs server.js
//
// Without passed sockets it does nothing at all. What it does, and what it cannot do: README.md beside this file.

const fs = require('node:fs');
const net = require('node:net');
const { spawn } = require('node:child_process');
const { isMainThread } = require('node:worker_threads');

/** The first descriptor that is passed. */
const FIRST = 3;
/** As large as the system allows: listen(2) is called anew, and must not shorten the supervisor's queue. */
const BACKLOG = 4096;
/** How long a client may go on using a connection it kept, each answer saying that it is the last one. */
const GRACE = milliseconds('SHARESOCK_NODE_GRACE', 1);

const passed = isMainThread ? passedSockets() : [];
if (passed.length > 0) {
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name]; // They are not for children.
  patchListen(chosenPorts());
  drainOnSigterm();
}

function milliseconds(name, otherwise) {
  const seconds = Number(process.env[name] ?? otherwise);
  if (!(seconds >= 0)) throw new Error(`sharesock: ${name} is a number of seconds, not ${process.env[name]}`);
  return seconds * 1000;
}

/** What the environment announces for this process, each with its name and where it is bound. */
function passedSockets() {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env;
  if (Number(LISTEN_PID) !== process.pid) return [];
  const names = (LISTEN_FDNAMES ?? '').split(':');
  const bound = boundSockets();
  const sockets = Array.from({ length: Number(LISTEN_FDS) || 0 }, (_, index) => {
    const fd = FIRST + index;
    return { fd, name: names[index] || String(fd), ...bound.get(inode(fd)) };
  });
  return sockets.filter((socket) => socket.kind); // UDP is none of a server's.
}

function inode(fd) {
  try {
    return /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/self/fd/${fd}`))?.[1];
  } catch {
    throw new Error(`sharesock: LISTEN_FDS announces descriptor ${fd}, which is not open`);
  }
}

/** What listens on this machine, as far as this process may know, by inode: Node itself cannot tell of a descriptor. */
function boundSockets() {
  const bound = new Map();
  const rows = (file) => {
    try {
      return fs.readFileSync(`/proc/self/net/${file}`, 'utf8').trimEnd().split('\n').slice(1);
    } catch {
      return []; // No IPv6.
    }
  };
  for (const row of [...rows('tcp'), ...rows('tcp6')]) {
    const column = row.trim().split(/\s+/);
    const listens = column[3] === '0A';
    if (listens) bound.set(column[9], { kind: 'tcp', port: parseInt(column[1].split(':').pop(), 16) });
  }
  for (const row of rows('unix')) {
    const [, inode, path] = /^\S+ \S+ \S+ \S+ \S+ \S+ +(\d+) ?(.*)$/.exec(row) ?? [];
    if (inode) bound.set(inode, { kind: 'unix', path });
  }
  return bound;
}

/** `SHARESOCK_NODE_LISTEN="3000=web 9090=admin"`: which socket stands for which port that the program names. */
function chosenPorts() {
  const text = process.env.SHARESOCK_NODE_LISTEN?.trim();
  if (!text) return undefined;
  return new Map(text.split(/\s+/).map((entry) => {
    const [port, name] = entry.split('=');
    const socket = passed.find((socket) => socket.name === name);
    if (!socket) throw new Error(`sharesock: SHARESOCK_NODE_LISTEN says ${entry}, and no socket of that name was passed`);
    return [port, socket];
  }));
}

/** The passed socket that stands for what the program asks for, if there is one left. */
function choose(wanted, chosen) {
  const left = passed.filter((socket) => !socket.taken);
  if (chosen) return left.find((socket) => socket === chosen.get(String(wanted.path ?? wanted.port)));
  const same = left.find((socket) => (wanted.path ? socket.path === wanted.path : wanted.port > 0 && socket.port === wanted.port));
  return same ?? left.find((socket) => socket.kind === (wanted.path ? 'unix' : 'tcp')) ?? left[0];
}

/** What a call of `listen` asks for: undefined if it brings its own descriptor. */
function parse(args) {
  const callback = typeof args.at(-1) === 'function' ? args.at(-1) : undefined;
  const [first, second, third] = callback ? args.slice(0, -1) : args;
  const isOptions = typeof first === 'object' && first !== null;
  if (isOptions && (first._handle || first.fd !== undefined || (!('port' in first) && !('path' in first)))) return undefined;
  const { port, path, backlog, signal } = isOptions ? first : {};
  const text = typeof first === 'string' && !/^\s*\d+\s*$/.test(first) ? first : undefined;
  const given = Number(backlog ?? third ?? (typeof second === 'number' ? second : undefined)) || BACKLOG;
  const number = Number(isOptions ? port : first) || 0; // listen() and listen(0) ask for any port.
  return { port: number, path: path ?? text, backlog: given, signal, callback };
}

function patchListen(chosen) {
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    const wanted = this.listening ? undefined : parse(args);
    const socket = wanted && choose(wanted, chosen);
    if (!socket) return listen.apply(this, args);
    socket.taken = true;
    watch(this);
    this.once('listening', sayReady);
    const options = wanted.signal ? { fd: socket.fd, signal: wanted.signal } : { fd: socket.fd };
    return listen.call(this, options, wanted.backlog, ...(wanted.callback ? [wanted.callback] : []));
  };
}

let saidReady = false;

/** Says READY=1 once. Node cannot send datagrams to a path: systemd's own tool does, where it is installed. */
function sayReady() {
  if (saidReady || !process.env.NOTIFY_SOCKET) return;
  saidReady = true;
  const helper = spawn('systemd-notify', ['--ready'], { stdio: 'ignore' });
  helper.on('error', () => {}); // Not installed.
  helper.unref();
}

// Draining.

const servers = new Set();
const sockets = new Set();
const answers = new Set();
const sessions = new Set();
let draining = false;

/** Knows what a server has open and is answering. */
function watch(server) {
  servers.add(server);
  const isHttp1 = typeof server.closeIdleConnections === 'function';
  if (isHttp1) server.prependListener(server.setSecureContext ? 'secureConnection' : 'connection', (socket) => keep(sockets, socket));
  server.prependListener('session', (session) => keep(sessions, session)); // HTTP/2.
  server.prependListener('request', (request, response) => {
    keep(answers, response);
    if (draining) last(response);
  });
}

function keep(set, what) {
  set.add(what);
  what.once('close', () => set.delete(what));
}

/** Lets an answer be the last one of its connection. */
function last(response) {
  const http1 = response.httpVersion === undefined && typeof response.shouldKeepAlive === 'boolean';
  if (http1 && !response.headersSent) response.setHeader('Connection', 'close');
}

function drainOnSigterm() {
  const onSigterm = () => {
    if (process.listenerCount('SIGTERM') > 1) return; // The program does it itself.
    if (draining || ![...servers].some((server) => server.listening)) {
      process.removeListener('SIGTERM', onSigterm);
      process.kill(process.pid, 'SIGTERM'); // As without us.
      return;
    }
    drain();
  };
  process.on('SIGTERM', onSigterm);
}

/** Takes no new connections, answers what was asked, and ends the program when all connections are closed. */
function drain() {
  draining = true;
  answers.forEach(last);
  sessions.forEach((session) => session.close()); // Their streams end first.
  const closed = [...servers].filter((server) => server.listening).map((server) =>
    // An HTTP server's own `close` cuts connections that are kept, with a request in them that was not read yet.
    new Promise((resolve) => net.Server.prototype.close.call(server, resolve)));
  Promise.all(closed).then(() => process.exit(0));
  setTimeout(closeKept, GRACE);
}

/** Closes connections on which nothing is asked, now and when an answer that began as one of many has ended. */
function closeKept() {
  const closeIdle = () => servers.forEach((server) => server.closeIdleConnections?.());
  closeIdle();
  for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy(); // Opened in advance, and never used.
  for (const response of answers) response.once('close', () => setImmediate(closeIdle));
}
