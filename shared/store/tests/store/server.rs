//! The Redis of a test: one server of its own.

use std::net::TcpListener;
use std::process::Child;

use longshore_test_redis::{start_server, url};
use tempfile::TempDir;

/// Ended when dropped.
pub(crate) struct Server {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Ok(child) = start_server(port, dir.path(), &[]) {
                return Self { port, dir, child };
            }
        }
        panic!("no redis-server would start");
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        vec![self.port]
    }

    pub(crate) fn url(&self) -> String {
        url(&self.ports())
    }

    /// For commands that the store doesn't have.
    pub(crate) fn connection(&self) -> Box<dyn redis::ConnectionLike> {
        let client = redis::Client::open(self.url()).unwrap();
        Box::new(client.get_connection().unwrap())
    }

    /// All that it has written to its files.
    pub(crate) fn data(&self) -> Vec<u8> {
        let folder = self.dir.path().join("appendonlydir");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.flat_map(|file| std::fs::read(file).unwrap()).collect()
    }

    /// Ends it without a chance to write anything, and starts it again on its data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// The same with its data gone.
    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        std::fs::remove_dir_all(self.dir.path().join("appendonlydir")).unwrap();
        self.start_again();
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        self.child = start_server(self.port, self.dir.path(), &[]).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
