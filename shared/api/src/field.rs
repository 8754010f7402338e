//! Errors of single fields, worded as Kubernetes words them.

use std::fmt;

use serde_json::Value;

/// What is wrong with a field. Each has Kubernetes' text and its machine-readable reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Duplicate,
    NotFound,
    /// The value has the wrong type.
    TypeInvalid,
    /// The field doesn't exist: Kubernetes' strict decoding.
    Unknown,
    /// The same key twice in one mapping: Kubernetes' strict decoding.
    Repeated,
}

impl FieldErrorKind {
    /// The text that Kubernetes puts in front of the detail.
    pub fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Duplicate => "Duplicate value",
            Self::NotFound => "Not found",
            Self::Unknown => "unknown field",
            Self::Repeated => "duplicate field",
        }
    }

    /// The reason of a cause in a Kubernetes `Status`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid | Self::Unknown => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate | Self::Repeated => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }
}

/// One error of one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The way to the field, such as `spec.template.spec.containers[0].image`.
    pub path: String,
    pub kind: FieldErrorKind,
    /// The offending value, where the text shows it.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Required, None, detail)
    }

    pub fn invalid(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(path, FieldErrorKind::Invalid, Some(value.into()), detail)
    }

    pub fn wrong_type(
        path: impl Into<String>,
        value: impl Into<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(path, FieldErrorKind::TypeInvalid, Some(value.into()), detail)
    }

    pub fn not_supported(
        path: impl Into<String>,
        value: impl Into<Value>,
        supported: &[&str],
    ) -> Self {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new(path, FieldErrorKind::NotSupported, Some(value.into()), detail)
    }

    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Forbidden, None, detail)
    }

    pub fn too_long(path: impl Into<String>, most: usize) -> Self {
        let detail = format!("may not be more than {most} bytes");
        Self::new(path, FieldErrorKind::TooLong, None, detail)
    }

    pub fn too_many(path: impl Into<String>, count: usize, most: usize) -> Self {
        let detail = format!("must have at most {most} items");
        Self::new(path, FieldErrorKind::TooMany, Some(count.into()), detail)
    }

    /// An error of a whole object, which the text doesn't show.
    pub fn invalid_object(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Invalid, None, detail)
    }

    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::Duplicate, Some(value.into()), "")
    }

    pub fn not_found(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(path, FieldErrorKind::NotFound, Some(value.into()), "")
    }

    pub fn unknown(path: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Unknown, None, "")
    }

    pub fn repeated(path: impl Into<String>) -> Self {
        Self::new(path, FieldErrorKind::Repeated, None, "")
    }

    /// The text without the path, as in the causes of a Kubernetes `Status`.
    pub fn body(&self) -> String {
        if self.is_strictness() {
            return format!("{} {:?}", self.kind.text(), self.path);
        }
        let mut body = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            body.push_str(": ");
            body.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }

    /// Whether only strict decoding minds it, so that `fieldValidation=Ignore` lets it pass.
    pub fn is_strictness(&self) -> bool {
        matches!(self.kind, FieldErrorKind::Unknown | FieldErrorKind::Repeated)
    }

    fn new(
        path: impl Into<String>,
        kind: FieldErrorKind,
        value: Option<Value>,
        detail: impl Into<String>,
    ) -> Self {
        Self { path: path.into(), kind, value, detail: detail.into() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_strictness() {
            f.write_str(&self.body())
        } else {
            write!(f, "{}: {}", self.path, self.body())
        }
    }
}

/// Something the client should know though the request is accepted; sent as an HTTP `Warning`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Warning {
    /// The value of the HTTP header: `299 - "text"`, quotes and control characters made harmless.
    pub fn header(&self) -> String {
        let mut text = String::with_capacity(self.0.len() + 8);
        for c in self.0.chars() {
            match c {
                '"' | '\\' => {
                    text.push('\\');
                    text.push(c);
                }
                ' '..='~' => text.push(c),
                _ => text.push('?'),
            }
        }
        format!("299 - \"{text}\"")
    }
}

/// As many errors or warnings as are told at once, as in Kubernetes' strict decoding. A body can hold a
/// million mistakes, and an answer that told them all would be many times as large.
pub const MOST_TOLD: usize = 100;

/// The errors as Kubernetes prints several at once: one as it is, more in brackets, no text twice. Of
/// very many only the first are printed.
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in errors.iter().take(MOST_TOLD) {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    if let Some(more) = errors.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        texts.push(format!("and {more} more"));
    }
    match texts.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_kubernetes() {
        let required = FieldError::required("spec.completions", "when completion mode is Indexed");
        assert_eq!(
            required.to_string(),
            "spec.completions: Required value: when completion mode is Indexed"
        );
        let invalid =
            FieldError::invalid("spec.parallelism", -1, "must be greater than or equal to 0");
        assert_eq!(
            invalid.to_string(),
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"
        );
        let unsupported = FieldError::not_supported("spec.completionMode", "X", &["Indexed", "N"]);
        assert_eq!(
            unsupported.to_string(),
            r#"spec.completionMode: Unsupported value: "X": supported values: "Indexed", "N""#
        );
        let unknown = FieldError::unknown("spec.paralelism");
        assert_eq!(unknown.to_string(), r#"unknown field "spec.paralelism""#);
        assert_eq!(aggregate(&[unknown.clone(), unknown]), r#"unknown field "spec.paralelism""#);
    }

    #[test]
    fn several_errors_stand_in_brackets() {
        let errors = [FieldError::required("a", ""), FieldError::required("b", "")];
        assert_eq!(aggregate(&errors), "[a: Required value, b: Required value]");
        let many = vec![FieldError::required("a", ""); MOST_TOLD + 7];
        assert_eq!(aggregate(&many), "[a: Required value, and 7 more]");
    }

    #[test]
    fn a_warning_header_holds_printable_ascii_only() {
        let warning = Warning("a \"b\"\r\nc é".into());
        assert_eq!(warning.header(), "299 - \"a \\\"b\\\"??c ?\"");
    }
}
