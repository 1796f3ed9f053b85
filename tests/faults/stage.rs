//! Two actors and what is known of their sockets.

use super::finding::{Halt, Kind, found};
use super::strace::{Injection, Strace};
use super::{ANSWER, VARIABLE};
use crate::peer::{Place, pair};
use sharesock::{Endpoint, SpawnExt};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Bounds a hang: nothing that an actor is asked takes a tenth of it.
const DEADLINE: Duration = Duration::from_secs(30);
/// A program that waits for something is woken after this, as whoever hands off next would wake it.
const WAKE_AFTER: Duration = Duration::from_millis(700);
/// How often something that failed is done again before it is given up.
const ATTEMPTS: usize = 4;

/// One of the two actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Source,
    Target,
}

/// What an actor answered.
#[derive(Debug)]
pub(crate) enum Answer {
    Ok(String),
    Error(String),
    /// It was killed before it answered.
    Died,
}

pub(crate) struct Actor {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    pub(crate) alive: bool,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Actor {
    fn start(place: &Place, by: Option<&Endpoint>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "actor::actor", "--nocapture", "--test-threads=1"]).env(VARIABLE, place.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = match by {
            Some(endpoint) => command.spawn_with_endpoint(endpoint).unwrap(),
            None => command.spawn().unwrap(),
        };
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if let Some((_, answer)) = line.split_once(ANSWER) {
                    let _ = send.send(answer.to_owned());
                }
            }
        });
        let mut actor = Actor { child, input, output: receive, alive: true, descriptors: 0, threads: 0 };
        assert_eq!(actor.output.recv().unwrap(), "ok");
        (actor.descriptors, actor.threads) = (actor.count("fd"), actor.count("task"));
        actor
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        std::fs::read_dir(format!("/proc/{}/{what}", self.pid())).map_or(0, Iterator::count)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.alive = false;
    }

    /// Whether it was killed when it had answered: by a call that it made later.
    pub(crate) fn was_killed_late(&mut self) -> bool {
        let late = self.alive && self.child.try_wait().unwrap().is_some_and(|status| status.signal() == Some(9));
        self.alive &= !late;
        late
    }

    /// Notes that it has ended; whether by the signal.
    fn has_been_killed(&mut self) -> bool {
        self.alive = false;
        self.child.wait().unwrap().signal() == Some(9)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) source: Actor,
    pub(crate) target: Actor,
    /// Sockets by their identity, with the other side of each connection.
    pub(crate) connections: Vec<(String, TcpStream)>,
    /// What the source said was accepted, and what the target said it received.
    pub(crate) accepted: BTreeSet<String>,
    pub(crate) received: BTreeSet<String>,
    /// What the source was told to duplicate.
    pub(crate) duplicated: BTreeSet<String>,
    /// How many a target that was killed may have been receiving.
    pub(crate) receiving: usize,
    /// The fault is that a thread cannot be started.
    pub(crate) has_no_thread: bool,
    /// Hands sockets off to a target that waits although nothing comes.
    pub(crate) waker: Option<Endpoint>,
    pub(crate) wakers: Vec<TcpStream>,
    watched: Role,
    strace: Option<Strace>,
}

