//! A gate before a server: a network between two hosts that can be cut, in one direction or both, and
//! slowed down.

use std::io;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A running gate. Dropping it ends its connections.
pub struct Gate {
    port: u16,
    traffic: watch::Sender<Traffic>,
    acceptor: JoinHandle<()>,
}

/// What gets through. What doesn't waits, as TCP sends again what was lost: it arrives once the gate is
/// open, unless either end has given up by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Open,
    /// Nothing, in both directions.
    Cut,
    /// Nothing from the client to the server.
    CutRequests,
    /// Nothing from the server to the client.
    CutReplies,
    /// Everything, so much later.
    Slow(Duration),
}

#[derive(Clone, Copy)]
enum Way {
    Request,
    Reply,
}

impl Gate {
    /// Listens on a free port and passes all on to the server at `address`.
    pub async fn start(address: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (traffic, seen) = watch::channel(Traffic::Open);
        let address = address.to_owned();
        let acceptor = tokio::spawn(async move {
            // Connections end with the acceptor.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass(client, address.clone(), seen.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { port, traffic, acceptor })
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn pass(
    client: TcpStream,
    address: String,
    seen: watch::Receiver<Traffic>,
) -> io::Result<()> {
    // A client that connects through a cut gate hears nothing.
    through(Way::Request, &mut seen.clone()).await;
    let server = TcpStream::connect(address).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        end = copy(from_client, to_server, Way::Request, seen.clone()) => end,
        end = copy(from_server, to_client, Way::Reply, seen) => end,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut seen: watch::Receiver<Traffic>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // An end is news too: it arrives no earlier than the rest.
        through(way, &mut seen).await;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}

/// Waits until something may pass.
async fn through(way: Way, seen: &mut watch::Receiver<Traffic>) {
    let slow = match *seen.borrow() {
        Traffic::Slow(by) => by,
        _ => Duration::ZERO,
    };
    sleep(slow).await;
    let stays = |traffic: &Traffic| {
        matches!(
            (traffic, way),
            (Traffic::Cut, _)
                | (Traffic::CutRequests, Way::Request)
                | (Traffic::CutReplies, Way::Reply)
        )
    };
    // Its sender lives as long as the connections do.
    let _ = seen.wait_for(|traffic| !stays(traffic)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_is_cut_arrives_when_the_gate_opens() -> Result<()> {
        let echo = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Gate::start(&echo.local_addr()?.to_string()).await?;
        tokio::spawn(async move {
            let (mut stream, _) = echo.accept().await?;
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await
        });
        let mut client = TcpStream::connect(gate.address()).await?;
        let mut word = [0; 2];
        for traffic in [Traffic::Open, Traffic::Cut, Traffic::CutRequests, Traffic::CutReplies] {
            gate.set(traffic);
            client.write_all(b"hi").await?;
            let heard = timeout(Duration::from_millis(200), client.read_exact(&mut word)).await;
            assert_eq!(heard.is_ok(), traffic == Traffic::Open, "{traffic:?}");
            if heard.is_err() {
                gate.set(Traffic::Open);
                client.read_exact(&mut word).await?;
            }
            assert_eq!(&word, b"hi");
        }
        Ok(())
    }
}
