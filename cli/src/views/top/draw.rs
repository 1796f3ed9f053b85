//! Draws the live view: who gets how many lines, then the parts, one below the other.

use super::view::View;
use super::{sections, workers};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};
use std::time::Instant;

pub(crate) const DIM: Style = Style::new().add_modifier(Modifier::DIM);
pub(crate) const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// Of bars: the terminal's own colour, which can be seen on light and on dark.
pub(crate) const AMOUNT: Style = Style::new();
pub(crate) const GOOD: Style = Style::new().fg(Color::Green);
pub(crate) const CHANGING: Style = Style::new().fg(Color::Magenta);
pub(crate) const BAD: Style = Style::new().fg(Color::Red);

/// The lines of the screen that are left to give away.
struct Budget(u16);

impl Budget {
    /// All of them or none.
    fn take(&mut self, lines: usize) -> usize {
        let lines = u16::try_from(lines).unwrap_or(u16::MAX);
        if lines > self.0 {
            return 0;
        }
        self.0 -= lines;
        lines.into()
    }

    /// As many as there are, if these are at least so many.
    fn take_some(&mut self, least: usize, most: usize) -> usize {
        if least > self.0.into() { 0 } else { self.take(most.min(self.0.into())) }
    }
}

/// Draws all of it; what is less important goes if there is no room.
pub(crate) fn draw(frame: &mut Frame<'_>, view: &View, now: Instant) {
    let area = frame.area();
    let Some(status) = view.status() else { return };
    let width = area.width.into();

    // In the order of their importance.
    let mut budget = Budget(area.height);
    let head = budget.take(1);
    let trouble = budget.take(view.trouble.iter().count());
    let few_workers = if status.workers.is_empty() { 0 } else { budget.take_some(2, 1 + status.workers.len().min(3)) };
    let foot = budget.take(1);
    let failure = budget.take(status.last_failure.iter().count());
    let facts = budget.take(1);
    let hand_offs = budget.take(if status.hand_offs.is_some() { 2 } else { 0 });
    let few_listeners = match status.listeners.len().min(2) {
        0 => 0,
        // Below the rule one listener, and if there are more, another or how many.
        some => budget.take(1 + some),
    };
    let rule = budget.take(1);
    let details = sections::details(view, width);
    let details_lines = budget.take(details.len());
    let few_bars = if hand_offs > 0 { budget.take(2) } else { 0 };
    let more_listeners = if few_listeners > 0 { (status.listeners.len() + 1).saturating_sub(few_listeners) } else { 0 };
    let listeners = few_listeners + budget.take_some(1, more_listeners.min(4));
    let wanted = if few_workers > 0 { 1 + status.workers.len() - few_workers } else { 0 };
    let table = few_workers + budget.take_some(1, wanted);
    let bars = few_bars + if few_bars > 0 { budget.take_some(1, 2) } else { 0 };
    let trends = sections::trends(view, width);
    let trends_lines = budget.take(trends.len());
    let events = budget.take_some(2, if status.events.is_empty() { 0 } else { 1 + status.events.len() });

    let mut page = Page { frame, left: area };
    page.lines(head, [sections::head(view, status, width)]);
    page.lines(trouble, view.trouble.iter().map(|trouble| sections::trouble(trouble, now, width)));
    page.lines(failure, status.last_failure.iter().map(|failure| sections::failure(status, failure, width)));
    page.lines(facts, [sections::facts(status, width)]);
    page.lines(listeners, sections::listeners(&status.listeners, listeners, width));
    page.lines(hand_offs, sections::hand_offs(view, status, width));
    let place = page.take(bars);
    sections::bars(page.frame, place, view);
    page.lines(trends_lines, trends);
    page.lines(rule, [sections::rule(&workers::title(status), width)]);
    page.lines(table, workers::table(view, table, width));
    page.lines(details_lines, details);
    page.lines(events, sections::events(status, events, width));
    if foot > 0 {
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        page.frame.render_widget(sections::foot(view, width), last);
    }
    if view.trouble.is_some() {
        let below = Rect { y: area.y + 2, height: area.height.saturating_sub(2 + foot as u16), ..area };
        page.frame.buffer_mut().set_style(below.intersection(area), DIM);
    }
    if view.help {
        help(page.frame, area);
    }
}

/// The part of the screen below what was drawn already.
struct Page<'a, 'b> {
    frame: &'a mut Frame<'b>,
    left: Rect,
}

impl Page<'_, '_> {
    fn take(&mut self, height: usize) -> Rect {
        let height = u16::try_from(height).unwrap_or(u16::MAX).min(self.left.height);
        let taken = Rect { height, ..self.left };
        self.left = Rect { y: self.left.y + height, height: self.left.height - height, ..self.left };
        taken
    }

    /// As many of the lines as were granted.
    fn lines<'a>(&mut self, granted: usize, lines: impl IntoIterator<Item = Line<'a>>) {
        let area = self.take(granted);
        for (line, row) in lines.into_iter().zip(area.rows()) {
            self.frame.render_widget(line, row);
        }
    }
}

const HELP: [(&str, &str); 8] = [
    ("q  Esc  Ctrl-C", "quit"),
    ("↑ ↓  k j", "select a worker"),
    ("PgUp  PgDn", "ten at once"),
    ("Home  End", "first, last"),
    ("s", "sort by the next column"),
    ("S", "the other way round"),
    ("p", "pause, go on"),
    ("?", "this help"),
];

fn help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<_> = HELP
        .iter()
        .map(|(keys, what)| Line::from(vec![Span::styled(format!(" {keys:<16}"), BOLD), Span::raw(*what)]))
        .collect();
    let (width, height) = (area.width.min(44), area.height.min(lines.len() as u16 + 2));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    frame.render_widget(Clear, place);
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(DIM).title(" keys ");
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
