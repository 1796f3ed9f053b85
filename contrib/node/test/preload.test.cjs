'use strict';
const { test } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { once } = require('node:events');
const { spawn } = require('node:child_process');
const { createInterface } = require('node:readline');

const file = (name) => path.join(__dirname, name);

/** A server, activated by hand: what it prints, and where it was bound. */
class Server {
  static async start(t, name, sockets, environment = {}) {
    const server = new Server();
    const command = ['node', '-r', file('../sharesock.cjs'), file('servers.cjs'), name];
    server.child = spawn('python3', [file('activate.py'), ...sockets, '--', ...command], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, SHARESOCK_NODE_GRACE: '0.2', NOTIFY_SOCKET: '', ...environment },
    });
    t.after(() => server.child.kill('SIGKILL'));
    server.ended = once(server.child, 'exit');
    server.lines = createInterface({ input: server.child.stdout })[Symbol.asyncIterator]();
    server.addresses = JSON.parse(await server.line());
    await server.says('listening');
    return server;
  }

  async line() {
    const { value, done } = await this.lines.next();
    assert(!done, 'it ended');
    return value;
  }

  async says(what) {
    while ((await this.line()) !== what);
  }

  port(name = 'web') {
    return this.addresses[name][1];
  }

  /** Waits for its end: code and signal. */
  async end() {
    return this.ended;
  }
}

