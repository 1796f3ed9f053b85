//! What the threads of a process wait for: which sockets would wake them.
//!
//! A thread that waits names what it waits for in the call that it sleeps in: a descriptor (`accept`, `recv`), an epoll set,
//! whose members the kernel lists, or an array in its memory (`poll`, `select`). A thread that runs says nothing; it is
//! looked at again.

use super::descriptors::{numbers, path};
use super::stat::Stat;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// More descriptors than a process may have are not waited for.
const MOST_POLLED: u64 = 1 << 16;
/// How deep epoll sets may lie in each other: the kernel's own bound.
const DEEPEST: u32 = 5;

/// What a process waits for, and whether that is all of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Inodes of sockets.
    pub(crate) sockets: HashSet<u64>,
    /// It has a ring (`io_uring`), whose requests the kernel does not list.
    pub(crate) has_ring: bool,
}

impl Waits {
    /// Of one process, which of the wanted sockets it waits for.
    ///
    /// # Errors
    /// `PermissionDenied` when it may not be looked at: another user's without `CAP_SYS_PTRACE`, or one with
    /// capabilities of its own.
    pub(crate) fn of(pid: i32, wanted: &HashSet<u64>) -> io::Result<Self> {
        let tasks = numbers_in(&format!("/proc/{pid}/task"))?;
        let open = Open::of(pid, &tasks, wanted)?;
        let mut waits = Waits { sockets: HashSet::new(), has_ring: open.has_ring };
        if open.sockets.is_empty() && open.epolls.is_empty() {
            return Ok(waits);
        }
        for task in &tasks {
            match std::fs::read_to_string(format!("/proc/{pid}/task/{task}/syscall")) {
                Ok(text) => {
                    let awaited = |open: &Open| Call::parse(&text).map(|call| open.awaited(&call)).unwrap_or_default();
                    let found = awaited(&open);
                    // A number may be another descriptor's by the time that the call is read.
                    // And one that is stopped is not woken.
                    let again =
                        match found.is_empty() || Stat::of_thread(pid, *task).is_none_or(|stat| stat.is_stopped()) {
                            true => Vec::new(),
                            false => awaited(&Open::of(pid, &tasks, wanted)?),
                        };
                    waits.sockets.extend(found.into_iter().filter(|inode| again.contains(inode)));
                }
                // Its calls are hidden where its descriptors are not: what it could be woken by is the next best.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    waits.sockets.extend(open.epolls.keys().flat_map(|number| open.members(*number, DEEPEST)));
                }
                Err(_) => {}
            }
        }
        Ok(waits)
    }
}

/// What of a process matters here: its wanted sockets by descriptor, and its epoll sets.
struct Open {
    pid: i32,
    sockets: HashMap<u64, u64>,
    epolls: HashMap<u64, Vec<Member>>,
    wanted: HashSet<u64>,
    has_ring: bool,
}

/// A member of an epoll set.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    number: u64,
    events: u32,
    inode: u64,
}

/// What a thread sleeps in.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    number: u64,
    arguments: [u64; 2],
}

impl Open {
    fn of(pid: i32, tasks: &[u32], wanted: &HashSet<u64>) -> io::Result<Self> {
        // A first thread that has ended has nothing open any more, and the others go on.
        let lives = |task: &&u32| Stat::of_thread(pid, **task).is_some_and(|stat| stat.lives());
        let process = tasks.iter().find(lives).map_or_else(|| pid.to_string(), |task| format!("{pid}/task/{task}"));
        let (mut sockets, mut epolls, mut has_ring) = (HashMap::new(), HashMap::new(), false);
        for number in numbers(&process)? {
            let link = match std::fs::read_link(path(&process, number)) {
                Ok(link) => link,
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
                // It was closed meanwhile.
                Err(_) => continue,
            };
            match link.to_str() {
                Some("anon_inode:[eventpoll]") => {
                    match std::fs::read_to_string(format!("/proc/{process}/fdinfo/{number}")) {
                        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(error),
                        // The same.
                        Err(_) => continue,
                        Ok(info) => epolls.insert(number.into(), info.lines().filter_map(Member::parse).collect()),
                    };
                }
                Some("anon_inode:[io_uring]") => has_ring = true,
                Some(link) => {
                    let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
                    sockets.extend(inode.filter(|inode| wanted.contains(inode)).map(|inode| (number.into(), inode)));
                }
                None => {}
            }
        }
        Ok(Open { pid, sockets, epolls, wanted: wanted.clone(), has_ring })
    }

