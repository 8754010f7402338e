//! Lists of objects: selected, in a stable order, in pages.
//!
//! A list takes the position of the change log first and reads the objects then, so that a watch
//! from the list's resourceVersion misses nothing. Objects are read a page at a time; a list that
//! the client wants whole is sent as it is read, so that its size costs no memory.

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderValue, StatusCode, header};
use longshore_store::ResourceVersion;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::App;
use crate::errors::Failure;
use crate::negotiate::Params;
use crate::respond::{ListMeta, Writer, answer};
use crate::router::Namespace;
use crate::served::{Selection, Served};
use crate::watch;

/// Objects with their places in the list's order, ascending.
pub(crate) type Source<T> = BoxStream<'static, Result<(String, T), Failure>>;

/// A kind of object that can be listed and watched.
pub(crate) trait Listed: Served {
    /// The objects behind the place `after`. `selection` says which are of interest; others may
    /// come too and are sorted out by the reader.
    fn source(app: &App, selection: &Selection, after: Option<String>) -> Source<Self>;
}

/// How many objects are held at once where the client sets no limit.
const PAGE: usize = 500;

/// GET on a collection, of a namespace or of all: a list, or a watch with `watch=true`.
pub(crate) async fn list<T: Listed>(
    State(app): State<App>,
    Namespace(namespace): Namespace,
    request: Request,
) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let app = &app;
    let params = Params::of(&parts.uri)?;
    let selection = Selection::of(T::RESOURCE, namespace, &params)?;
    if params.flag("watch")? {
        return watch::answer::<T>(app, selection, &params, &parts.headers).await;
    }
    let limit = params.number("limit")?.filter(|limit| *limit > 0);
    let tail = app.store.log_tail().await?;
    check_resource_version(&params, tail)?;
    let (position, after) = match params.text("continue") {
        Some(token) => {
            let token = Token::decode(token)?;
            (token.rv, Some(token.after))
        }
        None => (tail, None),
    };
    let writer = Writer::of(&parts.headers, &params, app.store.now().await?)?;
    let most = limit.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(usize::MAX).min(PAGE));
    let mut source = T::source(app, &selection, after);
    let mut page = read_page(&mut source, &selection, most).await?;
    let meta = ListMeta {
        resource_version: position.to_string(),
        continue_token: (limit.is_some() && page.more).then(|| page.token(position)),
    };
    if limit.is_some() || !page.more {
        page.objects.truncate(most);
        return Ok(answer(StatusCode::OK, &writer.list(&page.objects, &meta), &[]));
    }
    Ok(whole(writer, source, selection, page.objects, meta))
}

/// Whether an object comes after the place `after`, which is a `namespace/name`.
pub(crate) fn is_behind(namespace: &str, name: &str, after: &str) -> bool {
    let (after_namespace, after_name) = after.split_once('/').unwrap_or((after, ""));
    (namespace, name) > (after_namespace, after_name)
}

/// All objects that are selected.
pub(crate) async fn all<T: Listed>(app: &App, selection: &Selection) -> Result<Vec<T>, Failure> {
    let mut source = T::source(app, selection, None);
    let mut objects = Vec::new();
    while let Some(next) = source.next().await {
        let (_, object) = next?;
        if selection.matches(&object) {
            objects.push(object);
        }
    }
    Ok(objects)
}

/// Only the newest state is served, so a client can't ask for an older one, nor for one that this
/// change log has not reached.
fn check_resource_version(params: &Params, tail: ResourceVersion) -> Result<(), Failure> {
    let matching = params.text("resourceVersionMatch");
    let Some(text) = params.text("resourceVersion") else {
        return match matching {
            None => Ok(()),
            Some(_) => Err(Failure::bad_request(
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            )),
        };
    };
    let wanted = parse_resource_version(text)?;
    match matching {
        None | Some("NotOlderThan") if wanted > tail => {
            Err(Failure::expired(format!("Too large resource version: {wanted}, current: {tail}")))
        }
        None | Some("NotOlderThan") => Ok(()),
        Some("Exact") if wanted == tail => Ok(()),
        Some("Exact") => Err(Failure::expired(format!(
            "The provided resource version is not available: {wanted}, current: {tail}"
        ))),
        Some(other) => Err(Failure::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \
             \"NotOlderThan\""
        ))),
    }
}