function get(port, url = '/', agent = undefined) {
  return new Promise((resolve, reject) => {
    const where = typeof port === 'string' ? { socketPath: port } : { port, host: '127.0.0.1' };
    const request = http.get({ ...where, path: url, agent }, (response) => {
      let body = '';
      response.on('data', (part) => { body += part; });
      response.on('end', () => resolve({ body, connection: response.headers.connection }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

async function refused(port) {
  await assert.rejects(get(port), { code: 'ECONNREFUSED' });
}

/** Waits until a server has heard SIGTERM: it accepts no more. Signals that are not heard yet merge. */
async function drains(port) {
  const tried = () => get(port).then(() => 'answered', (error) => error.code);
  while ((await tried()) !== 'ECONNREFUSED');
}

const frameworks = ['express', 'fastify', 'koa'].filter((name) => {
  try { return require.resolve(name, { paths: [__dirname, ...(process.env.NODE_PATH ?? '').split(':')] }); } catch { return false; }
});

for (const name of ['port', 'options', 'text', ...frameworks]) {
  test(`a server that asks for a port gets the passed socket: ${name}`, async (t) => {
    const server = await Server.start(t, name, ['web=127.0.0.1:0']);
    assert.equal((await get(server.port())).body, `pid ${server.child.pid}\n`);
    await refused(3000);
    server.child.kill('SIGTERM');
    assert.deepEqual(await server.end(), [0, null]);
    await refused(server.port());
  });
}

test('a server that asks for a path gets a socket at a path', async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sharesock-node-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const server = await Server.start(t, 'path', ['web=127.0.0.1:0', `app=${folder}/a b.sock`]);
  assert.equal((await get(server.addresses.app)).body, `pid ${server.child.pid}\n`);
});

test('the first socket is for the first listener, or for the one that asks for its port', async (t) => {
  const first = await Server.start(t, 'two', ['web=127.0.0.1:0', 'admin=127.0.0.1:0']);
  assert.match((await get(first.port('web'))).body, /^pid/);
  assert.equal((await get(first.port('admin'))).body, 'admin\n');
});

test('sockets are given by name where the environment says so', async (t) => {
  const environment = { SHARESOCK_NODE_LISTEN: '3000=web 9090=admin' };
  const server = await Server.start(t, 'two', ['admin=127.0.0.1:0', 'web=127.0.0.1:0'], environment);
  assert.match((await get(server.port('web'))).body, /^pid/);
  assert.equal((await get(server.port('admin'))).body, 'admin\n');
});

test('an answer that has begun is finished, and is the last one of its connection', async (t) => {
  const server = await Server.start(t, 'port', ['web=127.0.0.1:0'], { SHARESOCK_NODE_GRACE: '2' });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 3 });
  t.after(() => agent.destroy());
  const slow = get(server.port(), '/slow', agent);
  await server.says('slow has begun');
  const stream = get(server.port(), '/stream', agent);
  await server.says('stream has begun');
  const kept = await get(server.port(), '/', agent);
  assert.equal(kept.connection, 'keep-alive');
  server.child.kill('SIGTERM');
  await drains(server.port());
  // A request on a connection that was kept is still answered, and lets the others finish.
  const go = await get(server.port(), '/go', agent);
  assert.deepEqual(go, { body: 'gone on\n', connection: 'close' });
  assert.deepEqual(await slow, { body: 'slow\n', connection: 'close' });
  assert.equal((await stream).body, 'begun\nended\n');
  assert.deepEqual(await server.end(), [0, null]);
});

test('connections on which nothing is asked do not hold it up', async (t) => {
  const server = await Server.start(t, 'port', ['web=127.0.0.1:0']);
  const unused = net.connect(server.port(), '127.0.0.1');
  t.after(() => unused.destroy());
  await once(unused, 'connect');
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  await get(server.port(), '/', agent);
  server.child.kill('SIGTERM');
  assert.deepEqual(await server.end(), [0, null]);
});

test('a program that handles SIGTERM is left to it', async (t) => {
  const server = await Server.start(t, 'own', ['web=127.0.0.1:0']);
  server.child.kill('SIGTERM');
  await server.says('its own way');
  assert.deepEqual(await server.end(), [7, null]);
});

test('without a listener SIGTERM ends it as ever', async (t) => {
  const server = await Server.start(t, 'nothing', ['web=127.0.0.1:0']);
  server.child.kill('SIGTERM');
  assert.deepEqual(await server.end(), [null, 'SIGTERM']);
});

test('a second SIGTERM ends it at once', async (t) => {
  const server = await Server.start(t, 'port', ['web=127.0.0.1:0']);
  const slow = get(server.port(), '/slow').catch(() => 'cut');
  await server.says('slow has begun');
  server.child.kill('SIGTERM');
  await drains(server.port());
  server.child.kill('SIGTERM');
  assert.deepEqual(await server.end(), [null, 'SIGTERM']);
  assert.equal(await slow, 'cut');
});

test('connections of other protocols are waited for', async (t) => {
  const server = await Server.start(t, 'echo', ['web=127.0.0.1:0']);
  const client = net.connect(server.port(), '127.0.0.1');
  await once(client, 'connect');
  client.write('a');
  assert.equal(String((await once(client, 'data'))[0]), 'a');
  server.child.kill('SIGTERM');
  client.write('b');
  assert.equal(String((await once(client, 'data'))[0]), 'b');
  client.end();
  assert.deepEqual(await server.end(), [0, null]);
});

test('what was passed to another process, and nothing at all, is no matter', async () => {
  for (const environment of [{}, { LISTEN_PID: '1', LISTEN_FDS: '1' }]) {
    const script = "require('node:net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port > 0); this.close() })";
    const child = spawn('node', ['-r', file('../sharesock.cjs'), '-e', script], { env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] });
    const line = (await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()).value;
    assert.equal(line, 'true');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  }
});

test('what is wrong is said', async () => {
  const wrong = { NOTIFY_SOCKET: '', SHARESOCK_NODE_LISTEN: '3000=wab' };
  const child = spawn('python3', [file('activate.py'), 'web=127.0.0.1:0', '--', 'node', '-r', file('../sharesock.cjs'), file('servers.cjs'), 'port'], {
    stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...wrong },
  });
  let said = '';
  child.stderr.on('data', (part) => { said += part; });
  assert.equal((await once(child, 'close'))[0], 1);
  assert.match(said, /SHARESOCK_NODE_LISTEN says 3000=wab, and no socket of that name was passed/);
});

const sharesock = process.env.SHARESOCK;

test('no request fails while `sharesock run` reloads', { skip: !sharesock && 'SHARESOCK names no program' }, async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sharesock-node-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const command = ['node', '-r', file('../sharesock.cjs'), file('servers.cjs'), 'port'];
  const options = ['run', '--json', '--name', 'app', '--workers', '2', '--ready', 'connect', '--domain', path.join(folder, 'domain')];
  const child = spawn(sharesock, [...options, '--listen', 'web=127.0.0.1:0', '--', ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const event = async (name) => {
    for (;;) {
      const { value, done } = await lines.next();
      assert(!done, `it ended before ${name}`);
      const found = value.startsWith('{') && JSON.parse(value);
      if (found.event === name) return found;
    }
  };
  const port = Number((await event('listening')).address.split(':').pop());
  await event('ready');

  let done = false;
  let answered = 0;
  const processes = new Set();
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const client = async (agent) => {
    while (!done) {
      processes.add((await get(port, '/', agent)).body);
      answered += 1;
    }
  };
  const clients = [client(agent), client(agent), client(undefined), client(undefined)];
  const all = Promise.all(clients);
  for (let reload = 0; reload < 3; reload += 1) {
    child.kill('SIGHUP');
    await Promise.race([event('reloaded'), all.then(() => assert.fail('a client ended'))]);
  }
  done = true;
  await all;
  assert(processes.size > 2, `${answered} answers came from ${processes.size} processes`);
  child.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
});
