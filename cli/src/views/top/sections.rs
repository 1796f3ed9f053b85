//! The parts of the live view, as lines; the table of workers is beside.

use super::super::fields::Field;
use super::super::rates::HISTORY;
use super::super::text;
use super::super::trends::{Trend, blocks};
use super::super::units::{self, UNKNOWN, count, cut, cut_front, of, pad, plain};
use super::draw::{AMOUNT, BAD, BOLD, CHANGING, DIM, GOOD};
use super::view::{Trouble, View};
use crate::status::{ListenerStatus, PastEvent, Status, SupervisorState};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Sparkline, SparklineBar};
use std::time::Instant;

/// Who it is and how it is.
pub(crate) fn head(view: &View, status: &Status, width: usize) -> Line<'static> {
    let (doing, style) = match (&view.trouble, status.state) {
        (Some(_), _) => ("no answer", BAD),
        (None, SupervisorState::Running) => ("running", GOOD),
        (None, other) => (text::state(other), CHANGING),
    };
    let left = vec![
        Span::styled(cut(&plain(&status.name), width.saturating_sub(doing.len() + 3)), BOLD),
        Span::raw("  "),
        Span::styled(doing, style),
    ];
    let up = units::duration(status.uptime_s);
    let [pid, up] = [format!("pid {}", status.pid), format!("up {up}")];
    apart(left, vec![pid, up, format!("sharesock {}", plain(&status.version))], width)
}

/// What happened so far.
pub(crate) fn facts(status: &Status, width: usize) -> Line<'static> {
    let facts = vec![
        generations(status),
        of(status.reloads, "reload"),
        of(status.upgrades, "upgrade"),
        of(status.restarts, "restart"),
    ];
    let facts = facts.into_iter().map(|fact| Span::styled(fact, DIM)).collect();
    joined(facts, width)
}

/// The one that is in charge, and those before and after it that still have workers.
fn generations(status: &Status) -> String {
    let of_generation = |generation: u32| {
        let workers = status.workers.iter().filter(|worker| worker.generation == generation).count();
        of(workers as u64, "worker")
    };
    let mut others: Vec<_> = status.workers.iter().map(|worker| worker.generation).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|generation| *generation != status.generation);
    let others = others.into_iter().map(|other| {
        let does = if other < status.generation { "drains" } else { "starts" };
        format!("{other} {does} ({})", of_generation(other))
    });
    let current = format!("generation {}", status.generation);
    std::iter::once(current).chain(others).collect::<Vec<_>>().join(", ")
}

/// Amounts of the last minutes, a row each.
pub(crate) fn trends(view: &View, width: usize) -> Vec<Line<'static>> {
    /// Of a title, and of an amount.
    const TITLE: usize = 11;
    const AMOUNT_WIDTH: usize = 9;
    let beside = TITLE + 2 * AMOUNT_WIDTH + 11;
    // A second each, as far as there is room.
    let bars = width.saturating_sub(beside).min(4 * HISTORY);
    if bars < 10 {
        return Vec::new();
    }
    let row = |trend: &Trend| {
        let heights = view.trends.bars(*trend, bars, 1.0);
        let now = heights.iter().rev().flatten().next()?;
        let most = heights.iter().flatten().copied().fold(0.0, f64::max);
        Some(Line::from(vec![
            Span::styled(pad(trend.title(), TITLE, false) + "  ", DIM),
            Span::styled(blocks(&heights) + "  ", AMOUNT),
            Span::raw(pad(&trend.show(*now), AMOUNT_WIDTH, true)),
            Span::styled(format!("  most {}", trend.show(most)), DIM),
        ]))
    };
    let rows: Vec<_> = Trend::ALL.iter().filter_map(row).collect();
    match rows.is_empty() {
        true => rows,
        false => {
            let title = format!("last {bars} s");
            std::iter::once(rule(&title, width)).chain(rows).collect()
        }
    }
}

/// A rule and the last events, the newest first.
pub(crate) fn events(status: &Status, lines: usize, width: usize) -> Vec<Line<'static>> {
    if status.events.is_empty() || lines < 2 {
        return Vec::new();
    }
    let line = |event: &PastEvent| {
        // The time of day of `2026-01-31T12:00:00.000Z`.
        let time = plain(event.time.get(11..19).unwrap_or(&event.time));
        let text = cut(&plain(&event.text), width.saturating_sub(units::width(&time) + 2));
        Line::from(vec![Span::styled(time + "  ", DIM), Span::raw(text)])
    };
    let shown = status.events.iter().rev().take(lines - 1).map(line);
    std::iter::once(rule("events (UTC)", width)).chain(shown).collect()
}

pub(crate) fn trouble(trouble: &Trouble, now: Instant, width: usize) -> Line<'static> {
    let since = units::duration(now.saturating_duration_since(trouble.since).as_secs_f64());
    Line::styled(cut(&format!("trying again for {since}: {}", plain(&trouble.why)), width), BAD)
}