    /// The wanted sockets that would end this call.
    fn awaited(&self, call: &Call) -> Vec<u64> {
        let [first, second] = call.arguments;
        let socket = |number: u64| self.sockets.get(&number).copied();
        match kind(call.number) {
            Kind::Descriptor => socket(first).into_iter().collect(),
            Kind::Epoll => self.members(first, DEEPEST),
            Kind::Poll => self.polled(first, second).unwrap_or_default().into_iter().filter_map(socket).collect(),
            Kind::Select => self.selected(first, second).unwrap_or_default().into_iter().filter_map(socket).collect(),
            Kind::Other => Vec::new(),
        }
    }

    /// The wanted sockets in an epoll set that it is to tell of when they can be read.
    fn members(&self, epoll: u64, depth: u32) -> Vec<u64> {
        const READABLE: u32 = 0x001 | 0x040;
        let mut found = Vec::new();
        for member in self.epolls.get(&epoll).into_iter().flatten().filter(|member| member.events & READABLE != 0) {
            if self.wanted.contains(&member.inode) {
                found.push(member.inode);
            } else if depth > 0 && self.epolls.contains_key(&member.number) {
                found.extend(self.members(member.number, depth - 1));
            }
        }
        found
    }

    /// The descriptors in an array of `struct pollfd` that are to be readable.
    fn polled(&self, at: u64, count: u64) -> io::Result<Vec<u64>> {
        const READABLE: u16 = 0x001 | 0x040;
        let bytes = self.memory(at, count.min(MOST_POLLED) * 8)?;
        let entry = |entry: &[u8]| {
            let number = i32::from_ne_bytes(*entry.first_chunk()?);
            let events = u16::from_ne_bytes(*entry.get(4..)?.first_chunk()?);
            u64::try_from(number).ok().filter(|_| events & READABLE != 0)
        };
        Ok(bytes.chunks_exact(8).filter_map(entry).collect())
    }

    /// The descriptors in a set of `select` that are to be readable.
    fn selected(&self, count: u64, at: u64) -> io::Result<Vec<u64>> {
        if at == 0 {
            return Ok(Vec::new());
        }
        let count = count.min(MOST_POLLED);
        let bytes = self.memory(at, count.div_ceil(64) * 8)?;
        let is_set = |number: &u64| {
            let byte = usize::try_from(number / 8).ok().and_then(|byte| bytes.get(byte));
            byte.is_some_and(|byte| byte >> (number % 8) & 1 == 1)
        };
        // Words in the order of this machine: on one that begins with the last byte, the bits of a word are turned round.
        let turned = |number: u64| if cfg!(target_endian = "big") { number ^ 0x38 } else { number };
        Ok((0..count).filter(|number| is_set(&turned(*number))).collect())
    }

    fn memory(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        File::open(format!("/proc/{}/mem", self.pid))?.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

impl Member {
    /// A line such as `tfd: 5 events: 19 data: 5 pos:0 ino:1b2c sdev:8`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.strip_prefix("tfd:")?.split_ascii_whitespace();
        let number = fields.next()?.parse().ok()?;
        let events = fields.next().filter(|name| *name == "events:").and(fields.next())?;
        let inode = fields.find_map(|field| field.strip_prefix("ino:"))?;
        Some(Member {
            number,
            events: u32::from_str_radix(events, 16).ok()?,
            inode: u64::from_str_radix(inode, 16).ok()?,
        })
    }
}

impl Call {
    /// A line such as `232 0x5 0x7ffd… 0x200 …`; `running` is none.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let number = fields.next()?.parse().ok()?;
        let mut argument = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
        Some(Call { number, arguments: [argument()?, argument()?] })
    }
}

/// Kinds of calls that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its first argument is what it waits for.
    Descriptor,
    Epoll,
    Poll,
    Select,
    Other,
}

/// A call by its number on this machine.
#[cfg(target_arch = "x86_64")]
fn kind(number: u64) -> Kind {
    match number {
        // read, accept, recvfrom, recvmsg, accept4, recvmmsg
        0 | 43 | 45 | 47 | 288 | 299 => Kind::Descriptor,
        // epoll_wait, epoll_pwait, epoll_pwait2
        232 | 281 | 441 => Kind::Epoll,
        // poll, ppoll
        7 | 271 => Kind::Poll,
        // select, pselect6
        23 | 270 => Kind::Select,
        _ => Kind::Other,
    }
}

