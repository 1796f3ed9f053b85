//! Senders and receivers end at any moment of handing off: every accepted parcel is taken once or comes back.
//!
//! They are killed by SIGKILL, return from their main function, or exit without dropping anything. `SHARESOCK_SEED`
//! repeats the choices of a run, `SHARESOCK_ENDINGS` sets how many processes end; `proof/kills` runs it for longer.

use crate::ending::{Ending, Process, named, parcel};
use crate::peer::{Place, open_descriptors};
use sharesock::{Endpoint, Receiver, Socket};
use std::collections::{HashSet, VecDeque};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bounds on hangs; nothing waits for them to pass unless something is lost.
const LONG: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_secs(1);
/// The most parcels that a receiver takes at a time.
const BATCH: u64 = 8;

const ENDINGS: [(Ending, &str); 3] =
    [(Ending::Killed, "were killed"), (Ending::Returns, "returned"), (Ending::Exits, "exited")];

/// What became of the parcels of all processes that ended in one way.
#[derive(Debug, Default)]
struct Count {
    ended: u64,
    accepted: u64,
    received: u64,
    /// Given back to a sender that lives, accepted before or not.
    returned: u64,
    /// Taken by a receiver that was killed before it could tell.
    died_with: u64,
    lost: u64,
    doubled: u64,
    /// Descriptors that nobody should have.
    left: u64,
}

impl Count {
    fn is_good(&self) -> bool {
        (self.lost, self.doubled, self.left) == (0, 0, 0)
    }

    fn print(&self, who: &str) {
        let Count { ended, accepted, received, returned, died_with, lost, doubled, left } = self;
        println!(
            "{who}: {ended} ended, {accepted} accepted, {received} received, {returned} returned or refused, \
            {died_with} died with their receiver, {lost} lost, {doubled} doubled, {left} left over"
        );
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn whoever_ends_and_however_each_parcel_is_taken_once_or_comes_back() {
    in_a_process_of_its_own!();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = variable("SHARESOCK_SEED", u64::from(now.subsec_nanos()) | 1);
    println!("SHARESOCK_SEED={seed}");
    let place = Place::new("endings");
    let before = open_descriptors();
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let mut stage = Stage { place: &place, endpoint, receiver, seed, round: 0 };
    let mut counts: [[Count; 3]; 2] = Default::default();
    for number in 0..variable("SHARESOCK_ENDINGS", 300) {
        // Half of those that end are killed.
        let way = [0, 0, 1, 2][usize::try_from(number / 2 % 4).unwrap()];
        match number % 2 {
            0 => stage.sender_ends(ENDINGS[way].0, &mut counts[0][way]),
            _ => stage.receiver_ends(ENDINGS[way].0, &mut counts[1][way]),
        }
    }
    for (who, counts) in ["senders", "receivers"].iter().zip(&counts) {
        ENDINGS.iter().zip(counts).for_each(|((_, how), count)| count.print(&format!("{who} that {how}")));
    }
    drop(stage);
    assert!(counts.iter().flatten().all(Count::is_good), "SHARESOCK_SEED={seed}: see above");
    let started = Instant::now();
    while open_descriptors() != before {
        assert!(started.elapsed() < LONG, "{} descriptors instead of {before}", open_descriptors());
        std::thread::sleep(Duration::from_millis(5));
    }
    // The next endpoint removes the names of those that were killed.
    let endpoint = place.endpoint();
    let names = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| !is_mine(name.to_str().unwrap())).collect();
    assert!(left.is_empty(), "{left:?} are left");
    drop(endpoint);
}

fn is_mine(name: &str) -> bool {
    name.starts_with(&format!("{}-", std::process::id()))
}

struct Stage<'a> {
    place: &'a Place,
    endpoint: Endpoint,
    receiver: Receiver,
    seed: u64,
    round: u64,
}

