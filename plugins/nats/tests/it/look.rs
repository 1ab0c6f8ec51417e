//! A client that looks at what a server has.

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::server::Server;

/// A client that looks at streams.
pub(crate) struct Look {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
}

impl Server {
    /// Another client.
    pub(crate) fn client(&self) -> Look {
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(async_nats::connect(self.url())).unwrap();
        let jetstream = {
            let _inside = runtime.enter();
            jetstream::new(client.clone())
        };
        Look { runtime, client, jetstream }
    }
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) content_type: String,
    pub(crate) event: Value,
}

impl Look {
    /// A stream of these subjects.
    pub(crate) fn make_stream(&self, name: &str, subjects: &[&str]) {
        self.make_stream_with(jetstream::stream::Config {
            name: name.to_owned(),
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            ..Default::default()
        });
    }

    pub(crate) fn make_stream_with(&self, config: jetstream::stream::Config) {
        self.runtime.block_on(self.jetstream.create_stream(config)).unwrap();
    }

    /// The messages of a stream, in order.
    pub(crate) fn stored(&self, stream: &str) -> Vec<Stored> {
        self.runtime.block_on(async {
            let mut stream = self.jetstream.get_stream(stream).await.unwrap();
            let state = stream.info().await.unwrap().state.clone();
            let mut stored = Vec::new();
            if state.messages == 0 {
                return stored;
            }
            for sequence in state.first_sequence..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await.unwrap();
                let header = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
                stored.push(Stored {
                    subject: message.subject.to_string(),
                    id: header("Nats-Msg-Id"),
                    content_type: header("content-type"),
                    event: serde_json::from_slice(&message.payload).unwrap(),
                });
            }
            stored
        })
    }

    /// The ids of a stream, in order.
    pub(crate) fn ids(&self, stream: &str) -> Vec<String> {
        self.stored(stream).into_iter().map(|stored| stored.id).collect()
    }
}