/// # Errors
/// 400 if it is none that this server could have given.
pub(crate) fn parse_resource_version(text: &str) -> Result<ResourceVersion, Failure> {
    text.parse().map_err(|_| {
        Failure::bad_request(format!("Invalid value: {text:?}: is not a resource version"))
    })
}

/// The first objects of the rest of a list.
struct Page<T> {
    objects: Vec<T>,
    /// The place of the last object that belongs to the page.
    last: Option<String>,
    /// Whether there is at least one more; it is the last of `objects`.
    more: bool,
}

impl<T> Page<T> {
    fn token(&self, rv: ResourceVersion) -> String {
        Token { rv, after: self.last.clone().unwrap_or_default() }.encode()
    }
}

async fn read_page<T: Listed>(
    source: &mut Source<T>,
    selection: &Selection,
    most: usize,
) -> Result<Page<T>, Failure> {
    let mut page = Page { objects: Vec::new(), last: None, more: false };
    while let Some(next) = source.next().await {
        let (place, object) = next?;
        if !selection.matches(&object) {
            continue;
        }
        page.objects.push(object);
        if page.objects.len() > most {
            page.more = true;
            break;
        }
        page.last = Some(place);
    }
    Ok(page)
}

/// A list of any length: the frame and `first`, then what `source` still has, page by page.
fn whole<T: Listed>(
    writer: Writer,
    mut source: Source<T>,
    selection: Selection,
    first: Vec<T>,
    meta: ListMeta,
) -> Response {
    let body = async_stream::stream! {
        let mut frame = writer.list(&first, &meta);
        let items = take_items(&mut frame, writer.items_field());
        let mut head = frame.to_string();
        // The frame's closing brace comes at the very end, behind the items.
        head.pop();
        let open = if head.len() > 1 { "," } else { "" };
        yield Ok(Bytes::from(format!("{head}{open}\"{}\":[{}", writer.items_field(), joined(&items))));
        loop {
            let page = match read_page(&mut source, &selection, PAGE).await {
                Ok(page) => page,
                Err(failure) => {
                    // The code is sent already: a body that breaks off is all that can tell now.
                    yield Err(std::io::Error::other(failure.0));
                    return;
                }
            };
            if !page.objects.is_empty() {
                let mut frame = writer.list(&page.objects, &meta);
                let items = take_items(&mut frame, writer.items_field());
                yield Ok(Bytes::from(format!(",{}", joined(&items))));
            }
            if !page.more {
                break;
            }
        }
        yield Ok(Bytes::from_static(b"]}"));
    };
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Body::from_stream(body)).into_response()
}

fn take_items(frame: &mut Value, field: &str) -> Vec<Value> {
    match frame.as_object_mut().and_then(|frame| frame.shift_remove(field)) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn joined(items: &[Value]) -> String {
    items.iter().map(Value::to_string).collect::<Vec<_>>().join(",")
}

/// Where a list goes on. Clients hand it back as they got it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Token {
    rv: ResourceVersion,
    after: String,
}

impl Token {
    fn encode(&self) -> String {
        let text = format!("{}/{}", self.rv, self.after);
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn decode(token: &str) -> Result<Self, Failure> {
        let invalid = || Failure::bad_request("continue key is not valid");
        if !token.is_ascii() || !token.len().is_multiple_of(2) {
            return Err(invalid());
        }
        let bytes: Result<Vec<u8>, _> = (0..token.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&token[at..at + 2], 16))
            .collect();
        let text = String::from_utf8(bytes.map_err(|_| invalid())?).map_err(|_| invalid())?;
        let (rv, after) = text.split_once('/').ok_or_else(invalid)?;
        Ok(Self { rv: rv.parse().map_err(|_| invalid())?, after: after.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_comes_back_as_it_went() {
        let rv = "1048577".parse().expect("a resource version");
        let token = Token { rv, after: "default/a/3.1".to_owned() };
        assert_eq!(Token::decode(&token.encode()).expect("its own token"), token);
    }

    #[test]
    fn a_token_of_somebody_else_is_refused() {
        for token in ["", "x", "zz", "00", "ff", "é", "+1"] {
            let failure = Token::decode(token).expect_err(token);
            assert_eq!(failure.0.code, 400);
        }
    }
}