impl Stage {
    /// `born` gives the target its endpoint at its birth.
    pub(crate) fn new(name: &str, sockets: usize, born: bool, watched: Role) -> Self {
        let place = Place::new(name);
        let waker = place.endpoint();
        let source = Actor::start(&place, None);
        let target = Actor::start(&place, born.then_some(&waker));
        let mut stage = Stage {
            place,
            source,
            target,
            connections: Vec::new(),
            accepted: BTreeSet::new(),
            received: BTreeSet::new(),
            duplicated: BTreeSet::new(),
            receiving: 0,
            has_no_thread: false,
            waker: Some(waker),
            wakers: Vec::new(),
            watched,
            strace: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Ok(Answer::Ok(ids)) = stage.ask(Role::Source, &format!("connect {port} {sockets}")) else {
            panic!("the source does not connect")
        };
        stage.connections = ids.split(' ').map(|id| (id.to_owned(), listener.accept().unwrap().0)).collect();
        if born {
            // It takes over what it inherited: the listeners are counted as its own until then.
            stage.target.descriptors -= 2;
        }
        stage
    }

    /// Watches the calls of one actor from now on.
    pub(crate) fn watch(&mut self, injection: Option<&Injection>) -> Result<(), String> {
        let log = self.place.path().with_extension("strace");
        let pid = self.actor(self.watched).pid();
        self.strace = Some(Strace::attach(pid, &log, injection)?);
        // What was under way when it was attached is over after this.
        self.ask(self.watched, "ping").map(drop).map_err(|halt| format!("{halt:?}"))
    }

    pub(crate) fn unwatch(&mut self) -> Vec<String> {
        self.strace.take().map(Strace::finish).unwrap_or_default()
    }

    pub(crate) fn actor(&mut self, role: Role) -> &mut Actor {
        match role {
            Role::Source => &mut self.source,
            Role::Target => &mut self.target,
        }
    }

    pub(crate) fn pid(&self, role: Role) -> u32 {
        match role {
            Role::Source => self.source.pid(),
            Role::Target => self.target.pid(),
        }
    }

    /// Has an actor do something, once.
    pub(crate) fn ask(&mut self, role: Role, command: &str) -> Result<Answer, Halt> {
        self.tell(role, command);
        self.hear(role, command)
    }

    /// Has an actor do something while the other does something, too.
    pub(crate) fn tell(&mut self, role: Role, command: &str) {
        if let (true, Some((id, _))) = (command.starts_with("duplicate"), self.connections.first()) {
            self.duplicated.insert(id.clone());
        }
        // It may have been killed between two commands.
        let _ = writeln!(self.actor(role).input, "{command}");
        if std::env::var_os("SHARESOCK_VERBOSE").is_some() {
            println!("{role:?} < {command}");
        }
    }

    /// What an actor says to what it was told.
    pub(crate) fn hear(&mut self, role: Role, command: &str) -> Result<Answer, Halt> {
        let receives = command.starts_with("receive") || command == "drain";
        if !self.actor(role).alive {
            return Ok(Answer::Died);
        }
        let mut answer = self.actor(role).output.recv_timeout(WAKE_AFTER);
        if answer == Err(RecvTimeoutError::Timeout) {
            if receives {
                self.wake(role);
            }
            answer = self.actor(role).output.recv_timeout(DEADLINE);
        }
        if std::env::var_os("SHARESOCK_VERBOSE").is_some() {
            println!("{role:?} > {answer:?}");
        }
        match answer {
            Ok(text) if text.contains("DAMAGED") => found(Kind::Wrong, text),
            Ok(text) => Ok(match text.split_once(' ') {
                Some(("error", error)) => Answer::Error(error.to_owned()),
                Some((_, words)) => {
                    if receives {
                        self.received.extend(words.split_whitespace().map(str::to_owned));
                    }
                    Answer::Ok(words.to_owned())
                }
                None => Answer::Ok(String::new()),
            }),
            Err(RecvTimeoutError::Timeout) => found(Kind::Hang, format!("{role:?}: {command}")),
            Err(RecvTimeoutError::Disconnected) if self.actor(role).has_been_killed() => {
                if receives {
                    let most = command.split_once(' ').and_then(|(_, most)| most.parse().ok());
                    self.receiving = if command.starts_with("receive-many") { most.unwrap_or(1) } else { 1 };
                    if command == "drain" {
                        self.receiving = usize::MAX;
                    }
                }
                Ok(Answer::Died)
            }
            Err(RecvTimeoutError::Disconnected) => found(Kind::Panic, format!("{role:?}: {command}")),
        }
    }

    /// Has an actor do something until it succeeds: an error that was injected once does not come again.
    pub(crate) fn need(&mut self, role: Role, command: &str) -> Result<String, Halt> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.ask(role, command)? {
                Answer::Ok(words) => return Ok(words),
                Answer::Error(error) => last = error,
                Answer::Died => return Err(Halt::Cut(format!("{role:?} was killed"))),
            }
        }
        Err(Halt::Cut(format!("{role:?}: {command}: {last}")))
    }

    /// Hands one more socket off to whoever waits.
    fn wake(&mut self, role: Role) {
        let pid = self.pid(role);
        if let Some(sender) = self.waker.as_ref().and_then(|waker| waker.sender(pid).ok()) {
            let (client, socket) = pair();
            if sender.try_hand_off(socket).is_ok() {
                self.wakers.push(client);
            }
        }
    }

    /// Tells the target how many its program takes, by a socket that is none of those that count.
    pub(crate) fn whet(&mut self, command: &str) -> Result<(), Halt> {
        self.wake(Role::Target);
        self.need(Role::Target, command).map(drop)
    }
}

/// Whether the other side of a connection sees its end, now or soon.
pub(crate) fn is_closed(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // A reset is an end, too.
    !matches!(client.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}