pub(crate) fn failure(status: &Status, failure: &str, width: usize) -> Line<'static> {
    let title = super::super::fields::failure(status);
    // What went wrong at last stands at the end.
    let failure = cut_front(&plain(failure), width.saturating_sub(title.len()));
    Line::from(vec![Span::styled(title, DIM), Span::styled(failure, BAD)])
}

/// A title in a quiet line from side to side.
pub(crate) fn rule(title: &str, width: usize) -> Line<'static> {
    let rest = "─".repeat(width.saturating_sub(units::width(title) + 4));
    Line::from(vec![Span::styled("── ", DIM), Span::raw(title.to_owned()), Span::styled(format!(" {rest}"), DIM)])
}

/// A rule and one line each; the last line tells how many have no room.
pub(crate) fn listeners(listeners: &[ListenerStatus], lines: usize, width: usize) -> Vec<Line<'static>> {
    let mut shown = listeners.len();
    if shown + 1 > lines {
        shown = lines.saturating_sub(2);
    }
    let rows: Vec<_> = listeners[..shown].iter().map(Row::of).collect();
    let widest = |of: fn(&Row) -> &String| rows.iter().map(|row| units::width(of(row))).max().unwrap_or(0);
    let (name, queue) = (widest(|row| &row.name).min(width / 4), widest(|row| &row.queue));
    let room = width.saturating_sub(name + queue + 4);
    let address = widest(|row| &row.address).min(room);
    // The bar has what the address leaves, if that is enough to tell something.
    let bar = match room.saturating_sub(address + 2) {
        0..6 => 0,
        left => left.min(24),
    };
    let mut all = vec![rule("listeners", width)];
    for row in rows {
        let mut line = vec![
            Span::raw(pad(&cut(&row.name, name), name, false) + "  "),
            Span::styled(pad(&cut(&row.address, address), address, false) + "  ", DIM),
        ];
        line.extend(queue_bar(row.share, bar));
        line.push(Span::styled(row.queue, row.share.map_or(DIM, filled)));
        all.push(Line::from(line));
    }
    if shown < listeners.len() {
        all.push(Line::styled(format!("and {} more", count((listeners.len() - shown) as u64)), DIM));
    }
    all
}

/// A listener, as it is shown.
struct Row {
    name: String,
    address: String,
    queue: String,
    share: Option<f64>,
}

impl Row {
    fn of(listener: &ListenerStatus) -> Self {
        let known = |number: Option<u64>| number.map_or_else(|| UNKNOWN.to_owned(), count);
        Row {
            name: plain(&listener.name),
            address: plain(&listener.address),
            queue: format!("{:>5} / {}", known(listener.queued), known(listener.backlog)),
            share: share(listener),
        }
    }
}

/// How full the queue is.
fn share(listener: &ListenerStatus) -> Option<f64> {
    let (queued, backlog) = (listener.queued?, listener.backlog?);
    // A full queue holds one more than the backlog.
    Some((queued as f64 / backlog.max(1) as f64).min(1.0))
}

fn filled(share: f64) -> Style {
    match share {
        _ if share >= 0.9 => BAD,
        _ if share >= 0.5 => CHANGING,
        _ => Style::new(),
    }
}

fn queue_bar(share: Option<f64>, width: usize) -> Vec<Span<'static>> {
    let Some(share) = share.filter(|_| width > 0) else {
        return vec![Span::raw(" ".repeat(if width > 0 { width + 2 } else { 0 }))];
    };
    let mut full = (share * width as f64).round() as usize;
    if share > 0.0 {
        full = full.max(1);
    }
    let color = if share < 0.5 { AMOUNT } else { filled(share) };
    vec![Span::styled("━".repeat(full), color), Span::styled("─".repeat(width - full) + "  ", DIM)]
}

/// A rule and how fast connections are handed off.
pub(crate) fn hand_offs(view: &View, status: &Status, width: usize) -> Vec<Line<'static>> {
    let Some(hand_offs) = status.hand_offs else { return Vec::new() };
    let time = |time: Option<u64>| time.map_or_else(|| UNKNOWN.to_owned(), units::microseconds);
    let rate = view.rates.hand_offs().map_or_else(|| UNKNOWN.to_owned(), units::rate);
    let waiting = if hand_offs.waiting > 0 { CHANGING } else { DIM };
    let parts = vec![
        Span::styled(pad(&format!("{rate}/s"), 8, false), BOLD),
        Span::raw(format!("median {}", pad(&time(hand_offs.median_us), 7, false))),
        Span::raw(format!("99% {}", pad(&time(hand_offs.slowest_percent_us), 7, false))),
        Span::styled(format!("waiting {}", pad(&count(hand_offs.waiting), 3, false)), waiting),
        Span::styled(format!("{} in all", count(hand_offs.total)), DIM),
    ];
    vec![rule("hand-offs", width), joined(parts, width)]
}

