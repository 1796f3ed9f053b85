//! What the library tells a program's log, with the feature `tracing`; nothing without it.

/// Tells the log something, at a level of `tracing`.
macro_rules! tell {
    ($level:ident, $($what:tt)+) => {
        #[cfg(feature = "tracing")]
        tracing::$level!(target: "sharesock", $($what)+);
    };
}
pub(crate) use tell;

#[cfg(all(feature = "tracing", target_os = "linux"))]
#[cfg(test)]
mod tests {
    use crate::{Domain, Endpoint, Error};
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Notes the messages of the library.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Visit for Log {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                self.0.lock().unwrap().push(format!("{value:?}"));
            }
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "sharesock"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_becomes_of_sockets_is_told() {
        let folder = std::env::temp_dir().join(format!("sharesock-trace-{}", std::process::id()));
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let endpoint = Endpoint::open(&Domain::at(&folder).unwrap()).unwrap();
            let receiver = endpoint.receiver().unwrap();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
            endpoint.redeem(&info).unwrap();
            assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
            let sender = endpoint.sender(std::process::id()).unwrap();
            sender.hand_off(socket).unwrap();
            receiver.receive().unwrap();
        });
        let told = [
            "endpoint opened",
            "receiver opened",
            "duplicated",
            "redeemed",
            "not redeemed",
            "sender opened",
            "handed off",
            "received",
        ];
        assert_eq!(*log.0.lock().unwrap(), told);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
