//! How a supervisor begins, and how it replaces itself by another program without losing anything.
//!
//! The new program runs twice. As a *candidate*, a child, it takes the whole estate and says whether it could go on with it;
//! nothing has changed until then, and if it could not, or is no such program at all, the old supervisor goes on. Then the
//! old supervisor becomes the new program in place: its id, its children, its place at the service manager stay. As the
//! *successor* it takes the estate from the candidate, which ends. Should the successor die before, the candidate is a
//! supervisor that has everything, and goes on.

use super::control::{Answer, Client, Request};
use super::ending::Remnant;
use super::estate::{Estate, Label, State, reach};
use super::folder::Folder;
use super::generation::{Generation, Plan};
use super::giver::{Giver, Link};
use super::guard::Guard;
use super::listener::Listener;
use super::options::{Options, Via, command_line};
use super::printer::Printer;
use super::report::{Report, Reporter};
use super::signals::{Ears, Heard};
use super::status::State as Doing;
use super::supervisor::{Counts, Event, LOOK, Supervisor};
use super::worker::{Surroundings, Worker};
use crate::domain::open_domain;
use crate::system::inherited::{Announced, announced, take};
use crate::system::{FORMER_LIMIT_OF_DESCRIPTORS, former_limit_of_descriptors};
use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use sharesock::{Endpoint, Process, Socket};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::unbounded_channel;

/// Says in the environment whose estate is to be taken over, and as what.
pub(crate) const TAKE_OVER: &str = "SHARESOCK_TAKE_OVER";
/// So long a candidate waits for the successor to take everything.
const HANDED_OVER: Duration = Duration::from_secs(30);
/// What was given to workers is given back after so long, if they have not taken it.
const SETTLING: Duration = Duration::from_secs(1);

/// Whose estate this process takes over.
enum Role {
    Candidate(Process),
    Successor(Process),
}

impl Role {
    fn from_env() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(TAKE_OVER) else { return Ok(None) };
        let text = text.into_string().map_err(|_| anyhow!("{TAKE_OVER} is not understood"))?;
        match text.split_once(' ') {
            Some(("candidate", process)) => Ok(Some(Role::Candidate(process.parse()?))),
            Some(("successor", process)) => Ok(Some(Role::Successor(process.parse()?))),
            _ => bail!("{TAKE_OVER} is set by `sharesock upgrade` alone: unset it"),
        }
    }
}

/// Whether this process is tried, and must tell why it fails; it does so on its standard input.
pub(crate) fn tell_if_candidate(why: &anyhow::Error) {
    if matches!(Role::from_env(), Ok(Some(Role::Candidate(_)))) {
        if let Ok(input) = std::io::stdin().as_fd().try_clone_to_owned() {
            let _ = writeln!(UnixStream::from(input), "{}", format!("{why:#}").replace('\n', " "));
        }
    }
}

