//! Any bytes as the messages of a stream, from either side: taken or refused, and what is held sums up to what it says.

#![no_main]

use bindery::model::Version;
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::feed::{Deaf, Feed};
use bindery::sync::ledger::Ledger;
use bindery::sync::partial::PartialFeed;
use bindery::sync::protocol::{digest_of, errors, name_of, node_of};
use bindery::sync::sink::{Nobody, Sink};
use bindery_fuzz::messages::{decoded, delimited};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::Status;

const EVERY: Duration = Duration::from_secs(10);

fuzz_target!(|bytes: &[u8]| {
    let Some((side, bytes)) = bytes.split_first() else { return };
    let history = Version { epoch: 7, revision: 0 };
    let store = if side & 4 == 0 { Store::new(Settings::default()) } else { Store::with_history(Settings::default(), history) };
    let ledger = Arc::new(Ledger::new(Arc::new(store)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        if side & 1 == 0 {
            let messages: Vec<Result<v1::SourceMessage, Status>> = delimited(bytes).map(Ok).collect();
            let hello = decoded::<v1::SourceHello>(bytes);
            let _node = node_of(hello.node.clone());
            let (to, mut out) = mpsc::channel(4);
            let sink = Sink::new(&ledger, &Nobody, to, EVERY);
            let sink = if side & 2 == 0 { sink } else { sink.partial() };
            let heard = async { while out.recv().await.is_some() {} };
            let _ended = tokio::join!(sink.run(&hello, futures_util::stream::iter(messages)), heard);
        } else {
            let resources: Vec<v1::Resource> = delimited(bytes).collect();
            let _wrong = ledger.update(bindery::sync::apply::Update::Replace(resources));
            let messages: Vec<Result<v1::SinkMessage, Status>> = delimited(bytes).map(Ok).collect();
            let hello = decoded::<v1::SinkHello>(bytes);
            if let Some(digest) = &hello.digest {
                let _sums = digest_of(digest);
            }
            let (to, mut out) = mpsc::channel(4);
            let heard = async { while out.recv().await.is_some() {} };
            let messages = futures_util::stream::iter(messages);
            if side & 2 == 0 {
                let _ended = tokio::join!(Feed::new(&ledger, Deaf, &hello, to, EVERY).run(messages), heard);
            } else {
                let _ended = tokio::join!(PartialFeed::new(&ledger, &hello, to, EVERY).run(messages), heard);
            }
        }
    });
    if let Ok(name) = name_of(&decoded(bytes)) {
        assert!(!name.id.is_empty());
    }
    assert!(errors(&[]).is_empty());
    let snapshot = ledger.store().load();
    assert_eq!(*snapshot.digest(), snapshot.recount());
});
