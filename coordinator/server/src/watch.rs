//! Watches: one reader of the change log serves all watchers of the server.

mod hub;
mod resolve;
mod stream;

pub(crate) use hub::Hub;
pub(crate) use resolve::Resolver;
pub(crate) use stream::answer;
