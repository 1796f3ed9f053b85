//! `sharesock run`, and the commands that talk to it.

use super::redaction::Redaction;
use super::stage::Stage;
use super::transcript::Transcript;

/// Is up when it has made a file, and says good-bye on the stream on which nothing else of its supervisor is printed.
fn worker(stream: u8) -> String {
    let lines = [
        &format!("trap 'echo bye >&{stream}; exit 0' TERM"),
        "echo $$ > pid",
        "> up.$$",
        "while :; do sleep 1000 & wait $!; done",
    ];
    lines.join("\n")
}

/// Until so many workers have been up, one after the other.
fn workers_are_up(stage: &Stage, count: usize) {
    stage.until(&format!("[ $(ls | grep -c ^up) = {count} ]"));
}

fn redaction(stage: &Stage) -> Redaction {
    Redaction::of(stage.folder())
        .and(r"\bup +\d+s\b", "up [TIME]")
        .and(r"failure \d+s ago", "failure [TIME] ago")
        .and(r"^(1\| +\d+ +\d+ .*?) +\d+s +(\d+) +[\d.]+ .iB +[\d.]+s$", "$1  [TIME]  $2  [MEMORY]  [TIME]")
        .and(r#""(uptime_s|cpu_s|memory_bytes)": [\d.e-]+"#, r#""$1": [NUMBER]"#)
        // A program that ends before it is looked at is told in other words.
        .and(r"there is no process \d+: .*restarted", "/bin/false cannot take over: it exited with code 1")
        // The width of columns is that of what stands in them.
        .and(r"([^| ]) {2,}", "$1  ")
        .and(r"^1\| +0  ", "1|     0  ")
        .and(r"nowhere/\.tmp[0-9A-Za-z]+", "nowhere/[TEMPORARY]")
}

#[test]
fn a_supervisor_is_talked_to() {
    let stage = Stage::new();
    stage.write("worker.sh", &worker(1));
    let mut transcript = Transcript::default();
    let options = "run --name app --listen web=127.0.0.1:0,backlog=64 --listen admin=unix:admin.sock,mode=600,backlog=64 --metrics 127.0.0.1:0";
    let app = stage.start(&format!("{options} --ready time=0.01 --ready-file ready.json -- sh worker.sh"));
    app.announce(&mut transcript);
    app.says("app is ready", 1);
    workers_are_up(&stage, 1);
    stage.play(&mut transcript, "cat ready.json");
    stage.play(&mut transcript, "sharesock status");
    stage.play(&mut transcript, "sharesock run --name app -- true");
    stage.play(&mut transcript, "sharesock stop other");
    stage.play(&mut transcript, "sharesock reload app");
    app.says("exited with code 0", 1);
    workers_are_up(&stage, 2);
    stage.play(&mut transcript, "sharesock upgrade");
    stage.play(&mut transcript, "sharesock upgrade app --to /bin/false");
    stage.play(&mut transcript, "sharesock upgrade app --to nowhere");
    stage.play(&mut transcript, "kill -KILL $(cat pid)");
    workers_are_up(&stage, 3);
    stage.until("sharesock status app | grep ' ready '");
    stage.play(&mut transcript, "sharesock status app --lines 5");
    stage.play(&mut transcript, "sharesock stop app");
    app.end(&mut transcript);
    stage.play(&mut transcript, "ls -A domain");
    transcript.compare("sessions/run", &redaction(&stage));
}

#[test]
fn events_are_told_as_json() {
    let stage = Stage::new();
    stage.write("worker.sh", &worker(2));
    let mut transcript = Transcript::default();
    let write = |transcript: &mut Transcript, text| {
        stage.write("app.toml", text);
        stage.play(transcript, "cat app.toml");
    };
    let good = "listen = \"web=127.0.0.1:0,backlog=64\"\nready = \"time=0.01\"\ncommand = [\"sh\", \"worker.sh\"]\n";
    write(&mut transcript, good);
    let app = stage.start("run --name app --config app.toml --json");
    app.announce(&mut transcript);
    app.says("\"ready\"", 1);
    workers_are_up(&stage, 1);
    stage.play(&mut transcript, "sharesock status app --json");
    stage.play(&mut transcript, "sharesock reload app");
    app.says("\"worker_ended\"", 1);
    workers_are_up(&stage, 2);
    write(&mut transcript, "workers = 0\n");
    stage.play(&mut transcript, "sharesock reload app");
    write(
        &mut transcript,
        "listen = \"web=127.0.0.1:0\"\nready = \"notify\"\ncommand = [\"sh\", \"-c\", \"exit 5\"]\n",
    );
    stage.play(&mut transcript, "sharesock reload app");
    app.says("\"worker_ended\"", 2);
    write(&mut transcript, good);
    stage.play(&mut transcript, "sharesock upgrade app");
    stage.play(&mut transcript, "sharesock upgrade app --to /bin/false");
    stage.play(&mut transcript, "kill -KILL $(cat pid)");
    workers_are_up(&stage, 3);
    app.says("\"worker_ready\"", 3);
    stage.play(&mut transcript, "sharesock stop app");
    app.end(&mut transcript);
    transcript.compare("sessions/run-json", &redaction(&stage));
}

#[test]
fn a_worker_that_does_not_end_is_killed() {
    let stage = Stage::new();
    stage.write("worker.sh", "trap '' TERM\n> up.$$\nwhile :; do sleep 1000; done\n");
    let mut transcript = Transcript::default();
    let options = "run --name app --ready time=0.01 --ready-file nowhere/ready.json --stop-timeout 0.1";
    let app = stage.start(&format!("{options} -- sh worker.sh"));
    app.announce(&mut transcript);
    app.says("app is ready", 1);
    workers_are_up(&stage, 1);
    stage.play(&mut transcript, "sharesock stop app");
    app.end(&mut transcript);
    transcript.compare("sessions/killed", &redaction(&stage));
}

#[test]
fn one_of_several_must_be_named() {
    let stage = Stage::new();
    stage.write("worker.sh", &worker(1));
    let mut transcript = Transcript::default();
    let [one, two] = [("one", 1), ("two", 2)].map(|(name, count)| {
        let running = stage.start(&format!("run --name {name} --ready time=0.01 -- sh worker.sh"));
        running.announce(&mut transcript);
        running.says(&format!("{name} is ready"), 1);
        workers_are_up(&stage, count);
        running
    });
    for command in ["status", "reload", "upgrade", "stop", "top"] {
        stage.play(&mut transcript, &format!("sharesock {command}"));
    }
    for (name, running) in [("one", one), ("two", two)] {
        stage.play(&mut transcript, &format!("sharesock stop {name}"));
        running.end(&mut transcript);
    }
    transcript.compare("sessions/several", &redaction(&stage));
}
