//! `sharesock serve`.

use super::redaction::Redaction;
use super::stage::Stage;
use super::transcript::Transcript;
use rustix::process::Signal;

/// Serves with one worker, which is replaced, and ends; each thing is waited for by what is printed of it.
fn served(options: &str, [ready, reloaded, ended]: [&str; 3], name: &str) {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("www")).unwrap();
    let mut transcript = Transcript::default();
    let server =
        stage.start(&format!("serve --listen 127.0.0.1:0 --listen unix:www.sock --workers 1 --files www{options}"));
    server.announce(&mut transcript);
    server.says(ready, 1);
    transcript.command("kill -HUP $!");
    server.signal(Signal::HUP);
    server.says(reloaded, 1);
    server.says(ended, 1);
    transcript.command("kill -TERM $!");
    server.signal(Signal::TERM);
    server.end(&mut transcript);
    transcript.compare(name, &Redaction::of(stage.folder()));
}

#[test]
fn serving_is_told_as_text() {
    served("", ["is ready", "has taken over", "exited"], "sessions/serve");
}

#[test]
fn serving_is_told_as_json() {
    served(" --json", ["\"ready\"", "\"reloaded\"", "\"worker_ended\""], "sessions/serve-json");
}
