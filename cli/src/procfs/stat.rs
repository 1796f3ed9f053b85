//! `/proc/PID/stat`: what the kernel tells of a process in one line.

use rustix::process::Pid;

/// A process, as its line says. What is no number there counts as nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// Time on a processor, in ticks.
    pub(super) used: u64,
    /// When it began, in ticks since the machine was started.
    pub(crate) started: u64,
    /// Resident memory, in pages.
    pub(super) pages: u64,
}

/// The process group of this process, unless that is of another PID namespace.
pub(crate) fn own_group() -> Option<Pid> {
    Stat::of(rustix::process::getpid().as_raw_pid())?.group()
}

impl Stat {
    /// Nothing, if there is no such process, or it may not be seen.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The same of one of its threads.
    pub(super) fn of_thread(pid: i32, thread: u32) -> Option<Self> {
        Stat::parse(&std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).ok()?)
    }

    /// Its process group, unless that is of another PID namespace.
    pub(crate) fn group(&self) -> Option<Pid> {
        Pid::from_raw(self.group).filter(|_| self.group > 0)
    }

    /// Whether it was stopped, by a signal or by a debugger.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    /// Whether it has not ended: one that nobody has waited for yet is still listed.
    pub(crate) fn lives(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in brackets, and may hold anything.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let number = |field: usize| fields.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            used: number(11) + number(12),
            started: number(19),
            pages: number(21),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_understood_whatever_the_program_is_called() {
        let line = |name: &str| {
            format!(
                "7 ({name}) S 1 6 7 0 -1 4194560 100 200 0 0 30 12 0 0 20 0 1 0 4242 1000000 250 18446744073709551615\n"
            )
        };
        let expected = Stat { state: 'S', parent: 1, group: 6, used: 42, started: 4242, pages: 250 };
        for name in ["cat", "a b", ") R 2 3 (", ""] {
            assert_eq!(Stat::parse(&line(name)), Some(expected), "{name}");
        }
        assert!(expected.lives());
        assert!(!Stat::parse("7 (cat) Z 1 6").unwrap().lives());
        for wrong in ["", "7 (cat", "7 (cat)", "7 (cat) S", "7 (cat) S 1", "7 (cat) S x y"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn this_process_is_found() {
        let found = Stat::of(rustix::process::getpid().as_raw_pid()).unwrap();
        assert_eq!(Some(found.parent), rustix::process::getppid().map(rustix::process::Pid::as_raw_pid));
        assert!(found.lives() && found.started > 0 && found.pages > 0);
    }
}
