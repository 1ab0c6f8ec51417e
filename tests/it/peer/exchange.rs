//! One connection of a peer: HTTP/1.1 by hand, so that it can be cut and held up anywhere.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::fault::Offered;
use super::{Accepted, Fault, Log, Request, Shared};

/// Answers requests until either side has enough.
pub(super) async fn serve(stream: TcpStream, connection: usize, shared: Arc<Shared>) {
    let mut stream = BufStream::new(stream);
    // A connection that ends in the middle of something is what this peer is for.
    while let Ok(Some(head)) = read_head(&mut stream).await {
        if !matches!(exchange(&mut stream, head, connection, &shared).await, Ok(Next::KeepAlive)) {
            return;
        }
    }
}

enum Next {
    KeepAlive,
    Close,
}

struct Head {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
}

/// The next request's head; none where the other side has closed.
async fn read_head(stream: &mut BufStream<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Head { method, target, headers }))
}

async fn exchange(
    stream: &mut BufStream<TcpStream>,
    head: Head,
    connection: usize,
    shared: &Shared,
) -> std::io::Result<Next> {
    let length: usize = match head.headers.get("content-length") {
        Some(length) => length.parse().unwrap(),
        None => panic!("a request without `content-length`: {:?}", head.headers),
    };
    let fault = shared.change(Log::next_fault);
    let read_up_to = match fault {
        Fault::CutInBody(bytes) => bytes.min(length),
        _ => length,
    };
    let mut packed = vec![0; read_up_to];
    stream.read_exact(&mut packed).await?;
    let is_whole = !matches!(fault, Fault::CutInBody(_));
    let body = if is_whole { unpacked(&head, &packed) } else { String::new() };
    let lines = lines_of(&body);
    let place = shared.change(|log| note(log, head, &lines, body, packed.len(), connection));
    act(stream, &fault, &lines, place, packed.len(), shared).await
}

/// Enters a request in the log; its place there.
fn note(
    log: &mut Log,
    head: Head,
    lines: &[Line],
    body: String,
    body_bytes: usize,
    connection: usize,
) -> usize {
    let trace_ids: Vec<_> = lines.iter().map(|line| line.trace_id.clone()).collect();
    for id in &trace_ids {
        *log.attempts.entry(id.clone()).or_default() += 1;
    }
    let Head { method, target, headers } = head;
    let time = Instant::now();
    let status = None;
    log.requests.push(Request {
        method,
        target,
        headers,
        body_bytes,
        body,
        trace_ids,
        status,
        time,
        connection,
    });
    log.requests.len() - 1
}

async fn act(
    stream: &mut BufStream<TcpStream>,
    fault: &Fault,
    lines: &[Line],
    place: usize,
    body_bytes: usize,
    shared: &Shared,
) -> std::io::Result<Next> {
    let mut answer = Answer { status: 200, headers: &[], body: String::new() };
    match fault {
        Fault::Cut | Fault::CutInBody(_) | Fault::Refuse => return Ok(Next::Close),
        Fault::Stall => std::future::pending().await,
        Fault::CutAfterStoring => {
            shared.change(|log| store(log, lines, place, |_| None));
            return Ok(Next::Close);
        }
        Fault::CutInAnswer => {
            shared.change(|log| store(log, lines, place, |_| None));
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"rej").await?;
            stream.flush().await?;
            return Ok(Next::Close);
        }
        Fault::None | Fault::EveryOther(_) => {
            shared.change(|log| store(log, lines, place, |_| None));
        }
        Fault::Slow(wait) => {
            tokio::time::sleep(*wait).await;
            shared.change(|log| store(log, lines, place, |_| None));
        }
        Fault::TooLarge(bytes) if body_bytes > *bytes => answer.status = 413,
        Fault::TooLarge(_) => {
            shared.change(|log| store(log, lines, place, |_| None));
        }
        Fault::Answer { status, headers, body } => {
            answer = Answer { status: *status, headers, body: body.clone() };
        }
        Fault::Reject(judge) => {
            let rejected = shared.change(|log| store(log, lines, place, |offered| judge(offered)));
            if !rejected.is_empty() {
                answer = Answer {
                    status: 207,
                    headers: &[],
                    body: json!({ "rejected": rejected }).to_string(),
                };
            }
        }
    }
    // Whoever sees the answer finds the request in the log with it.
    shared.change(|log| log.requests[place].status = Some(answer.status));
    answer.write(stream).await?;
    Ok(Next::KeepAlive)
}

/// Takes events; what was not taken is returned as the sink wants to be told.
fn store(
    log: &mut Log,
    lines: &[Line],
    request: usize,
    judge: impl Fn(&Offered<'_>) -> Option<u16>,
) -> Vec<Value> {
    let mut rejected = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let attempts = log.attempts[&line.trace_id];
        let offered = Offered { trace_id: &line.trace_id, event: &line.event, attempts, index };
        if let Some(status) = judge(&offered) {
            rejected.push(json!({ "index": index, "status": status, "reason": "as told" }));
            continue;
        }
        log.events.push(Accepted {
            trace_id: line.trace_id.clone(),
            key: line.event["partition_key"].as_str().map(str::to_owned),
            line: line.text.clone(),
            event: line.event.clone(),
            request,
        });
    }
    rejected
}

struct Answer<'a> {
    status: u16,
    headers: &'a [(&'static str, String)],
    body: String,
}

impl Answer<'_> {
    async fn write(&self, stream: &mut BufStream<TcpStream>) -> std::io::Result<()> {
        let mut text = format!("HTTP/1.1 {} As Told\r\n", self.status);
        for (name, value) in self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        let length = self.body.len().to_string();
        text.extend(["content-length: ", &length, "\r\n\r\n", &self.body]);
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await
    }
}

/// An event of a request.
struct Line {
    trace_id: String,
    text: String,
    event: Value,
}

fn unpacked(head: &Head, packed: &[u8]) -> String {
    let mut text = String::new();
    match head.headers.get("content-encoding").map(String::as_str) {
        Some("gzip") => {
            flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        }
        Some(other) => panic!("packed with {other:?}"),
        None => std::str::from_utf8(packed).unwrap().clone_into(&mut text),
    }
    text
}

/// The events of a body: a JSON array, or lines.
fn lines_of(body: &str) -> Vec<Line> {
    let line = |text: String, event: Value| Line {
        trace_id: event["trace_id"].as_str().unwrap_or_default().to_owned(),
        text,
        event,
    };
    if body.starts_with('[') {
        let events: Vec<Value> = serde_json::from_str(body).unwrap();
        return events.into_iter().map(|event| line(event.to_string(), event)).collect();
    }
    body.lines().map(|text| line(text.to_owned(), serde_json::from_str(text).unwrap())).collect()
}
