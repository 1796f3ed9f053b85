//! Summary that `sharesock run --check` prints.

use super::options::{Options, Pass, Ready};
use super::settings::Settings;
use super::signals;
use crate::views::units::of;
use clap::ValueEnum;
use std::fmt::Write;
use std::time::Duration;

/// A line for each option that matters, with its value.
pub(super) fn summary(options: &Options) -> String {
    let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
        value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    };
    let (via, policy) = (options.via, options.policy);
    let passed = match options.pass {
        Pass::Listener => "listeners".to_owned(),
        Pass::Connection => {
            format!("connections by {}, {}", name(&|| via.to_possible_value()), name(&|| policy.to_possible_value()))
        }
    };
    let listeners: Vec<_> = options.listen.iter().map(|spec| format!("{}={}", spec.name, spec.place())).collect();
    let listeners = if listeners.is_empty() { "none".to_owned() } else { listeners.join(" ") };
    let seconds = |time: Duration| time.as_secs_f64();
    let Settings { chdir, env, rights } = options.settings.as_ref();
    let live = options.live.as_ref().map(|check| {
        let failures = of(options.live_failures.into(), "failure");
        format!("{}, every {} s, {failures}", sign(check), seconds(options.live_interval))
    });
    let variables: Vec<_> = env.iter().map(|(name, _)| name.as_str()).collect();
    let command: Vec<_> = options.command.iter().map(|word| word.to_string_lossy()).collect();
    let shown = |path: &std::path::PathBuf| path.display().to_string();
    let lines = [
        ("name", Some(options.name())),
        ("domain", options.domain.as_ref().map(shown)),
        ("listeners", Some(listeners)),
        ("passed", Some(passed)),
        ("workers", Some(options.workers.to_string())),
        ("ready", Some(format!("{}, within {} s", sign(&options.ready), seconds(options.ready_timeout)))),
        ("live", live),
        (
            "stop",
            Some(format!("{}, killed after {} s", signals::name(options.stop_signal), seconds(options.stop_timeout))),
        ),
        (
            "drain",
            options.drain_timeout.map(|time| match time {
                Duration::MAX => "until all is finished".to_owned(),
                time => format!("at most {} s after a reload", seconds(time)),
            }),
        ),
        ("restarts", Some(format!("until {} in a row", of(options.restart_limit.into(), "failure")))),
        ("directory", chdir.as_ref().map(shown)),
        ("variables", (!variables.is_empty()).then(|| variables.join(" "))),
        ("rights", rights.summary()),
        ("metrics", options.metrics.clone()),
        ("command", Some(command.join(" "))),
    ];
    lines.into_iter().fold(String::new(), |mut text, (name, value)| {
        let _ = value.map(|value| writeln!(text, "{name:<9} {value}"));
        text
    })
}

/// As `--ready` takes it.
fn sign(ready: &Ready) -> String {
    match ready {
        Ready::Auto => "auto".to_owned(),
        Ready::Notify => "notify".to_owned(),
        Ready::Accept => "connect".to_owned(),
        Ready::Connect(address) => format!("connect={address}"),
        Ready::Http(check) => format!("http ({check})"),
        Ready::Exec(command) => format!("exec={command}"),
        Ready::Time(time) => format!("time={}", time.as_secs_f64()),
    }
}
