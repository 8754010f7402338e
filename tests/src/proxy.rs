//! A proxy before Redis that loses replies: what makes a client send a request again that has been
//! carried out.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::until;

/// A running proxy. Dropping it cuts its connections.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    armed: Option<Armed>,
    /// How many replies have been lost.
    cuts: u32,
    /// Digest and source of every script that a client has loaded, to tell calls of them apart.
    scripts: Vec<(String, Vec<u8>)>,
}

/// What the next reply to be lost answers, and how it is lost.
struct Armed {
    /// The request contains each of these.
    words: Vec<Vec<u8>>,
    loss: Loss,
}

#[derive(Clone, Copy)]
enum Loss {
    /// The connection is cut.
    Cut,
    /// Nothing comes any more.
    Silence,
}

impl Proxy {
    /// Listens on a free port and passes all on to the server at `address`.
    pub async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let (address, state) = (address.to_owned(), shared.clone());
        let acceptor = tokio::spawn(async move {
            // Connections end with the acceptor.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, address.clone(), state.clone()));
            }
        });
        Ok(Self { port, shared, acceptor })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The next call of the script with this source, with arguments that contain each of `words`, is
    /// carried out, but its reply is lost and its connection cut.
    pub fn lose_next_reply(&self, script: &str, words: &[&str]) -> Result<()> {
        self.arm(script, words, Loss::Cut)
    }

    /// The same, but the client waits for the reply and all that it asks for over the same connection.
    pub fn withhold_next_reply(&self, script: &str, words: &[&str]) -> Result<()> {
        self.arm(script, words, Loss::Silence)
    }

    fn arm(&self, script: &str, words: &[&str], loss: Loss) -> Result<()> {
        let mut state = self.shared.state();
        let (digest, _) = state
            .scripts
            .iter()
            .find(|(_, source)| contains(source, script.trim().as_bytes()))
            .context("no client has loaded this script")?;
        let mut wanted = vec![digest.clone().into_bytes()];
        wanted.extend(words.iter().map(|word| word.as_bytes().to_vec()));
        state.armed = Some(Armed { words: wanted, loss });
        Ok(())
    }

    /// Waits until so many replies have been lost in all.
    pub async fn lost(&self, cuts: u32, bound: Duration) -> Result<()> {
        until(&format!("{cuts} replies are lost"), bound, async || {
            let seen = self.shared.state().cuts;
            Ok(if seen == cuts { Ok(()) } else { Err(seen) })
        })
        .await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the reply to this request is to be lost, if it is; notes scripts on the way.
    fn loss(&self, request: &[u8]) -> Option<Loss> {
        let mut state = self.state();
        if let Some(source) = loaded_script(request) {
            let digest = redis::Script::new(&String::from_utf8_lossy(source)).get_hash().to_owned();
            state.scripts.push((digest, source.to_vec()));
        }
        let hit = state.armed.take_if(|armed| armed.words.iter().all(|w| contains(request, w)));
        hit.map(|armed| armed.loss)
    }
}

/// Passes one connection on until either side ends it or a reply is lost.
async fn pass(client: TcpStream, address: String, shared: Arc<Shared>) -> io::Result<()> {
    let server = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let loss = tokio::select! {
        loss = requests(&mut from_client, &mut to_server, &shared) => match loss? {
            Some(loss) => loss,
            None => return Ok(()),
        },
        end = tokio::io::copy(&mut from_server, &mut to_client) => return end.map(drop),
    };
    // The server answers requests of a connection in their order, so the answer to a request of the
    // proxy's own proves that the one before has been carried out.
    const MARK: &[u8] = b"longshore-tests-proxy";
    to_server.write_all(&[&b"*2\r\n$4\r\nECHO\r\n$21\r\n"[..], MARK, b"\r\n"].concat()).await?;
    let mut lost = Vec::new();
    while !contains(&lost, MARK) {
        if from_server.read_buf(&mut lost).await? == 0 {
            return Ok(());
        }
    }
    shared.state().cuts += 1;
    if let Loss::Silence = loss {
        // The client is heard until it gives up.
        tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
    }
    Ok(())
}

/// Passes requests on, each whole, up to and with the first whose reply is to be lost. `None` if the
/// client ended the connection before.
async fn requests(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<Option<Loss>> {
    let mut buffer = Vec::new();
    loop {
        while let Some(length) = request_length(&buffer) {
            let request: Vec<u8> = buffer.drain(..length).collect();
            to.write_all(&request).await?;
            if let Some(loss) = shared.loss(&request) {
                return Ok(Some(loss));
            }
        }
        if from.read_buf(&mut buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The length of the request at the buffer's beginning, if all of it is there. A request is an array
/// of strings: `*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n`.
fn request_length(buffer: &[u8]) -> Option<usize> {
    strings(buffer).map(|(_, length)| length)
}

/// The source, if this is a `SCRIPT LOAD` or an `EVAL`.
fn loaded_script(request: &[u8]) -> Option<&[u8]> {
    let (words, _) = strings(request)?;
    let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase());
    match word(0)?.as_slice() {
        b"SCRIPT" if word(1)?.as_slice() == b"LOAD" => words.get(2).copied(),
        b"EVAL" => words.get(1).copied(),
        _ => None,
    }
}

/// The strings of the request at the buffer's beginning and the request's length.
fn strings(buffer: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let (count, mut at) = number(buffer, 0, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (length, begin) = number(buffer, at, b'$')?;
        words.push(buffer.get(begin..begin + length)?);
        at = begin + length + 2;
    }
    (at <= buffer.len()).then_some((words, at))
}

/// The number in the line at `at`, behind its kind, and where the next line begins.
fn number(buffer: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let line = buffer.get(at..)?.split(|byte| *byte == b'\n').next()?;
    let digits = line.strip_prefix(&[kind])?.strip_suffix(b"\r")?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let next = at + line.len() + 1;
    (next <= buffer.len()).then_some((number, next))
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len().max(1)).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cut_off_at_its_end() {
        let request = b"*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n";
        for length in 0..request.len() {
            assert_eq!(request_length(&request[..length]), None);
        }
        assert_eq!(request_length(request), Some(request.len()));
        assert_eq!(request_length(&[&request[..], b"*1\r\n"].concat()), Some(request.len()));
    }

    #[test]
    fn scripts_are_seen_as_they_are_loaded() {
        let request = b"*3\r\n$6\r\nscript\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n";
        assert_eq!(loaded_script(request), Some(&b"return 1"[..]));
        assert_eq!(loaded_script(b"*1\r\n$4\r\nPING\r\n"), None);
    }

    #[tokio::test]
    async fn a_lost_reply_is_lost_once_and_the_request_carried_out() -> Result<()> {
        let server = crate::RedisServer::start().await?;
        let proxy = Proxy::start(&server.address()).await?;
        let client = redis::Client::open(proxy.url())?;
        let source = "return redis.call('INCR', KEYS[1])";
        let script = redis::Script::new(source);
        let mut connection = client.get_multiplexed_async_connection().await?;
        assert_eq!(script.key("first-key").invoke_async::<i64>(&mut connection).await?, 1);
        proxy.lose_next_reply(source, &["second-key"])?;
        assert_eq!(script.key("first-key").invoke_async::<i64>(&mut connection).await?, 2);
        assert!(script.key("second-key").invoke_async::<i64>(&mut connection).await.is_err());
        proxy.lost(1, Duration::from_secs(5)).await?;
        let mut again = client.get_multiplexed_async_connection().await?;
        assert_eq!(script.key("second-key").invoke_async::<i64>(&mut again).await?, 2);
        Ok(())
    }
}