/// The last minute: a second each, or more where it is narrow.
pub(crate) fn bars(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let width = usize::from(area.width);
    if width == 0 || area.height == 0 {
        return;
    }
    let seconds = HISTORY.div_ceil(width);
    let bars = view.rates.history(HISTORY / seconds, seconds);
    let most = bars.iter().flatten().copied().fold(0.0, f64::max);
    // In thousandths, for what is less than one a second.
    let bar = |rate: &Option<f64>| {
        SparklineBar::from(rate.map(|rate| if rate > 0.0 { ((rate * 1000.0) as u64).max(1) } else { 0 }))
    };
    let line = Sparkline::default().absent_value_symbol(" ").max(((most * 1000.0) as u64).max(1));
    frame.render_widget(line.style(AMOUNT).data(bars.iter().map(bar)), area);
    let right = usize::from(area.width).saturating_sub(bars.len() + 2);
    let (most, minute) = (format!("most {}/s", units::rate(most)), "the last minute");
    if right >= minute.len().max(most.len()) {
        let x = area.x + bars.len() as u16 + 2;
        let beside = Rect { x, width: right as u16, ..area };
        for (line, row) in [Line::styled(most, DIM), Line::styled(minute, DIM)].into_iter().zip(beside.rows()) {
            frame.render_widget(line, row);
        }
    }
}

/// More of the selected worker.
pub(crate) fn details(view: &View, width: usize) -> Vec<Line<'static>> {
    let workers = view.workers();
    let selected = workers.iter().find(|&&worker| Some(worker.into()) == view.selected);
    let Some(worker) = selected else { return Vec::new() };
    let mut parts = vec![of(worker.restarts, "restart") + " in this place"];
    if view.fields().contains(&Field::HandOffs) {
        parts.push(format!("{} handed off to it", count(worker.handed_off)));
    }
    if let Some(time) = worker.cpu_s {
        parts.push(format!("{} of processor time", units::processor_time(time)));
    }
    let parts = parts.into_iter().map(|part| Span::styled(part, DIM)).collect();
    let mut lines = vec![rule(&format!("worker {}", worker.pid), width), joined(parts, width)];
    if let Some(says) = &worker.says {
        lines.push(Line::raw(cut(&format!("says: {}", plain(says)), width)));
    }
    for line in worker.output.iter().rev().take(3).rev() {
        lines.push(Line::from(vec![Span::styled("│ ", DIM), Span::raw(cut(&plain(line), width.saturating_sub(2)))]));
    }
    lines
}

/// What keys do.
pub(crate) fn foot(view: &View, width: usize) -> Line<'static> {
    let sort = format!("sort: {}{}", view.sort.look().title, if view.reversed { " reversed" } else { "" });
    let keys = [("q", "quit"), ("?", "help"), ("s", &sort), ("p", "pause"), ("↑↓", "select")];
    let mut left = Vec::new();
    let (state, style) = match view.paused {
        true => ("paused".to_owned(), CHANGING),
        false => (format!("every {} s", view.interval.as_secs_f64()), DIM),
    };
    let mut room = width.saturating_sub(units::width(&state) + 2);
    for (key, what) in keys {
        let takes = units::width(key) + units::width(what) + 3;
        if takes > room + 2 {
            break;
        }
        room = room.saturating_sub(takes);
        left.extend([Span::styled(key, BOLD), Span::styled(format!(" {what}  "), DIM)]);
    }
    let taken: usize = left.iter().map(Span::width).sum();
    left.push(Span::raw(" ".repeat(width.saturating_sub(taken + units::width(&state)))));
    left.push(Span::styled(state, style));
    Line::from(left)
}

/// As many of the parts as have room.
fn joined(parts: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let mut line: Vec<Span<'_>> = Vec::new();
    let mut taken = 0;
    for part in parts {
        let gap = if line.is_empty() { 0 } else { 3 };
        if taken + gap + part.width() > width {
            break;
        }
        taken += gap + part.width();
        line.push(Span::raw(" ".repeat(gap)));
        line.push(part);
    }
    Line::from(line)
}

/// Something at the left, and as many of the parts as have room at the right.
fn apart(mut left: Vec<Span<'static>>, parts: Vec<String>, width: usize) -> Line<'static> {
    let taken: usize = left.iter().map(Span::width).sum();
    let right =
        joined(parts.into_iter().map(|part| Span::styled(part, DIM)).collect(), width.saturating_sub(taken + 3));
    left.push(Span::raw(" ".repeat(width.saturating_sub(taken + right.width()))));
    left.extend(right.spans);
    Line::from(left)
}