/// Begins anew, or where another has stopped.
pub(crate) async fn begin(options: Options) -> Result<ExitCode> {
    // Until a signal is watched for, it ends this process.
    let ears = Ears::open()?;
    let (printer, json) = (Printer::start(), options.json);
    let reporter = Reporter { json, printer };
    match Role::from_env()? {
        None => begin_anew(options, reporter)?.go().await,
        Some(Role::Successor(candidate)) => {
            let mut supervisor = succeed(options, reporter, candidate)?;
            supervisor.ears = ears;
            supervisor.go_on("upgraded");
            supervisor.go().await
        }
        Some(Role::Candidate(old)) => match stand_by(options, reporter, old).await? {
            Some(mut supervisor) => {
                supervisor.go_on("this process has taken over");
                supervisor.go().await
            }
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

fn begin_anew(options: Options, reporter: Reporter) -> Result<Supervisor> {
    let name = options.name();
    let domain = open_domain(options.domain.as_ref())?;
    let (folder, control) = Folder::claim(&domain, &name)?;
    let path = folder.path().to_owned();
    let begun = || {
        become_subreaper()?;
        let passed = passed(&options, &reporter)?;
        let plan = Rc::new(Plan::make(options, &passed)?);
        let guard = Guard::start(plan.options.stop_signal, plan.options.stop_timeout, folder.path())?;
        let giver = match plan.options.giving() {
            Some(_) => Some(Giver::new(Endpoint::open(&domain)?, 0)),
            None => None,
        };
        let (events, events_out) = unbounded_channel::<Event>();
        let around = Surroundings { domain, folder, guard, printer: reporter.printer.clone(), events };
        let counts = Counts::new();
        let serving = Generation::new(counts.last_generation, plan);
        let mut supervisor = Supervisor::new(name, (around, events_out), reporter, counts, serving, control)?;
        supervisor.endpoint = giver.as_ref().map(|giver| giver.endpoint.clone());
        supervisor.giver = giver;
        supervisor.serve_metrics()?;
        supervisor.start();
        Ok(supervisor)
    };
    begun().inspect_err(|_| _ = Folder::remove(&path))
}

/// Listeners that whoever started this has passed, under the names that are asked for.
fn passed(options: &Options, reporter: &Reporter) -> Result<Vec<Rc<Listener>>> {
    let mut listeners = Vec::new();
    for Announced { name, number } in announced()? {
        match options.listen.iter().find(|spec| spec.name == name) {
            Some(spec) => listeners.push(Rc::new(Listener::adopt(spec, Socket::try_from(take(number)?)?)?)),
            None => {
                // Neither this process nor a worker may hold it: nobody would accept from it.
                drop(take(number)?);
                let why =
                    format!("a descriptor named {name} was passed, and is not used: give --listen {name}=inherited");
                reporter.say(&Report::Trouble { why: &why });
            }
        }
    }
    Ok(listeners)
}

/// What workers leave when they end becomes this process's child, and is waited for.
fn become_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("adopting what workers leave")
}

/// Takes everything from the candidate, in the place of the old supervisor.
fn succeed(options: Options, reporter: Reporter, candidate: Process) -> Result<Supervisor> {
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = Endpoint::open(&domain)?;
    let receiver = endpoint.receiver()?;
    let (estate, answer) = Estate::receive(&receiver, candidate)?;
    match build(estate, options, reporter, endpoint) {
        Ok(supervisor) => {
            answer.taken()?;
            Ok(supervisor)
        }
        Err(error) => {
            answer.refused(&error);
            Err(error)
        }
    }
}

/// Takes everything, and keeps it until the successor has taken it; goes on as the supervisor if there is none.
async fn stand_by(options: Options, reporter: Reporter, old: Process) -> Result<Option<Supervisor>> {
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = Endpoint::open(&domain)?;
    let receiver = endpoint.receiver()?;
    let (mut estate, answer) = Estate::receive(&receiver, old)?;
    drop(receiver);
    if let Err(error) = fits(&estate, &options, &domain) {
        answer.refused(&error);
        return Err(error);
    }
    // In between nobody else has what the workers print to.
    let folder = Folder::take_over(&domain, &estate.state.name)?;
    let paths = |number| [false, true].map(|error| folder.output(number, error));
    let workers = estate.state.workers.iter().map(|(record, _)| record.number);
    let numbers = workers.chain(estate.state.remnants.iter().map(|left| left.number));
    let _held: Vec<_> = numbers.flat_map(|number| super::output::hold(&paths(number))).collect();
    let mut stream = answer.taken()?;
    // The end of this stream: the old program is no more, in one way or the other.
    let _ = stream.set_read_timeout(None);
    let _ = tokio::task::spawn_blocking(move || stream.read(&mut [0])).await;
    let begun = Instant::now();
    let mut gone = || (Process::from_pid(old.pid()) != Ok(old)).then(|| "it has ended".to_owned());
    let handed_over = async {
        let sender = reach(&endpoint, old, &mut gone).await?;
        estate.give(&sender).await
    };
    if let Ok(Ok(_)) = tokio::time::timeout(HANDED_OVER, handed_over).await {
        return Ok(None);
    }
    // Two may not go on. (As the first process of its namespace it cannot be killed, and takes everything with it.)
    while gone().is_none() && begun.elapsed() < HANDED_OVER {
        if let Some(pid) = i32::try_from(old.pid()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ensure!(gone().is_some(), "the successor neither takes over nor ends");
    estate.state.workers.iter_mut().for_each(|(record, _)| record.adopted = true);
    build(estate, options, reporter, endpoint).map(Some)
}

/// Whether this program could go on with it.
fn fits(estate: &Estate, options: &Options, domain: &sharesock::Domain) -> Result<()> {
    ensure!(estate.state.name == options.name(), "the name has changed: stop the supervisor, and start it again");
    ensure!(
        estate.state.giving == options.giving(),
        "what workers get has changed: stop the supervisor, and start it again"
    );
    // What there is, is taken over as it is; workers that are started again must fit to it.
    ensure!(
        estate.state.listen == options.listen,
        "other listeners are asked for than there are: reload first, or take the change back"
    );
    Folder::take_over(domain, &estate.state.name)?;
    let count = |label: fn(&Label) -> bool| estate.sockets.iter().filter(|(there, _)| label(there)).count();
    ensure!(count(|label| *label == Label::Control) == 1, "the control socket is missing");
    ensure!(count(|label| *label == Label::Guard) == 1, "the line to the guard is missing");
    let notify = count(|label| matches!(label, Label::Notify(_)));
    ensure!(notify == estate.state.workers.len(), "sockets of workers are missing");
    Ok(())
}

/// A supervisor from what another has left.
fn build(mut estate: Estate, options: Options, reporter: Reporter, endpoint: Endpoint) -> Result<Supervisor> {
    become_subreaper()?;
    let domain = open_domain(options.domain.as_ref())?;
    fits(&estate, &options, &domain)?;
    let folder = Folder::take_over(&domain, &estate.state.name)?;
    let missing = |what: &'static str| anyhow!("{what} is missing");
    let control =
        UnixListener::from(OwnedFd::from(estate.take(&Label::Control).ok_or_else(|| missing("the control socket"))?));
    let line = estate.take(&Label::Guard).ok_or_else(|| missing("the line to the guard"))?;
    let guard_pid = Pid::from_raw(estate.state.guard).ok_or_else(|| missing("the guard"))?;
    let guard = Guard::take_over(guard_pid, UnixStream::from(line));
    let mut listeners = Vec::new();
    for spec in &estate.state.listen.clone() {
        if let Some(socket) = estate.take(&Label::Listener(spec.name.clone())) {
            listeners.push(Rc::new(Listener::inherit(spec, socket)?));
        }
    }
    let plan = Rc::new(Plan { options, listeners });
    let (events, events_out) = unbounded_channel::<Event>();
    let around = Surroundings { domain, folder, guard, printer: reporter.printer.clone(), events };
    let mut state = estate.state.clone();
    let serving =
        Generation { number: state.generation, plan: Rc::clone(&plan), places: std::mem::take(&mut state.places) };
    state.counts.upgrades += 1;
    let mut supervisor = Supervisor::new(state.name, (around, events_out), reporter, state.counts, serving, control)?;
    supervisor.state = Doing::Running;
    if plan.options.giving().is_some() {
        supervisor.giver = Some(Giver::new(endpoint.clone(), state.given));
    }
    supervisor.endpoint = Some(endpoint);
    for (record, kept) in state.workers {
        let notify = estate.take(&Label::Notify(record.number)).ok_or_else(|| missing("a worker's socket"))?;
        let link = match estate.take(&Label::Input(record.number)) {
            Some(input) => Link::info(UnixStream::from(input))?,
            // Only this kind is ever found; to look for another would never end.
            None if plan.options.giving() == Some(Via::HandOff) => Link::Awaited,
            None => Link::None,
        };
        let worker = Worker::take_over(
            &supervisor.around,
            &plan,
            (record, kept),
            link,
            UnixDatagram::from(OwnedFd::from(notify)),
        )?;
        supervisor.workers.push(worker);
    }
    for left in state.remnants {
        supervisor.remnants.push(Remnant::take_over(&supervisor.around, left)?);
    }
    while let Some(connection) = estate.take(&Label::Connection) {
        if let Some(giver) = &mut supervisor.giver {
            giver.put_back(connection.into());
        }
    }
    if let Some(client) = estate.take(&Label::Client) {
        let stream = UnixStream::from(client);
        stream.set_nonblocking(true)?;
        supervisor.upgrading = Some(Client(tokio::net::UnixStream::from_std(stream)?));
    }
    Ok(supervisor)
}

impl Supervisor {
    /// Says that it has taken over, and lets everything go on.
    fn go_on(&mut self, how: &str) {
        let version = env!("CARGO_PKG_VERSION");
        self.reporter.say(&Report::Upgraded { version });
        self.accept();
        if let Err(error) = self.serve_metrics() {
            let why = format!("{error:#}");
            self.reporter.say(&Report::Trouble { why: &why });
        }
        self.tell_manager(|manager| manager.main_pid(std::process::id()));
        if let Some(client) = self.upgrading.take() {
            client.end(Answer::Done(format!("{how}: version {version}, process {}", std::process::id())));
        }
        self.say_ready();
    }

    /// Becomes another program; returns only if that failed.
    pub(crate) async fn upgrade(&mut self, to: Option<PathBuf>, client: Client) {
        if self.state != Doing::Running {
            let why = "a reload is under way, or the supervisor is not running: ask again when that is over";
            return client.end(Answer::Failed(why.to_owned()));
        }
        self.state = Doing::Upgrading;
        self.reporter.say(&Report::Upgrading);
        self.upgrading = Some(client);
        let Err(error) = self.try_upgrade(to).await;
        if self.state == Doing::Upgrading {
            self.state = Doing::Running;
        }
        let why = format!("{error:#}");
        self.counts.last_failure = Some(format!("upgrade: {why}"));
        self.reporter.say(&Report::UpgradeFailed { why: &why });
        self.tell_manager(|manager| manager.status(&format!("the last upgrade failed: {why}")));
        if let Some(client) = self.upgrading.take() {
            client.end(Answer::Failed(why));
        }
        self.reap().await;
        for heard in std::mem::take(&mut self.heard_late) {
            self.hear(heard).await;
        }
    }

    /// Goes on with what cannot wait, until the new program receives, or has failed.
    async fn await_candidate(&mut self, endpoint: &Endpoint, candidate: &mut Candidate) -> Result<sharesock::Sender> {
        let process = candidate.process;
        let mut gone = || candidate.ended();
        let mut reached = std::pin::pin!(reach(endpoint, process, &mut gone));
        loop {
            tokio::select! {
                sender = &mut reached => return sender,
                Some(event) = self.events.recv() => {
                    self.note(event);
                    self.note_all();
                }
                Some((request, client)) = self.heard.recv() => self.answer_meanwhile(request, client),
                () = tokio::time::sleep(LOOK) => {}
            }
            self.look().await;
            self.hear_no_end().await?;
        }
    }

    fn answer_meanwhile(&mut self, request: Request, client: Client) {
        match request {
            Request::Status { lines } => self.tell_status(lines, client),
            Request::Stop {} => {
                self.waiting.push(client);
                self.stop();
            }
            Request::Reload {} | Request::Upgrade { .. } => {
                client.end(Answer::Failed("an upgrade is under way: ask again when that is over".to_owned()));
            }
        }
    }

    /// Signals would be lost with this program: those to end and to reload are answered by it, instead of the upgrade.
    async fn hear_no_end(&mut self) -> Result<()> {
        while let Some(heard) = self.ears.now().await {
            match heard {
                // Children are waited for afterwards; the candidate is one, too.
                Heard::Child => {}
                Heard::Forward(_) => self.hear(heard).await,
                Heard::End | Heard::Reload => self.heard_late.push(heard),
            }
        }
        let goes_on = self.heard_late.is_empty() && self.state == Doing::Upgrading;
        ensure!(goes_on, "the supervisor was asked to end, or to reload, meanwhile");
        Ok(())
    }

    async fn try_upgrade(&mut self, to: Option<PathBuf>) -> Result<std::convert::Infallible> {
        let program = to.map_or_else(own_path, Ok)?;
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => Endpoint::open(&self.around.domain)?,
        };
        self.endpoint = Some(endpoint.clone());
        let mut candidate = Candidate::start(&program, &self.around.domain)?;
        let sender = self.await_candidate(&endpoint, &mut candidate).await;
        let sender = sender.with_context(|| format!("{} cannot take over", program.display()))?;
        let done = match self.freeze().await {
            Ok(()) => self.become_it(&program, &sender, &mut candidate).await,
            Err(error) => Err(error),
        };
        self.thaw();
        done
    }

    async fn become_it(
        &mut self,
        program: &Path,
        sender: &sharesock::Sender,
        candidate: &mut Candidate,
    ) -> Result<std::convert::Infallible> {
        let estate = self.estate()?;
        let given = tokio::time::timeout(super::estate::PATIENCE, estate.give(sender)).await;
        let given = given
            .unwrap_or_else(|_| bail!("it did not take everything within {} s", super::estate::PATIENCE.as_secs()));
        let _stream = given.map_err(|error| candidate.ended().map_or(error, |why| anyhow!(why)))?;
        self.reporter.printer.flush();
        self.hear_no_end().await?;
        let mut successor = command(program, &format!("successor {}", candidate.process));
        let error = successor.exec();
        Err(error).with_context(|| format!("becoming {}", program.display()))
    }

    /// From here on nothing changes that the estate tells of.
    async fn freeze(&mut self) -> Result<()> {
        self.hearing.abort();
        for worker in &mut self.workers {
            worker.ignore();
            worker.pause_output();
        }
        self.remnants.iter_mut().for_each(|remnant| remnant.output.pause());
        if let Some(giver) = &mut self.giver {
            giver.pause();
        }
        self.note_all();
        let Some(giver) = &mut self.giver else { return Ok(()) };
        let deadline = Instant::now() + SETTLING;
        giver.give(&mut self.workers, self.serving.number);
        // What a worker has not redeemed may be held here, and would end with this program.
        let held = |giver: &Giver| giver.endpoint.flush(Duration::ZERO).is_err();
        while (giver.settle(&mut self.workers) || held(giver)) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for worker in self.workers.iter_mut().filter(|worker| worker.link.outstanding() > 0) {
            worker.link.reclaim().into_iter().for_each(|parcel| giver.put_back(parcel));
        }
        let unread =
            self.workers.iter().any(|worker| matches!(worker.link, Link::Info { .. } if worker.link.outstanding() > 0));
        ensure!(
            !unread && !held(giver),
            "workers have not read what they were given, and it would be lost: ask again when they have"
        );
        Ok(())
    }

    /// Goes on after a failure.
    fn thaw(&mut self) {
        for worker in &mut self.workers {
            worker.attend(&self.around);
            if let Err(error) = worker.resume_output(&self.around) {
                let why = format!("what worker {} prints is lost: {error:#}", worker.record.pid);
                self.reporter.say(&Report::Trouble { why: &why });
            }
        }
        for remnant in &mut self.remnants {
            let prefix = remnant.prefix.clone();
            if let Err(error) = remnant.output.resume(&prefix) {
                let why = format!("what a worker left prints is lost: {error:#}");
                self.reporter.say(&Report::Trouble { why: &why });
            }
        }
        self.hear_requests();
        self.accept();
    }

    fn estate(&self) -> Result<Estate> {
        let mut state = State::new(&self.name, &self.counts, self.serving.number, self.around.guard.pid.as_raw_pid());
        state.places.clone_from(&self.serving.places);
        state.giving = self.options().giving();
        state.listen = self.plan().listeners.iter().map(|listener| listener.spec.clone()).collect();
        let same = |fd: std::os::fd::BorrowedFd<'_>| -> Result<Socket> {
            Ok(Socket::try_from(fd.try_clone_to_owned().context("duplicating a descriptor")?)?)
        };
        let mut sockets = vec![
            (Label::Control, same(self.control.as_fd())?),
            (Label::Guard, same(self.around.guard.line().as_fd())?),
        ];
        for listener in &self.plan().listeners {
            sockets.push((Label::Listener(listener.spec.name.clone()), listener.socket.try_clone()?));
        }
        for worker in &self.workers {
            sockets.push((Label::Notify(worker.record.number), same(worker.notify.as_fd())?));
            if let Link::Info { stream: Some(stream), .. } = &worker.link {
                sockets.push((Label::Input(worker.record.number), same(stream.as_fd())?));
            }
            state.workers.push((worker.record.clone(), worker.output.kept.borrow().clone()));
        }
        state.remnants = self.remnants.iter().map(Remnant::left).collect();
        if let Some(giver) = &self.giver {
            state.given = giver.total;
            for waiting in &giver.waiting {
                sockets.push((Label::Connection, waiting.parcel.socket().try_clone()?));
            }
        }
        if let Some(client) = &self.upgrading {
            sockets.push((Label::Client, same(client.0.as_fd())?));
        }
        Estate::new(state, sockets)
    }
}

/// The new program, being tried.
struct Candidate {
    pid: Pid,
    process: Process,
    /// On which it says why it fails.
    words: UnixStream,
    over: Option<String>,
}

impl Candidate {
    fn start(program: &Path, domain: &sharesock::Domain) -> Result<Self> {
        let (words, theirs) = UnixStream::pair().context("a stream to the new program")?;
        words.set_nonblocking(true)?;
        let mut command = command(program, &format!("candidate {}", Process::current()?));
        command.env("SHARESOCK_DOMAIN", domain.path()).stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        Ok(Candidate { pid, process: Process::from_pid(child.id())?, words, over: None })
    }

    /// Why it has ended, if it has.
    fn ended(&mut self) -> Option<String> {
        if self.over.is_none() {
            if let Ok(Some((_, status))) = waitpid(Some(self.pid), WaitOptions::NOHANG) {
                let mut said = String::new();
                // Its end of the stream is closed.
                let _ = (&self.words).take(4096).read_to_string(&mut said);
                let how = super::ending::describe(status);
                self.over = Some(if said.trim().is_empty() { format!("it {how}") } else { said.trim().to_owned() });
            }
        }
        self.over.clone()
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if self.over.is_none() {
            // With what it may have started: it has a group of its own.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// The program, started like this one was.
fn command(program: &Path, role: &str) -> Command {
    let mut command = Command::new(program);
    command.args(command_line()).env(TAKE_OVER, role);
    if let Some(limit) = former_limit_of_descriptors() {
        command.env(FORMER_LIMIT_OF_DESCRIPTORS, limit.to_string());
    }
    command
}

/// Where this program was started from, though the file may be another by now.
fn own_path() -> Result<PathBuf> {
    let path = std::env::current_exe().context("finding this program")?;
    let path = path.to_str().context("this program's path is not text: give --to")?;
    Ok(path.strip_suffix(" (deleted)").unwrap_or(path).into())
}
