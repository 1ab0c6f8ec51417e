//! What the service says of a hub and its partitions, each question with an end.

use std::time::Duration;

use azure_messaging_eventhubs::ConsumerClient;
use azure_messaging_eventhubs::models::EventHubProperties;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::event_hubs::{Access, Fault, HubDescription, PartitionDescription, run_apart};

/// A client that receives, and what its hub is; its partitions come one by one.
pub(super) async fn open(
    access: &Access,
    group: &str,
    limit: Duration,
) -> Result<(ConsumerClient, EventHubProperties), Fault> {
    let connect = async {
        let client = access.open_consumer(group).await?;
        let hub = client.get_eventhub_properties().await.map_err(|error| Fault::of(&error))?;
        Ok((client, hub))
    };
    timeout(limit, connect).await.unwrap_or_else(|_| Err(Fault::timeout("connecting", limit)))
}

/// What a partition holds.
pub(super) async fn partition(
    client: &ConsumerClient,
    id: &str,
    limit: Duration,
) -> Result<PartitionDescription, Fault> {
    let asked = timeout(limit, client.get_partition_properties(id)).await;
    let asked = asked.map_err(|_| Fault::timeout("an answer of the service", limit))?;
    asked.map(PartitionDescription::from).map_err(|error| Fault::of(&error))
}

/// Connects once and looks, on a thread of its own.
pub(super) async fn look(
    access: Access,
    group: String,
    limit: Duration,
) -> Result<HubDescription, Fault> {
    let (answer, answered) = oneshot::channel();
    let name = access.hub().to_owned();
    let started = run_apart("event-hubs-look", move || async move {
        // Nobody may be waiting for it any more.
        let _ = answer.send(describe(&access, &group, name, limit).await);
    });
    started.map_err(|_| Fault::client_gone())?;
    answered.await.map_err(|_| Fault::client_gone())?
}

async fn describe(
    access: &Access,
    group: &str,
    name: String,
    limit: Duration,
) -> Result<HubDescription, Fault> {
    let (client, hub) = open(access, group, limit).await?;
    let mut partitions = Vec::with_capacity(hub.partition_ids.len());
    for id in &hub.partition_ids {
        partitions.push(partition(&client, id, limit).await?);
    }
    close(client).await;
    Ok(HubDescription { name, created: hub.created_on, partitions })
}

/// Takes leave of the service; where it does not answer, that is as good.
pub(super) async fn close(client: ConsumerClient) {
    const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
    let _ = timeout(CLOSE_TIMEOUT, client.close()).await;
}
