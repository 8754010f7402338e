//! Kubernetes' syntax of names, labels, annotations and environment variables.
//!
//! Each function returns what is wrong in Kubernetes' words, or `None`.

const DNS1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
    '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

const DNS1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
    alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
    (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const QUALIFIED_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
    '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const CONFIG_MAP_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or \
    '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
    '[-._a-zA-Z0-9]+')";

/// A DNS label: container names, hostnames, namespaces.
pub fn dns1123_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!is_label(text)).then(|| DNS1123_LABEL.to_owned())
}

/// A DNS name: the names of objects.
pub fn dns1123_subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    (!text.split('.').all(is_label)).then(|| DNS1123_SUBDOMAIN.to_owned())
}

/// The key of a label or an annotation: an optional DNS name and a slash, then a name.
pub fn qualified_name(text: &str) -> Option<String> {
    let name = match text.split_once('/') {
        None => text,
        Some((prefix, name)) if !name.contains('/') => {
            if prefix.is_empty() {
                return Some("prefix part must be non-empty".into());
            }
            if let Some(problem) = dns1123_subdomain(prefix) {
                return Some(format!("prefix part {problem}"));
            }
            name
        }
        Some(_) => {
            return Some(
                "a qualified name must consist of a DNS subdomain prefix and a name, with one '/' \
                 between them (e.g. 'example.com/MyName')"
                    .into(),
            );
        }
    };
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > 63 {
        return Some(format!("name part {}", too_long(63)));
    }
    (!is_word(name)).then(|| QUALIFIED_NAME.to_owned())
}

/// The value of a label.
pub fn label_value(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some(too_long(63));
    }
    (!text.is_empty() && !is_word(text)).then(|| LABEL_VALUE.to_owned())
}

/// The name of an environment variable: printable ASCII without `=`, as since Kubernetes 1.34.
pub fn env_name(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("environment variable name must be non-empty".into());
    }
    let valid = text.chars().all(|c| (' '..='~').contains(&c) && c != '=');
    (!valid).then(|| {
        "a valid environment variable name must consist only of printable ASCII characters other \
         than '='"
            .into()
    })
}

/// A key of a ConfigMap or a Secret.
pub fn config_map_key(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some(too_long(253));
    }
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || !text.bytes().all(inner) {
        return Some(CONFIG_MAP_KEY.to_owned());
    }
    match text {
        "." => Some("must not be '.'".into()),
        ".." => Some("must not be '..'".into()),
        _ => text.starts_with("..").then(|| "must not start with '..'".into()),
    }
}

fn too_long(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

/// Lower-case letters, digits and `-`, the last not at an end.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    is_framed(text, inner, |b| inner(b) && b != b'-')
}

/// Letters, digits, `-`, `_` and `.`, the last three not at an end.
fn is_word(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    is_framed(text, inner, |b| b.is_ascii_alphanumeric())
}

fn is_framed(text: &str, inner: impl Fn(u8) -> bool, end: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => end(*first) && end(*last) && bytes.iter().all(|b| inner(*b)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_kubernetes_judges_them() {
        assert_eq!(dns1123_label("a-1"), None);
        for wrong in ["", "A", "-a", "a-", "a.b", "a_b", "é"] {
            assert!(dns1123_label(wrong).is_some(), "{wrong}");
        }
        assert!(dns1123_label(&"a".repeat(64)).is_some_and(|p| p.contains("63")));
        assert_eq!(dns1123_subdomain("a.b-c.1"), None);
        assert!(dns1123_subdomain("a..b").is_some());
    }

    #[test]
    fn labels_are_judged_as_kubernetes_judges_them() {
        assert_eq!(qualified_name("batch.kubernetes.io/job-name"), None);
        assert_eq!(qualified_name("A_b.c"), None);
        for wrong in ["", "/a", "a/", "a/b/c", "A/b", "a b", "_a"] {
            assert!(qualified_name(wrong).is_some(), "{wrong}");
        }
        assert_eq!(label_value(""), None);
        assert_eq!(label_value("A_1"), None);
        assert!(label_value("a b").is_some());
        assert_eq!(env_name("A.b-c"), None);
        assert!(env_name("A=B").is_some());
        assert!(env_name("").is_some());
    }

    #[test]
    fn keys_are_judged_as_kubernetes_judges_them() {
        assert_eq!(config_map_key("a.b_C-1"), None);
        assert_eq!(config_map_key(".a"), None);
        for wrong in ["", ".", "..", "..a", "a/b", "a b", "é"] {
            assert!(config_map_key(wrong).is_some(), "{wrong}");
        }
    }
}