impl Stage<'_> {
    fn random(&mut self, below: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % below
    }

    /// A process hands off to this one and ends.
    fn sender_ends(&mut self, ending: Ending, count: &mut Count) {
        self.round += 1;
        let (many, length) = (self.random(2), 1 + self.random(200));
        let (slow, pause) = (self.random(2) == 0, self.random(4000));
        // Some of what is handed off is taken meanwhile, or nothing before the end.
        let begin = if self.random(4) == 0 { QUIET } else { Duration::from_micros(self.random(4000)) };
        let length = if ending == Ending::Killed && self.random(2) == 0 { u64::MAX } else { length };
        let role = format!("sender {} {length} {many} {pause} {ending:?}", self.round);
        let mut process = Process::start(self.place, &role);
        let delay = Duration::from_micros(self.random(4000));
        let killer = (ending == Ending::Killed).then(|| process.kill_after(delay));
        let mut taken = HashSet::new();
        let started = Instant::now();
        while !process.has_ended() && started.elapsed() < LONG {
            match started.elapsed() < begin {
                true => std::thread::sleep(Duration::from_micros(200)),
                false => self.take(Duration::from_millis(1), slow, &mut taken, count),
            }
        }
        killer.into_iter().for_each(|killer| killer.join().unwrap());
        let accepted = process.logged();
        let missing = |taken: &HashSet<u64>| (0..accepted).filter(|index| !taken.contains(index)).count() as u64;
        let quiet = Instant::now();
        while missing(&taken) > 0 && quiet.elapsed() < QUIET {
            self.take(Duration::from_millis(5), slow, &mut taken, count);
        }
        // It may have been killed after a parcel was accepted and before it could tell.
        self.take(Duration::ZERO, slow, &mut taken, count);
        count.ended += 1;
        count.accepted += accepted.max(taken.len() as u64);
        count.received += taken.len() as u64;
        count.lost += missing(&taken);
    }

    /// Takes what there is of this round.
    fn take(&self, time: Duration, slow: bool, taken: &mut HashSet<u64>, count: &mut Count) {
        while let Some(parcel) = self.receiver.receive_within(time).unwrap() {
            if slow {
                std::thread::sleep(Duration::from_micros(50));
            }
            let (round, index) = named(parcel.bytes());
            let first = round == self.round && taken.insert(index);
            count.doubled += u64::from(!first);
        }
    }

    /// This process hands off to one that ends.
    fn receiver_ends(&mut self, ending: Ending, count: &mut Count) {
        self.round += 1;
        let (length, batch) = (1 + self.random(400), [1, BATCH][usize::try_from(self.random(2)).unwrap()]);
        let most = if ending == Ending::Killed { u64::MAX } else { self.random(length + 1) };
        let mut process = Process::start(self.place, &format!("receiver {} {most} {batch} 0 {ending:?}", self.round));
        let mut clients = Vec::new();
        let mut parcels = VecDeque::new();
        for index in 0..length {
            let (client, socket) = UnixStream::pair().unwrap();
            clients.push(client);
            parcels.push_back(parcel(Socket::from(socket), self.round, index));
        }
        let mut back = Vec::new();
        let delay = Duration::from_micros(self.random(1500));
        let killer = (ending == Ending::Killed).then(|| process.kill_after(delay));
        // It may have ended already.
        if let Ok(sender) = self.endpoint.sender(process.child.id()) {
            if self.random(2) == 0 {
                let _ = sender.hand_off_many(&mut parcels);
            }
            while let Some(parcel) = parcels.pop_front() {
                if let Err(refused) = sender.hand_off(parcel) {
                    back.push(refused.parcel);
                    break;
                }
            }
            process.wait();
            count.accepted += length - (back.len() + parcels.len()) as u64;
            let _ = sender.flush(LONG);
            back.extend(sender.reclaim());
        }
        killer.into_iter().for_each(|killer| killer.join().unwrap());
        process.wait();
        back.extend(parcels);
        let mut returned = HashSet::new();
        for parcel in &back {
            count.doubled += u64::from(!returned.insert(named(parcel.bytes()).1));
        }
        drop(back);
        let mut died_with = 0;
        for (index, client) in (0..).zip(clients) {
            let marks = marks_until_end(client);
            count.left += u64::from(marks.is_none());
            match (marks.unwrap_or_default(), returned.contains(&index)) {
                (1, false) => count.received += 1,
                (0, true) => count.returned += 1,
                (0, false) => died_with += 1,
                _ => count.doubled += 1,
            }
        }
        // What its program had taken when it was killed went with it.
        let allowed = if ending == Ending::Killed { died_with.min(batch) } else { 0 };
        count.ended += 1;
        count.died_with += allowed;
        count.lost += died_with - allowed;
    }
}

/// How many receivers have marked the socket of which this is the other side, which has no descriptor any more.
fn marks_until_end(mut client: UnixStream) -> Option<usize> {
    client.set_read_timeout(Some(LONG)).unwrap();
    let mut marks = Vec::new();
    client.read_to_end(&mut marks).ok()
}
