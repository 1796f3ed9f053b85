//! `sharesock inspect`: explains a protocol info.

use super::{info, say};
use crate::domain::open_domain;
use anyhow::Result;
use serde::Serialize;
use sharesock::{CatalogEntry, Delivery, Domain, Member, Process};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sharesock inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sharesock inspect \"$(cat info)\"\n  \
    sharesock inspect --json < info | jq .duplicate.target\n\n\
    It redeems nothing, and works in any process.\n\
    Exit codes: 0 it is a protocol info, 1 it is none or something failed, 2 the command line is wrong.")]
pub(crate) struct Options {
    /// The protocol info as text, or `-` to read it, as text or raw bytes, from standard input.
    #[arg(default_value = "-")]
    info: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The domain to compare with; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// What an info says, and what can be seen of that from here.
#[derive(Debug, Serialize)]
struct Report {
    form: &'static str,
    protocol: Protocol,
    /// Not there for an info that only describes a protocol.
    duplicate: Option<Duplicate>,
}

#[derive(Debug, Serialize)]
struct Protocol {
    name: &'static str,
    catalog_entry_id: u32,
    address_family: Named,
    socket_type: Named,
    protocol: Named,
    service_flags: Flags,
    provider_flags: Flags,
    provider_id: String,
    address_length: [u32; 2],
    message_size: u32,
}

/// A number, and what it is called.
#[derive(Debug, Serialize)]
struct Named {
    number: u32,
    name: &'static str,
}

/// A set of flags, and what those are called that it has.
#[derive(Debug, Serialize)]
struct Flags {
    number: u32,
    names: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Duplicate {
    token: String,
    /// `delivered`: it lies with the target; `held`: the source holds it until the target claims it; `offered`: it holds it until
    /// somebody does, so that the info is a bearer token.
    way: &'static str,
    /// Not there for an offer.
    target: Option<Party>,
    source: Party,
    domain: String,
    /// The domain that it was compared with.
    domain_here: PathBuf,
    domain_is_here: bool,
}

#[derive(Debug, Serialize)]
struct Party {
    pid: u32,
    tag: String,
    /// `lives`, `ended`, or `another has its id`; one in another PID namespace seems to have ended.
    state: &'static str,
    /// Whether it has an endpoint in the domain; not known where the system does not tell.
    endpoint: Option<bool>,
}

/// Explains.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (info, form) = info::get_with_form(&options.info, std::io::stdin().lock())?;
    let duplicate = match info.delivery() {
        Some(delivery) => Some(Duplicate::of(delivery, &open_domain(options.domain.as_ref())?)),
        None => None,
    };
    let report = Report { form, protocol: Protocol::of(info.catalog_entry()), duplicate };
    match options.json {
        true => say(&serde_json::to_string(&report)?)?,
        false => say(&report.describe())?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Duplicate {
    fn of(delivery: &Delivery, domain: &Domain) -> Self {
        // On Windows nobody tells.
        let members = domain.members().ok();
        let party = |pid, tag| Party::of(pid, tag, members.as_deref());
        Duplicate {
            token: format!("{:032x}", u128::from_be_bytes(delivery.token)),
            way: match (delivery.is_offer(), delivery.held) {
                (true, _) => "offered",
                (false, true) => "held",
                (false, false) => "delivered",
            },
            target: (!delivery.is_offer()).then(|| party(delivery.target_pid, delivery.target_tag)),
            source: party(delivery.source_pid, delivery.source_tag),
            domain: format!("{:08x}", delivery.domain),
            domain_here: domain.path().to_owned(),
            domain_is_here: delivery.domain == domain.digest(),
        }
    }
}

impl Party {
    fn of(pid: u32, tag: u32, members: Option<&[Member]>) -> Self {
        let state = match Process::from_pid(pid) {
            Ok(process) if process.tag() == tag => "lives",
            Ok(_) => "another has its id",
            Err(_) => "ended",
        };
        let is_it = |member: &&Member| (member.pid, member.tag) == (pid, tag) && !member.stale;
        let endpoint = members.map(|members| members.iter().find(is_it).is_some_and(|member| member.endpoint));
        Party { pid, tag: format!("{tag:08x}"), state, endpoint }
    }

    fn describe(&self) -> String {
        let endpoint = match self.endpoint {
            Some(true) => "; it has an endpoint here",
            Some(false) if self.state == "lives" => "; it has no endpoint here",
            _ => "",
        };
        let state = match self.state {
            "lives" => "lives",
            "ended" => "has ended, or is in another PID namespace",
            _ => "has ended: another process has its id now; or it is in another PID namespace",
        };
        format!("process {}, tag {}; it {state}{endpoint}", self.pid, self.tag)
    }
}

impl Report {
    fn describe(&self) -> String {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: &str| lines.push(format!("{name:<20}{value}"));
        let Protocol { name, catalog_entry_id, address_length: [min, max], .. } = &self.protocol;
        line("form", self.form);
        line("protocol", name);
        line("catalog entry", &catalog_entry_id.to_string());
        line("address family", &self.protocol.address_family.describe());
        line("socket type", &self.protocol.socket_type.describe());
        line("protocol number", &self.protocol.protocol.describe());
        line("service flags", &self.protocol.service_flags.describe());
        line("provider flags", &self.protocol.provider_flags.describe());
        line("provider id", &self.protocol.provider_id);
        line("address length", &format!("{min} to {max} bytes"));
        let size = match self.protocol.message_size {
            0 => "none: it is a stream".to_owned(),
            u32::MAX => "no bound".to_owned(),
            size => format!("{size} bytes"),
        };
        line("message size", &size);
        let Some(duplicate) = &self.duplicate else {
            line("duplicate", "none: it only describes a protocol");
            return lines.join("\n");
        };
        line("duplicate", &duplicate.token);
        let way = match duplicate.way {
            "held" => "held: the source had it until the target claims it, so the source must live until then",
            "offered" => {
                "offered: a bearer token; the source has it until somebody redeems it, and must live until then"
            }
            _ => "delivered: it lay with the target at once, whatever becomes of the source",
        };
        line("way", way);
        let target = duplicate.target.as_ref();
        line("target", &target.map_or("whoever has this info first: keep it secret".to_owned(), Party::describe));
        line("source", &duplicate.source.describe());
        let is_here = if duplicate.domain_is_here { "which is" } else { "which is not" };
        line("domain", &format!("{}, {is_here} {}", duplicate.domain, duplicate.domain_here.display()));
        lines.join("\n")
    }
}

impl Protocol {
    fn of(entry: &CatalogEntry) -> Self {
        let [a0, a1, a2, a3, b0, b1, c0, c1, d @ ..] = entry.provider;
        let ([d0, d1, rest @ ..], a) = (d, u32::from_le_bytes([a0, a1, a2, a3]));
        let (b, c) = (u16::from_le_bytes([b0, b1]), u16::from_le_bytes([c0, c1]));
        let rest = rest.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        Protocol {
            name: entry.name,
            catalog_entry_id: entry.id,
            address_family: Named::of(entry.address_family, FAMILIES),
            socket_type: Named::of(entry.socket_type, TYPES),
            protocol: Named::of(entry.protocol, PROTOCOLS),
            service_flags: Flags::of(entry.service_flags, SERVICE_FLAGS),
            provider_flags: Flags::of(entry.provider_flags, PROVIDER_FLAGS),
            provider_id: format!("{{{a:08X}-{b:04X}-{c:04X}-{d0:02X}{d1:02X}-{rest}}}"),
            address_length: [entry.min_address, entry.max_address],
            message_size: entry.message_size,
        }
    }
}

type Names = &'static [(u32, &'static str)];

/// Winsock's numbers and names.
const FAMILIES: Names = &[(1, "AF_UNIX"), (2, "AF_INET"), (23, "AF_INET6")];
const TYPES: Names = &[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (5, "SOCK_SEQPACKET")];
const PROTOCOLS: Names = &[(0, "the default"), (6, "IPPROTO_TCP"), (17, "IPPROTO_UDP")];
const PROVIDER_FLAGS: Names = &[
    (0x1, "MULTIPLE_PROTO_ENTRIES"),
    (0x2, "RECOMMENDED_PROTO_ENTRY"),
    (0x4, "HIDDEN"),
    (0x8, "MATCHES_PROTOCOL_ZERO"),
];
const SERVICE_FLAGS: Names = &[
    (0x1, "CONNECTIONLESS"),
    (0x2, "GUARANTEED_DELIVERY"),
    (0x4, "GUARANTEED_ORDER"),
    (0x8, "MESSAGE_ORIENTED"),
    (0x10, "PSEUDO_STREAM"),
    (0x20, "GRACEFUL_CLOSE"),
    (0x40, "EXPEDITED_DATA"),
    (0x80, "CONNECT_DATA"),
    (0x100, "DISCONNECT_DATA"),
    (0x200, "SUPPORT_BROADCAST"),
    (0x400, "SUPPORT_MULTIPOINT"),
    (0x800, "MULTIPOINT_CONTROL_PLANE"),
    (0x1000, "MULTIPOINT_DATA_PLANE"),
    (0x2000, "QOS_SUPPORTED"),
    (0x4000, "INTERRUPT"),
    (0x8000, "UNI_SEND"),
    (0x1_0000, "UNI_RECV"),
    (0x2_0000, "IFS_HANDLES"),
    (0x4_0000, "PARTIAL_MESSAGE"),
];

impl Named {
    fn of(number: u32, names: Names) -> Self {
        let name = names.iter().find(|(known, _)| *known == number).map_or("another", |(_, name)| name);
        Named { number, name }
    }

    fn describe(&self) -> String {
        format!("{}, {}", self.number, self.name)
    }
}

impl Flags {
    fn of(number: u32, names: Names) -> Self {
        let names = names.iter().filter(|(flag, _)| number & flag != 0).map(|(_, name)| *name).collect();
        Flags { number, names }
    }

    fn describe(&self) -> String {
        format!("{:#x}: {}", self.number, self.names.join(", "))
    }
}
