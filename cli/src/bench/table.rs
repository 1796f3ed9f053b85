//! The table for people, and the same for machines.

use super::idle::Idle;
use super::measure::Figure;
use super::peers::Peer;
use super::rows::Row;
use super::winsock::Call;
use anyhow::{Context, Result};
use std::fmt::Write;

/// All that was measured.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) idle: Option<Idle>,
    #[serde(rename = "neighbours")]
    pub(crate) peers: Vec<Peer>,
    pub(crate) calls: Vec<Call>,
}

/// Prints a table.
pub(crate) fn print(Measured { rows, idle, peers, calls }: &Measured) {
    let mut text = String::new();
    if !rows.is_empty() {
        let _ = writeln!(
            text,
            "{:<52} {:>22} {:>22} {:>6}  {:<12}",
            "work (µs each: median, lowest–highest)", "floor", "sharesock", "ratio", "must / aim"
        );
    }
    for row in rows {
        let floor = row.floor.as_ref().map(show).unwrap_or_default();
        let ratio = row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let bound = match (row.bound, row.ratio) {
            (Some((must, aim)), Some(ratio)) => {
                let verdict = if ratio <= aim {
                    "aim"
                } else if ratio <= must {
                    "holds"
                } else {
                    "MISSED"
                };
                format!("{must:.2} / {aim:.2} {verdict}")
            }
            _ => String::new(),
        };
        let _ = writeln!(text, "{:<52} {floor:>22} {:>22} {ratio:>6}  {bound}", row.work, show(&row.ours));
        if row.floor.is_some() {
            let _ = writeln!(text, "  floor: {}", row.floor_is);
        }
        for beside in &row.beside {
            let _ = writeln!(text, "  {:<50} {:>22}", beside.way, show(&beside.figure));
        }
    }
    if !super::baselines::MEASURED && !rows.is_empty() {
        let _ = writeln!(
            text,
            "no floors on this system, where the library makes the bare calls themselves; a fiftieth of the work was done"
        );
    }
    if let Some(Idle { sockets, descriptors, threads, bytes }) = idle {
        let each = format!("{descriptors:.0} descriptors, {threads:.0} threads, {bytes:.0} bytes");
        let verdict = if *descriptors <= 0.0 && *threads <= 0.0 && *bytes <= 64.0 { "holds" } else { "MISSED" };
        let _ = writeln!(text, "a shared socket that is idle, each of {sockets}: {each} (must be 0, 0, 64: {verdict})");
    }
    if !peers.is_empty() {
        let _ = writeln!(text, "\n{:<52} {:>22}", "one at a time, each answered (µs)", "median lowest–highest");
    }
    for peer in peers {
        let figure = peer.figure.as_ref().map_or("not installed".to_owned(), show);
        let _ = writeln!(text, "{:<52} {figure:>22}", peer.way);
    }
    if !calls.is_empty() {
        let _ = writeln!(text, "\n{:<52} {:>22} {:>26}", "calls of the C library (µs)", "sharesock", "Wine");
    }
    for call in calls {
        let wine = call.wine.as_ref().map_or("not installed".to_owned(), show);
        let _ = writeln!(text, "{:<52} {:>22} {wine:>26}", call.work(), show(&call.ours));
    }
    print!("{text}");
}

fn show(figure: &Figure) -> String {
    format!("{:.2} {:.2}–{:.2}", figure.median_us, figure.lowest_us, figure.highest_us)
}

/// Prints one JSON object.
pub(crate) fn print_json(measured: &Measured) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut whole = serde_json::json!({ "kernel": kernel.trim(), "cores": cores });
    if let (Some(whole), serde_json::Value::Object(rest)) = (whole.as_object_mut(), serde_json::to_value(measured)?) {
        whole.extend(rest);
    }
    println!("{}", serde_json::to_string_pretty(&whole).context("writing JSON")?);
    Ok(())
}
