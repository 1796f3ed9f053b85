//! Names and numbers of hosts, services and addresses.

pub(crate) mod hosts;
pub(crate) mod lookup;
pub(crate) mod text;

/// What a code of `getaddrinfo` says.
pub(crate) fn explain(code: i32) -> &'static str {
    match code {
        0 => "no error",
        8 => "not enough memory",
        10022 => "a flag or an argument is not valid",
        10044 => "the socket type is not supported",
        10047 => "the address family is not supported",
        10109 => "the service is not known for this type of socket",
        11001 => "no such host is known",
        11002 => "the name server did not answer; try again",
        11003 => "the name cannot be resolved, and trying again will not help",
        11004 => "the name is valid, and has no address of the wanted kind",
        _ => "the name cannot be resolved",
    }
}
