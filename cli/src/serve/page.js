"use strict";
const at = (id) => document.getElementById(id), given = new Map(), rates = [];
let before = 0, generation = 0;
const source = new EventSource("events");
source.onerror = () => (at("state").textContent = "connecting to another worker");
source.onmessage = (event) => {
  const view = JSON.parse(event.data), now = performance.now(), seconds = (now - before) / 1000;
  let sum = 0;
  at("state").textContent = `generation ${view.generation} serves: ${view.state}`;
  at("workers").replaceChildren(...view.workers.map((worker) => {
    const rate = before ? (worker.given - (given.get(worker.pid) ?? 0)) / seconds : 0;
    given.set(worker.pid, worker.given);
    sum += rate;
    const row = document.createElement("tr");
    row.className = worker.state;
    for (const cell of [worker.pid, worker.generation, worker.state, worker.open, worker.given, rate.toFixed(0)])
      row.insertCell().textContent = cell;
    row.cells[1].className = "wide";
    return row;
  }));
  rates.push({ rate: sum, reloads: view.state === "reloading" || (before && view.generation !== generation) });
  [before, generation] = [now, view.generation];
  if (rates.length > 60) rates.shift();
  const most = Math.max(1, ...rates.map((one) => one.rate));
  const median = view.hand_off_us === null ? "" : `, which take ${view.hand_off_us} µs (median)`;
  at("rate").textContent = `${sum.toFixed(0)} hand-offs a second${median}; at most ${most.toFixed(0)} within a minute`;
  at("plot").innerHTML = rates.map((one, n) => {
    const height = Math.max(0.1, (12 * one.rate) / most);
    return `<rect class="${one.reloads ? "reload" : ""}" x=${60 - rates.length + n} y=${12 - height} width=0.8 height=${height} />`;
  }).join("");
};
