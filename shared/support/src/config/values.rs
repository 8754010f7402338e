//! Values with a form of their own: URLs that may hold a password, sizes,
//! durations, lists.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A server's URL, or those of a cluster's nodes as [`split_urls`] reads them.
/// Display, Debug and serde show it without its passwords;
/// [`SecretUrl::expose`] is for the client that connects.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL as it was given, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn redacted(&self) -> String {
        split_urls(&self.0).map(redacted).collect::<Vec<_>>().join(",")
    }
}

/// What begins another URL behind a comma.
const NEXT_NODE: [&str; 2] = ["amqp://", "amqps://"];

/// The URLs of a cluster's nodes, separated by commas; a single URL is one of them. A comma counts only
/// before another URL, as a password may hold one.
pub fn split_urls(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let another = |at: &usize| {
            let next = text[at + 1..].trim_start();
            NEXT_NODE.iter().any(|scheme| next.starts_with(scheme))
        };
        let comma = text.match_indices(',').map(|(at, _)| at).find(another);
        rest = comma.map(|at| &text[at + 1..]);
        Some(text[..comma.unwrap_or(text.len())].trim())
    })
}

fn redacted(url: &str) -> String {
    let url = hide_parameters(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return match url.rsplit_once('@') {
            Some((_, host)) => format!("***@{host}"),
            None => url,
        };
    };
    // The last @ ends the credentials even where a password holds a bare
    // slash or @: better to hide too much.
    match rest.rsplit_once('@') {
        None => url,
        Some((credentials, host)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:***@{host}"),
            None => format!("{scheme}://{credentials}@{host}"),
        },
    }
}

/// Hides the values of query parameters that hold a password.
fn hide_parameters(url: &str) -> String {
    let Some((base, query)) = url.split_once('?') else { return url.to_owned() };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("pass") => format!("{key}=***"),
            _ => parameter.to_owned(),
        })
        .collect();
    format!("{base}?{}", parameters.join("&"))
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.redacted())
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A key or password. Display, Debug and serde show only whether there is one; [`Secret::expose`] is for
/// the client that needs it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text as it was given.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "***" })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A number of bytes, written as a number or with `KiB`, `MiB`, `GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl ByteSize {
    pub const fn mebibytes(n: u64) -> Self {
        Self(n << 20)
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        for (unit, factor) in UNITS {
            if let Some(number) = text.strip_suffix(unit) {
                return number.trim().parse::<u64>().ok()?.checked_mul(factor).map(Self);
            }
        }
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("{text:?} isn't a size such as 4MiB")))
    }
}

/// serde for a duration such as `15s`, `500ms`, `7d`.
pub(super) mod duration {
    use super::*;

    pub(in super::super) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*value))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!("{text:?} isn't a duration such as 15s: {error}"))
        })
    }
}

/// serde for a list of folders: an array in a file, comma-separated in the
/// environment. Only lists are ever split, so that a comma or a number in a
/// password stays what it is.
pub(super) mod folders {
    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let absolute = |text: &str| match text.starts_with('/') {
            true => Ok(PathBuf::from(text)),
            false => Err(format!("{text:?} isn't an absolute folder")),
        };
        deserializer
            .deserialize_any(List { expected: "a list of absolute folders", item: absolute })
    }
}

/// serde for a list of words, written as a list of folders is.
pub(super) mod words {
    use super::*;

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        let word = |text: &str| Ok(text.to_owned());
        deserializer.deserialize_any(List { expected: "a list of words", item: word })
    }
}

struct List<F> {
    expected: &'static str,
    /// Reads one item.
    item: F,
}

impl<'de, T, F: Fn(&str) -> Result<T, String>> Visitor<'de> for List<F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let items = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        items.map(|part| (self.item)(part).map_err(E::custom)).collect()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<String>()? {
            items.push((self.item)(&item).map_err(A::Error::custom)?);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("amqp://guest:guest@h:1/%2f", "amqp://guest:***@h:1/%2f"),
            ("redis://:pa/s@s@h", "redis://:***@h"),
            ("redis+unix:///s?db=1&pass=x", "redis+unix:///s?db=1&pass=***"),
            ("user:secret@host", "***@host"),
            ("amqp://a:b,c@h, amqps://d:e@i/v", "amqp://a:***@h,amqps://d:***@i/v"),
        ] {
            let secret = SecretUrl::new(url);
            assert_eq!(secret.to_string(), shown);
            assert_eq!(format!("{secret:?}"), format!("{shown:?}"));
            assert_eq!(secret.expose(), url);
        }
    }

    #[test]
    fn the_password_of_several_servers_is_never_shown() {
        for (url, shown) in [
            ("redis://a:1,b:2/0", "redis://a:1,b:2/0"),
            ("redis://:s,e@c@a:1,b:2", "redis://:***@a:1,b:2"),
            ("rediss://u:secret@a,[::1]:3/0", "rediss://u:***@a,[::1]:3/0"),
            // Not as it is written, but a password all the same.
            ("redis://:secret@a:1,redis://:secret@b:2", "redis://:***@b:2"),
        ] {
            assert_eq!(SecretUrl::new(url).to_string(), shown);
        }
    }

    #[test]
    fn a_comma_separates_urls_and_not_what_is_in_a_password() {
        let split = |text| split_urls(text).collect::<Vec<_>>();
        assert_eq!(split("amqp://h"), ["amqp://h"]);
        assert_eq!(
            split("amqp://u:a,b@h,amqp://i, amqps://j"),
            ["amqp://u:a,b@h", "amqp://i", "amqps://j"]
        );
        assert_eq!(split("amqp://h,,amqp://i,"), ["amqp://h,", "amqp://i,"]);
        assert_eq!(split(""), [""]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(ByteSize::parse("4MiB"), Some(ByteSize::mebibytes(4)));
        assert_eq!(ByteSize::parse("512"), Some(ByteSize(512)));
        assert_eq!(ByteSize::parse("4 parsecs"), None);
        assert_eq!(ByteSize::parse("99999999999999GiB"), None);
        assert_eq!(ByteSize::mebibytes(4).to_string(), "4MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000");
    }
}
