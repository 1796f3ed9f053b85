//! Infos and processes as serde has them: their texts, in every format.

use crate::process::Process;
use crate::protocol_info::ProtocolInfo;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

struct Text<T>(fn(&str) -> Option<T>, &'static str);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

macro_rules! as_text {
    ($type:ty, $what:literal, $parse:expr) => {
        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text($parse, $what))
            }
        }
    };
}

as_text!(ProtocolInfo, "the text of a protocol info", |text| text.parse().ok());
// Not a bare id, which would be looked up: what is read is data.
as_text!(Process, "a process, such as 4711:913374:4026531836", |text| {
    text.contains(':').then(|| text.parse().ok()).flatten()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::CatalogEntry;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
        let deserializer: StrDeserializer<'a, Error> = text.into_deserializer();
        T::deserialize(deserializer)
    }

    #[test]
    fn infos_and_processes_are_texts() {
        let info = ProtocolInfo::from(&CatalogEntry::all()[0]);
        assert_eq!(read(&info.to_string()), Ok(info));
        let me = Process::current().unwrap();
        assert_eq!(read(&me.to_string()), Ok(me));
        assert!(read::<Process>(&me.pid().to_string()).is_err());
        assert!(read::<ProtocolInfo>("noise").unwrap_err().to_string().contains("protocol info"));
    }
}
