'use strict';
// Any server would do.
require('node:http').createServer((request, response) => response.end(`process ${process.pid}\n`)).listen(8080);
