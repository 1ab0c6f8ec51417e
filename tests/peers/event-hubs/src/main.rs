//! A peer for trying pipelines by hand, without Azure.

use std::time::Duration;

use clap::Parser;
use event_hubs_peer::Peer;

/// An Event Hubs on loopback: takes events, and says every few seconds what it holds.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The name of a hub; may be given several times.
    #[arg(long, default_value = "retail-events")]
    hub: Vec<String>,
    /// How many partitions each hub has.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    partitions: u16,
    /// The port; a free one if it is 0. The emulator's is 5672.
    #[arg(long, default_value_t = 5672)]
    port: u16,
    /// Listens with TLS, too, on a free port, and writes the certificate to trust to this file.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<std::path::PathBuf>,
    /// How long it takes until a message is settled, in milliseconds.
    #[arg(long, default_value_t = 0)]
    settle_ms: u64,
    /// How often it says what it holds, in seconds.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut builder = Peer::builder().port(arguments.port);
    for hub in &arguments.hub {
        builder = builder.hub(hub, arguments.partitions.into());
    }
    if arguments.tls_ca.is_some() {
        builder = builder.tls();
    }
    let peer = builder
        .try_start()
        .map_err(|error| format!("cannot listen on port {}: {error}", arguments.port))?;
    peer.settle_after(Duration::from_millis(arguments.settle_ms));
    for hub in peer.hubs() {
        println!("{}", peer.connection_string(&hub));
    }
    if let Some(file) = &arguments.tls_ca {
        std::fs::write(file, peer.ca_pem())?;
        println!("with TLS, and {} to trust:", file.display());
        for hub in peer.hubs() {
            println!("{}", peer.tls_connection_string(&hub));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(report(&peer, Duration::from_secs(arguments.every)))?;
    Ok(())
}

/// Says what the peer holds whenever that has changed, and once more at ^C.
async fn report(peer: &Peer, every: Duration) -> std::io::Result<()> {
    let mut said = String::new();
    loop {
        let interrupted = tokio::select! {
            interrupted = tokio::signal::ctrl_c() => Some(interrupted),
            () = tokio::time::sleep(every) => None,
        };
        let now = holdings(peer);
        if now != said || interrupted.is_some() {
            println!("{now}");
            said = now;
        }
        if let Some(interrupted) = interrupted {
            return interrupted;
        }
    }
}

fn holdings(peer: &Peer) -> String {
    let counts = peer.statistics();
    let mut lines = vec![format!(
        "{} events in {} messages, {} bytes; {} delivered; {} connections are open",
        counts.events, counts.transfers, counts.bytes, counts.delivered, counts.open.connections
    )];
    for hub in peer.hubs() {
        let sizes = peer.partition_sizes(&hub).into_iter().enumerate();
        let sizes: Vec<_> = sizes.map(|(number, size)| format!("{number}: {size}")).collect();
        lines.push(format!("  {hub}: {}", sizes.join(", ")));
    }
    lines.join("\n")
}
