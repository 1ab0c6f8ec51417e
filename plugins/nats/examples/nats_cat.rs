//! Prints the messages of a stream, each on a line with its subject, its id and its body:
//! `cargo run --example nats_cat SERVER STREAM`

use std::io::{Write, stdout};

use async_nats::jetstream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), async_nats::Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(stream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: nats_cat SERVER STREAM".into());
    };
    let jetstream = jetstream::new(async_nats::connect(server).await?);
    let mut stream = jetstream.get_stream(stream).await?;
    let state = stream.info().await?.state.clone();
    let mut out = stdout().lock();
    // Sequences begin at 1; an empty stream ends before it begins.
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await?;
        let id = message.headers.get("Nats-Msg-Id").map_or("-", |id| id.as_str());
        let body = String::from_utf8_lossy(&message.payload);
        writeln!(out, "{} {id} {body}", message.subject)?;
    }
    Ok(())
}
