//! A network in memory, whose links can be cut, held and slowed down.
//!
//! Must not know: what is said over it.

use bindery::sync::follow::Dial;
use bindery::tls::causes;
use bindery::tls::client::{self, bare};
use hyper_util::rt::TokioIo;
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tonic::transport::{Channel, Endpoint};

/// Bytes that lie on one side of a link.
const ROOM: usize = 16 << 10;

/// How a link is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Nothing new gets through.
    pub(crate) is_cut: bool,
    /// What is underway waits.
    pub(crate) is_held: bool,
    /// How long each piece takes.
    pub(crate) delay: Duration,
}

#[derive(Debug, Default)]
struct State {
    hosts: HashMap<String, mpsc::UnboundedSender<io::Result<DuplexStream>>>,
    links: HashMap<(String, String), watch::Sender<Link>>,
    open: Vec<(String, String, AbortHandle)>,
}

/// The network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net(Arc<Mutex<State>>);

impl Net {
    /// Connections that come to this host from now on.
    pub(crate) fn listen(&self, host: &str) -> mpsc::UnboundedReceiver<io::Result<DuplexStream>> {
        let (to, incoming) = mpsc::unbounded_channel();
        self.0.lock().unwrap().hosts.insert(host.into(), to);
        incoming
    }

    /// Changes a link. What is open on one that is cut breaks.
    pub(crate) fn set(&self, from: &str, to: &str, link: Link) {
        let mut state = self.0.lock().unwrap();
        state.link(from, to).send_replace(link);
        if link.is_cut {
            state.end(|a, b| (a, b) == (from, to));
        }
    }

    /// A host is gone: nobody listens there, and whatever it has open breaks.
    pub(crate) fn kill(&self, host: &str) {
        let mut state = self.0.lock().unwrap();
        state.hosts.remove(host);
        state.end(|from, to| from == host || to == host);
    }

    /// All links are as they should be.
    pub(crate) fn heal(&self) {
        let state = self.0.lock().unwrap();
        state.links.values().for_each(|link| {
            link.send_replace(Link::default());
        });
    }

    async fn connect(&self, from: String, to: String) -> io::Result<DuplexStream> {
        let mut link = self.0.lock().unwrap().link(&from, &to).subscribe();
        through(&mut link).await;
        let mut state = self.0.lock().unwrap();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        if link.borrow().is_cut {
            return Err(refused());
        }
        let host = state.hosts.get(&to).ok_or_else(refused)?.clone();
        let ((near, left), (right, far)) = (duplex(ROOM), duplex(ROOM));
        host.send(Ok(far)).map_err(|_| refused())?;
        let ((left_in, left_out), (right_in, right_out)) = (tokio::io::split(left), tokio::io::split(right));
        let (there, back) = (pump(left_in, right_out, link.clone()), pump(right_in, left_out, link));
        let pumps = tokio::spawn(async move {
            tokio::select! { () = there => {}, () = back => {} }
        });
        state.open.retain(|(_, _, pumps)| !pumps.is_finished());
        state.open.push((from, to, pumps.abort_handle()));
        Ok(near)
    }

    /// A connection from one host to another.
    pub(crate) async fn channel(&self, from: &str, to: &str) -> Result<Channel, String> {
        let (net, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        let connector = tower::service_fn(move |_| {
            let (net, from, to) = (net.clone(), from.clone(), to.clone());
            async move { net.connect(from, to).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://memory")
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        let connected =
            tokio::time::timeout(Duration::from_secs(5), endpoint.connect_with_connector(connector));
        connected.await.map_err(|_| "no connection".to_owned())?.map_err(|error| causes(&error))
    }
}

impl State {
    fn link(&mut self, from: &str, to: &str) -> &watch::Sender<Link> {
        self.links.entry((from.into(), to.into())).or_insert_with(|| watch::Sender::new(Link::default()))
    }

    fn end(&mut self, which: impl Fn(&str, &str) -> bool) {
        self.open.retain(|(from, to, pumps)| {
            let ends = which(from, to);
            if ends {
                pumps.abort();
            }
            !ends
        });
    }
}

/// Waits until a link lets something through.
async fn through(link: &mut watch::Receiver<Link>) {
    let delay = link.borrow().delay;
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    // A network that is gone holds nothing.
    let _gone = link.wait_for(|link| !link.is_held).await;
}

async fn pump(
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
    mut link: watch::Receiver<Link>,
) {
    let mut piece = vec![0; ROOM];
    loop {
        let Ok(size @ 1..) = from.read(&mut piece).await else { return };
        through(&mut link).await;
        if to.write_all(&piece[..size]).await.is_err() {
            return;
        }
    }
}

/// Reaches the hosts of a network from one of them.
#[derive(Clone, Debug)]
pub(crate) struct From {
    pub(crate) net: Net,
    pub(crate) host: String,
}

impl Dial for From {
    fn dial<'a>(
        &'a self,
        address: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<client::Link, String>> + Send + 'a>> {
        Box::pin(async move { self.net.channel(&self.host, address).await.map(bare) })
    }
}
