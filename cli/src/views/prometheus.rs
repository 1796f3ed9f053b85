//! What Prometheus reads: the text exposition format, version 0.0.4.
//!
//! All series have the label `supervisor`, so that several can be collected into one place. Those of workers have
//! place and generation: together they tell workers apart, and a worker that replaces another goes on with its series,
//! whose counters then begin anew, as counters may. Process ids, of which there is no end, are in one series a worker
//! alone, `sharesock_worker_info`, which can be joined with the others.

use crate::status::{HandOffs, Status, SupervisorState, WorkerState, WorkerStatus};
use std::collections::HashSet;
use std::fmt::Write;

/// A supervisor, for Prometheus.
pub(crate) fn prometheus(status: &Status) -> String {
    let mut page = Page { text: String::new(), supervisor: &status.name };
    page.supervisor(status);
    page.listeners(status);
    if let Some(hand_offs) = &status.hand_offs {
        page.hand_offs(hand_offs);
    }
    page.workers(&status.workers);
    page.text
}

/// Labels and a value.
type Sample<'a> = (Vec<(&'a str, String)>, f64);

/// What kind a family of series is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Summary,
}

struct Page<'a> {
    text: String,
    supervisor: &'a str,
}

impl Page<'_> {
    fn supervisor(&mut self, status: &Status) {
        use Kind::{Counter, Gauge};
        let version = vec![("version", status.version.clone())];
        self.family("build_info", Gauge, "The version of sharesock, as a label; always 1.", [(version, 1.0)]);
        let states = {
            use SupervisorState::{Degraded, Reloading, Running, Starting, Stopping, Upgrading};
            [Starting, Running, Degraded, Reloading, Upgrading, Stopping]
        };
        let states = states.map(|state| {
            (vec![("state", super::text::state(state).to_owned())], f64::from(u8::from(state == status.state)))
        });
        self.family("state", Gauge, "1 for the state that the supervisor is in, 0 for the others.", states);
        let uptime = "Seconds since the supervisor was first started; an upgrade does not begin anew.";
        self.one("uptime_seconds", Gauge, uptime, status.uptime_s);
        self.one("generation", Gauge, "The generation of workers that is in charge.", status.generation.into());
        self.one("reloads_total", Counter, "Generations of workers that replaced another.", status.reloads as f64);
        self.one("upgrades_total", Counter, "Times the supervisor replaced itself.", status.upgrades as f64);
        let failed = "Reloads that failed; the workers of before went on.";
        self.one("reloads_failed_total", Counter, failed, status.failed_reloads as f64);
        let failed = "Upgrades that failed; the program of before went on.";
        self.one("upgrades_failed_total", Counter, failed, status.failed_upgrades as f64);
        let cut = "Connections that workers still had when they were killed at their stop deadline.";
        self.one("connections_cut_total", Counter, cut, status.connections_cut as f64);
        let one = |value: Option<f64>| value.map(|value| (Vec::new(), value));
        let at = "When the last reload was over, in seconds since 1970.";
        self.family("last_reload_timestamp_seconds", Gauge, at, one(status.last_reload_at_s));
        let took = "Duration of the last reload.";
        self.family("last_reload_duration_seconds", Gauge, took, one(status.last_reload_took_s));
        self.one("workers_wanted", Gauge, "Workers that the options ask for.", status.wanted as f64);
        self.one("workers_ready", Gauge, "Workers of the current generation that are ready.", status.ready as f64);
        self.one("restarts_total", Counter, "Workers that ended unasked and were replaced.", status.restarts as f64);
    }

    fn listeners(&mut self, status: &Status) {
        let each = |value: fn(&crate::status::ListenerStatus) -> Option<u64>| {
            status.listeners.iter().filter_map(move |listener| {
                let labels = vec![("listener", listener.name.clone()), ("address", listener.address.clone())];
                Some((labels, value(listener)? as f64))
            })
        };
        let queued = "Connections that wait to be accepted.";
        self.family("listener_queued_connections", Kind::Gauge, queued, each(|listener| listener.queued));
        let backlog = "Connections that may wait to be accepted.";
        self.family("listener_backlog_connections", Kind::Gauge, backlog, each(|listener| listener.backlog));
    }

    fn hand_offs(&mut self, hand_offs: &HandOffs) {
        self.one("hand_offs_total", Kind::Counter, "Connections handed off to workers.", hand_offs.total as f64);
        let waiting = "Connections accepted and not given to a worker yet.";
        self.one("hand_offs_waiting", Kind::Gauge, waiting, hand_offs.waiting as f64);
        let quantiles = [("0.5", hand_offs.median_us), ("0.99", hand_offs.slowest_percent_us)];
        let quantiles = quantiles
            .into_iter()
            .filter_map(|(quantile, time)| Some((vec![("quantile", quantile.to_owned())], time? as f64 / 1e6)));
        let latency = "From accepting a connection until a worker took it, of the last 1000.";
        self.family("hand_off_duration_seconds", Kind::Summary, latency, quantiles);
    }

    fn workers(&mut self, workers: &[WorkerStatus]) {
        use Kind::{Counter, Gauge};
        let states = [WorkerState::Starting, WorkerState::Ready, WorkerState::Draining].map(|state| {
            let count = workers.iter().filter(|worker| worker.state == state).count();
            (vec![("state", super::fields::state(state).to_owned())], count as f64)
        });
        self.family("workers", Gauge, "Workers by what they are doing.", states);
        let labels = |worker: &WorkerStatus| {
            vec![("place", worker.place.to_string()), ("generation", worker.generation.to_string())]
        };
        let ids = workers.iter().map(|worker| {
            let mut labels = labels(worker);
            labels.push(("pid", worker.pid.to_string()));
            (labels, 1.0)
        });
        self.family("worker_info", Gauge, "The process id of a worker, as a label; always 1.", ids);
        let mut each = |name, kind, help, value: &dyn Fn(&WorkerStatus) -> Option<f64>| {
            self.family(name, kind, help, workers.iter().filter_map(|worker| Some((labels(worker), value(worker)?))));
        };
        each("worker_uptime_seconds", Gauge, "Seconds since the worker was started.", &|worker| Some(worker.uptime_s));
        let restarts = "Workers in this place, of this generation, that ended unasked and were replaced.";
        each("worker_restarts_total", Counter, restarts, &|worker| Some(worker.restarts as f64));
        let connections = "Connections to the listeners' addresses that the worker and its children have open.";
        each("worker_connections", Gauge, connections, &|worker| Some(worker.connections? as f64));
        let memory = "Memory of the worker and its children.";
        each("worker_memory_bytes", Gauge, memory, &|worker| Some(worker.memory_bytes? as f64));
        let processor = "Processor time of the worker and its children.";
        each("worker_cpu_seconds_total", Counter, processor, &|worker| worker.cpu_s);
        let handed = "Connections handed off to the worker since it started.";
        each("worker_hand_offs_total", Counter, handed, &|worker| Some(worker.handed_off as f64));
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help, [(Vec::new(), value)]);
    }

    /// Nothing if there are no samples. Of two with the same labels the first counts: a second would spoil the page.
    fn family<'a>(&mut self, name: &str, kind: Kind, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        };
        let mut seen = HashSet::new();
        for (labels, value) in samples {
            let mut series = format!("sharesock_{name}{{supervisor=\"{}\"", escaped(self.supervisor));
            for (label, text) in labels {
                // Writing to a string does not fail.
                let _ = write!(series, ",{label}=\"{}\"", escaped(&text));
            }
            series.push('}');
            if seen.is_empty() {
                let _ = writeln!(self.text, "# HELP sharesock_{name} {help}\n# TYPE sharesock_{name} {kind}");
            }
            if !seen.contains(&series) {
                let _ = writeln!(self.text, "{series} {}", number(value));
                seen.insert(series);
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    if value.is_infinite() { if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned() } else { value.to_string() }
}
