//! The live view, drawn into memory.

use super::samples::{self, busy, check, crowd};
use crate::status::Status;
use crate::views::top::draw::draw;
use crate::views::top::view::{Next, View};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use std::time::{Duration, Instant};

fn view(statuses: impl IntoIterator<Item = Status>) -> View {
    let mut view = View::new(Duration::from_secs(1));
    for status in statuses {
        view.take(Ok(status), Instant::now());
    }
    view
}

fn press(view: &mut View, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '↓' => KeyCode::Down,
            '↑' => KeyCode::Up,
            key => KeyCode::Char(key),
        };
        view.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

fn drawn(view: &View, width: u16, height: u16) -> Buffer {
    drawn_at(view, width, height, Instant::now())
}

fn drawn_at(view: &View, width: u16, height: u16, now: Instant) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view, now)).unwrap();
    terminal.backend().buffer().clone()
}

/// What stands in the cells, by `show`, line by line.
fn lines(buffer: &Buffer, show: impl Fn(&Cell) -> &str) -> String {
    let line = |cells: &[Cell]| cells.iter().map(&show).collect::<String>().trim_end().to_owned() + "\n";
    buffer.content().chunks(buffer.area.width.max(1).into()).map(line).collect()
}

fn text(view: &View, width: u16, height: u16) -> String {
    lines(&drawn(view, width, height), Cell::symbol)
}

fn look(cell: &Cell) -> &str {
    match cell.fg {
        Color::Green => "g",
        Color::Magenta => "m",
        Color::Red => "r",
        _ if cell.modifier.contains(Modifier::DIM) => "d",
        _ if cell.modifier.contains(Modifier::BOLD) => "B",
        _ if cell.symbol() == " " => " ",
        _ => ".",
    }
}

fn minute() -> View {
    view((0..=75).map(busy))
}

#[test]
fn a_busy_supervisor() {
    let view = minute();
    check("busy-100x28.txt", &text(&view, 100, 28));
    check("busy-80x24.txt", &text(&view, 80, 24));
    check("busy-40x24.txt", &text(&view, 40, 24));
    check("busy-160x40.txt", &text(&view, 160, 40));
    check("busy-80x12.txt", &text(&view, 80, 12));
    check("busy-20x5.txt", &text(&view, 20, 5));
}

#[test]
fn colours_are_few() {
    check("busy-80x24-colours.txt", &lines(&drawn(&minute(), 80, 24), look));
}

#[test]
fn one_that_has_just_started() {
    check("new-80x24.txt", &text(&view([samples::new()]), 80, 24));
}

#[test]
fn many_workers_scroll_with_the_selected_one() {
    let mut view = view([crowd(200)]);
    check("crowd-80x16.txt", &text(&view, 80, 16));
    press(&mut view, "↑");
    assert!(text(&view, 80, 16).contains("› "), "the last one is selected, and seen");
    press(&mut view, &"↑".repeat(100));
    check("crowd-selected-80x16.txt", &text(&view, 80, 16));
}

#[test]
fn the_selected_worker_is_told_in_detail() {
    let mut view = view([busy(0), Status { ..busy(1) }]);
    press(&mut view, "↓↓");
    let mut next = busy(2);
    next.workers[1].says = Some("a long story ".repeat(12));
    next.workers[1].output = (0..9).map(|line| format!("line {line}")).collect();
    view.take(Ok(next), Instant::now());
    check("selected-80x30.txt", &text(&view, 80, 30));
}

#[test]
fn the_selection_passes_to_the_worker_that_replaces_another() {
    let mut view = view([busy(0)]);
    press(&mut view, "↓");
    assert_eq!(view.selected.map(|key| (key.place, key.pid)), Some((0, 4730)));
    let mut next = busy(1);
    next.workers[0].pid = 5000;
    view.take(Ok(next), Instant::now());
    assert_eq!(view.selected.map(|key| (key.place, key.pid)), Some((0, 5000)));
    view.take(Ok(samples::new()), Instant::now());
    assert_eq!(view.selected, None);
    press(&mut view, "↓↑");
    assert_eq!(view.selected, None, "there is none to select");
}

#[test]
fn sorted_by_each_column_in_turn() {
    let mut view = minute();
    let firsts = |view: &View| view.workers().iter().map(|worker| worker.pid).collect::<Vec<_>>();
    assert_eq!(firsts(&view), [4730, 4721, 4731, 4732, 4733], "by place, then generation");
    press(&mut view, "s");
    assert_eq!(firsts(&view), [4721, 4730, 4731, 4732, 4733], "by pid");
    press(&mut view, "S");
    assert_eq!(firsts(&view), [4733, 4732, 4731, 4730, 4721], "reversed");
    assert!(text(&view, 80, 24).contains("sort: pid reversed"));
    press(&mut view, "sss");
    assert_eq!(firsts(&view)[0], 4721, "the longest up");
    press(&mut view, "sss");
    assert_eq!(view.sort.look().title, "cpu");
    assert_eq!(firsts(&view)[0], 4733, "the busiest");
    press(&mut view, "sss");
    assert_eq!(view.sort.look().title, "place", "all round");
}

#[test]
fn trouble_is_told_and_what_was_known_stays() {
    let mut view = minute();
    let start = Instant::now();
    view.take(Err(anyhow::anyhow!("no supervisor \u{1b}[2J answers").context("asking site")), start);
    view.take(Err(anyhow::anyhow!("connection refused").context("asking site")), start + Duration::from_secs(12));
    let buffer = drawn_at(&view, 80, 24, start + Duration::from_secs(75));
    check("trouble-80x24.txt", &lines(&buffer, Cell::symbol));
    view.take(Ok(busy(76)), start);
    assert!(view.trouble.is_none());
}

#[test]
fn help_and_pause() {
    let mut view = minute();
    press(&mut view, "p?");
    check("help-80x24.txt", &text(&view, 80, 24));
    let escape = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(view.press(escape), Next::Draw, "closes the help");
    assert!(!view.help && view.paused);
    assert_eq!(view.press(KeyEvent::new(KeyCode::Char('p'), KeyModifiers::NONE)), Next::Fetch);
    assert_eq!(view.press(escape), Next::Quit);
    assert_eq!(view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Next::Quit);
    assert_eq!(view.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::NONE)), Next::Draw);
}

#[test]
fn no_word_of_a_stranger_is_a_command() {
    let mut view = view([samples::hostile()]);
    press(&mut view, "↓");
    let text = text(&view, 120, 40);
    assert!(text.lines().all(|line| line.chars().all(|letter| !letter.is_control() && letter != '\u{202e}')), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_size_is_drawn(
        (width, height) in (0_u16..200, 0_u16..60),
        keys in "[↓↑sSp?hjk]{0,12}",
        which in 0..5,
        trouble: bool,
    ) {
        let mut view = match which {
            0 => minute(),
            1 => view([samples::new()]),
            2 => view([samples::hostile()]),
            3 => view([crowd(1000)]),
            _ => view([]),
        };
        if trouble {
            view.take(Err(anyhow::anyhow!("it is\ngone")), Instant::now());
        }
        press(&mut view, &keys);
        let first = lines(&drawn(&view, width, height), Cell::symbol);
        if which == 1 && width >= 20 && height > 0 && !view.help {
            prop_assert!(first.starts_with("site"), "{}", first);
        }
    }
}