/// A call by its number on this machine: those of the kernel's common table.
#[cfg(not(target_arch = "x86_64"))]
fn kind(number: u64) -> Kind {
    match number {
        // read, accept, recvfrom, recvmsg, accept4, recvmmsg
        63 | 202 | 207 | 212 | 242 | 243 => Kind::Descriptor,
        // epoll_pwait, epoll_pwait2
        22 | 441 => Kind::Epoll,
        // ppoll
        73 => Kind::Poll,
        // pselect6
        72 => Kind::Select,
        _ => Kind::Other,
    }
}

fn numbers_in(directory: &str) -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir(directory)?.flatten();
    Ok(entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, epoll};
    use std::net::TcpListener;
    use std::os::fd::{AsFd, AsRawFd};

    fn inode(listener: &TcpListener) -> u64 {
        rustix::fs::fstat(listener).unwrap().st_ino
    }

    /// Whether a thread that waits so is seen to wait for the listener, and none is once it has ended.
    fn is_seen(wait: impl FnOnce(&TcpListener) + Send + 'static) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (inode, address) = (inode(&listener), listener.local_addr().unwrap());
        let me = rustix::process::getpid().as_raw_pid();
        let waits = || Waits::of(me, &HashSet::from([inode])).unwrap().sockets.contains(&inode);
        assert!(!waits(), "nobody waits yet");
        let thread = std::thread::spawn(move || wait(&listener));
        let mut seen = false;
        while !seen && !thread.is_finished() {
            seen = waits();
        }
        let _client = std::net::TcpStream::connect(address);
        thread.join().unwrap();
        seen
    }

    #[test]
    fn a_thread_is_seen_to_wait_in_whichever_way() {
        assert!(is_seen(|listener| drop(listener.accept().unwrap())));
        assert!(is_seen(|listener| {
            rustix::event::poll(&mut [PollFd::new(listener, PollFlags::IN)], None).unwrap();
        }));
        assert!(is_seen(|listener| {
            let mut set = nix::sys::select::FdSet::new();
            set.insert(listener.as_fd());
            nix::sys::select::select(None, Some(&mut set), None, None, None).unwrap();
        }));
        assert!(is_seen(|listener| {
            let [inner, outer] = [(); 2].map(|()| epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
            let data = epoll::EventData::new_u64(0);
            epoll::add(&inner, listener, data, epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE).unwrap();
            epoll::add(&outer, &inner, data, epoll::EventFlags::IN).unwrap();
            let mut events = Vec::with_capacity(1);
            epoll::wait(&outer, rustix::buffer::spare_capacity(&mut events), None).unwrap();
        }));
    }

    #[test]
    fn to_have_a_listener_is_not_to_wait_for_it() {
        assert!(!is_seen(|listener| {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
            epoll::add(&epoll, listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN).unwrap();
            // It is in the set, and nobody waits there.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }));
        assert!(!is_seen(|listener| {
            // Not for what comes.
            let mut set = [PollFd::new(listener, PollFlags::empty())];
            rustix::event::poll(
                &mut set,
                rustix::time::Timespec::try_from(std::time::Duration::from_millis(50)).ok().as_ref(),
            )
            .unwrap();
        }));
    }

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let member = Member::parse("tfd:        5 events:       19 data:                5  pos:0 ino:1b2c sdev:8");
        assert_eq!(member, Some(Member { number: 5, events: 0x19, inode: 0x1b2c }));
        let call = Call::parse("232 0x5 0x7ffd10 0x200 0xffffffffffffffff 0x0 0x8 0x7ffd00 0x7f01\n");
        assert_eq!(call, Some(Call { number: 232, arguments: [5, 0x007f_fd10] }));
        for none in ["running\n", "-1 0x7ffd 0x7f\n", "", "1 2 3"] {
            assert_eq!(Call::parse(none), None, "{none}");
        }
        for none in ["", "pos:\t0", "tfd: x events: 1 ino:1", "tfd: 1 event: 1 ino:1", "tfd: 1 events: 1"] {
            assert_eq!(Member::parse(none), None, "{none}");
        }
    }

    #[test]
    fn noise_in_memory_does_no_harm() {
        let me = rustix::process::getpid().as_raw_pid();
        let open = Open::of(me, &[], &HashSet::new()).unwrap();
        assert!(open.polled(8, u64::MAX).is_err() && open.selected(u64::MAX, 8).is_err());
        assert_eq!(open.selected(8, 0).unwrap(), Vec::<u64>::new());
        let standard = std::io::stdin();
        let polled = [PollFd::new(&standard, PollFlags::IN)];
        let at = std::ptr::from_ref(&polled).addr() as u64;
        assert_eq!(open.polled(at, 1).unwrap(), [u64::from(standard.as_raw_fd().unsigned_abs())]);
    }
}
