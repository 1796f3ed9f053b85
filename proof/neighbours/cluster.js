// Node's cluster with a reload as its users write it: on SIGHUP new workers, and when they listen the old ones are
// disconnected.
'use strict';
const cluster = require('cluster');
const { create, drain } = require('../servers/server.js');

const COUNT = 2;

function fork() {
  return new Promise((resolve) => {
    const worker = cluster.fork();
    worker.once('listening', () => resolve(worker));
  });
}

async function reload() {
  const old = Object.values(cluster.workers);
  await Promise.all(Array.from({ length: COUNT }, fork));
  for (const worker of old) worker.send('drain');
  const left = () => Object.values(cluster.workers).filter((worker) => old.includes(worker)).length;
  while (left() > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  console.log('reloaded');
}

async function primary() {
  // A worker that ended unasked is replaced.
  cluster.on('exit', (worker) => {
    if (!worker.exitedAfterDisconnect) fork();
  });
  process.on('SIGHUP', reload);
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
  await Promise.all(Array.from({ length: COUNT }, fork));
  console.log('ready');
}

if (cluster.isPrimary) {
  primary();
} else {
  create().listen(Number(process.argv[2]), '127.0.0.1');
  process.on('message', (message) => {
    if (message !== 'drain') return;
    drain();
    cluster.worker.disconnect();
  });
}
