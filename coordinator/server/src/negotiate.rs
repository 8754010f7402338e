//! What a request asks for beside its path: the form of the answer (`Accept`) and the query parameters.

use axum::extract::Query;
use http::{HeaderMap, Uri, header};
use jiff::Timestamp;
use longshore_api::ApiError;
use longshore_api::accept::{self, Representation};
use longshore_api::discovery::Discovery;

use crate::errors::Failure;

/// The form in which the client wants objects.
///
/// # Errors
/// 406 if the server has none of the forms in `Accept`.
pub(crate) fn representation(headers: &HeaderMap) -> Result<Representation, Failure> {
    accept::representation(accept_header(headers))
        .ok_or_else(|| ApiError::not_acceptable(&["application/json"]).into())
}

/// The form in which the client wants the lists of groups and resources.
pub(crate) fn discovery(headers: &HeaderMap) -> Discovery {
    Discovery::from_accept(accept_header(headers))
}

fn accept_header(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

/// The query parameters of a request. A parameter given twice counts as first given.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// # Errors
    /// 400 if the query string can't be decoded.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Failure> {
        match Query::<Vec<(String, String)>>::try_from_uri(uri) {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => {
                Err(Failure::bad_request(format!("the query string can't be read: {error}")))
            }
        }
    }

    /// The parameter's value; an empty one counts as not given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Whether the flag is set: `true`, `1`, or given without a value, as in Kubernetes.
    ///
    /// # Errors
    /// 400 for any other word than true, false, 1 and 0.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()) {
            None | Some("false" | "False" | "0") => Ok(false),
            Some("true" | "True" | "1" | "") => Ok(true),
            Some(other) => {
                Err(Failure::bad_request(format!("{name}: {other:?} is neither true nor false")))
            }
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// 400 if it is something else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Failure::bad_request(format!(
                        "{name}: {text:?} is not a number that is 0 or more"
                    ))
                })
            })
            .transpose()
    }

    /// A point in time, written as RFC 3339.
    ///
    /// # Errors
    /// 400 if it is something else.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        self.text(name)
            .map(|text| {
                text.parse().map_err(|error| {
                    Failure::bad_request(format!("{name}: {text:?} is not a time: {error}"))
                })
            })
            .transpose()
    }

    /// Whether the write is to be tried only: `dryRun=All`.
    ///
    /// # Errors
    /// 400 for another value than `All`.
    pub(crate) fn dry_run(&self) -> Result<bool, Failure> {
        match self.text("dryRun") {
            None => Ok(false),
            Some("All") => Ok(true),
            Some(other) => Err(Failure::bad_request(format!(
                "dryRun: Unsupported value: {other:?}: supported values: \"All\""
            ))),
        }
    }
}
