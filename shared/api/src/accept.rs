//! What a client's `Accept` header asks for.

/// How a client wants an object or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Representation {
    Json,
    /// A `Table` of `meta.k8s.io` in this version.
    Table {
        version: &'static str,
    },
    /// `PartialObjectMetadata`, or a list of it, in this version.
    Metadata {
        version: &'static str,
    },
}

/// The first in the header that the server can give; no header takes anything. `None` asks for a
/// reply with code 406.
pub fn representation(accept: Option<&str>) -> Option<Representation> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(Representation::Json);
    };
    accept.split(',').map(MediaType::parse).find_map(|media| {
        if !media.takes_json() {
            return None;
        }
        let Some(kind) = media.parameter("as") else { return Some(Representation::Json) };
        if media.parameter("g") != Some("meta.k8s.io") {
            return None;
        }
        let version = match media.parameter("v") {
            Some("v1") => "v1",
            Some("v1beta1") => "v1beta1",
            _ => return None,
        };
        match kind {
            "Table" => Some(Representation::Table { version }),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                Some(Representation::Metadata { version })
            }
            _ => None,
        }
    })
}

/// One media type of a header, with its parameters.
pub(crate) struct MediaType<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> MediaType<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let parameters = parts
            .filter_map(|part| part.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        Self { name, parameters }
    }

    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    pub(crate) fn takes_json(&self) -> bool {
        let names = ["application/json", "application/*", "*/*"];
        names.iter().any(|name| self.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn parameter(&self, key: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_can_be_given_is_taken() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(representation(Some(table)), Some(Representation::Table { version: "v1" }));
        let protobuf = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(representation(Some(protobuf)), Some(Representation::Json));
        let metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(
            representation(Some(metadata)),
            Some(Representation::Metadata { version: "v1" })
        );
        assert_eq!(representation(None), Some(Representation::Json));
        assert_eq!(representation(Some("*/*")), Some(Representation::Json));
        assert_eq!(representation(Some("application/vnd.kubernetes.protobuf")), None);
    }
}
