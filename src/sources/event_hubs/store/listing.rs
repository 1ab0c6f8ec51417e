//! The service's list of blobs, and what entries it gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::Entry;
use crate::event::Timestamp;
use crate::sources::event_hubs::place::Position;

/// The names of metadata, as all clients of the service have them.
pub(super) const OWNER: &str = "ownerid";
pub(super) const SEQUENCE: &str = "sequencenumber";
pub(super) const OFFSET: &str = "offset";

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(rename = "Blobs", default)]
    blobs: Blobs,
    #[serde(rename = "NextMarker")]
    next: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Blobs {
    #[serde(rename = "Blob", default)]
    blobs: Vec<Blob>,
}

#[derive(Debug, Deserialize)]
struct Blob {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Properties")]
    properties: Properties,
    #[serde(rename = "Metadata", default)]
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "Last-Modified")]
    modified: String,
    #[serde(rename = "Etag")]
    version: String,
}

impl Page {
    pub(super) fn read(xml: &str) -> Result<Self, String> {
        // A byte order mark stands before it.
        let xml = xml.trim_start_matches('\u{feff}');
        quick_xml::de::from_str(xml).map_err(|error| format!("the list cannot be read: {error}"))
    }

    /// What asks for the next page, if there is one.
    pub(super) fn next(&self) -> Option<&str> {
        self.next.as_deref().filter(|marker| !marker.is_empty())
    }

    /// Enters what the page says of partitions.
    pub(super) fn enter(
        &self,
        prefix: &str,
        entries: &mut BTreeMap<Arc<str>, Entry>,
    ) -> Result<(), String> {
        for blob in &self.blobs.blobs {
            let path = blob.name.strip_prefix(prefix).and_then(|path| path.split_once('/'));
            let Some((kind, id)) = path else { continue };
            let partition: Arc<str> = id.into();
            let entry = || Entry::unknown(partition.clone());
            match kind {
                "ownership" => {
                    let entry = entries.entry(partition.clone()).or_insert_with(entry);
                    entry.owner = blob.text(OWNER).filter(|it| !it.is_empty()).map(Arc::from);
                    entry.modified = instant(&blob.properties.modified)?;
                    entry.version = Some(blob.properties.version.clone());
                }
                "checkpoint" => {
                    let entry = entries.entry(partition.clone()).or_insert_with(entry);
                    entry.checkpoint = blob.checkpoint();
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Blob {
    /// Metadata; the service keeps the case in which it was written.
    fn text(&self, name: &str) -> Option<&str> {
        let mut metadata = self.metadata.iter().flatten();
        metadata.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The position behind the event that is noted.
    fn checkpoint(&self) -> Option<Position> {
        let sequence: i64 = self.text(SEQUENCE)?.parse().ok()?;
        let offset = self.text(OFFSET).filter(|it| !it.is_empty()).map(str::to_owned);
        Some(Position { next: sequence.checked_add(1)?.max(0), offset })
    }
}

/// An instant as HTTP writes it.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let instant = jiff::fmt::rfc2822::parse(text);
    let instant = instant.map_err(|_| format!("`{text}` is no time"))?;
    Ok(Timestamp::from_millis(instant.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults \
        ServiceEndpoint=\"https://a.blob.core.windows.net/\" ContainerName=\"c\"><Prefix>h/e/g/</Prefix>\
        <Blobs><Blob><Name>h/e/g/checkpoint/0</Name><Properties><Creation-Time>Fri, 29 Nov 2024 09:00:00 \
        GMT</Creation-Time><Last-Modified>Fri, 29 Nov 2024 10:00:00 GMT</Last-Modified><Etag>0x8D</Etag>\
        <Content-Length>0</Content-Length></Properties><Metadata><sequencenumber>41</sequencenumber>\
        <offset>4096</offset></Metadata><OrMetadata /></Blob><Blob><Name>h/e/g/ownership/0</Name>\
        <Properties><Last-Modified>Fri, 29 Nov 2024 10:00:01 GMT</Last-Modified><Etag>0x8E</Etag>\
        </Properties><Metadata><OwnerId>a &amp; b</OwnerId></Metadata></Blob><Blob>\
        <Name>h/e/g/ownership/1</Name><Properties><Last-Modified>Fri, 29 Nov 2024 10:00:02 GMT\
        </Last-Modified><Etag>0x8F</Etag></Properties><Metadata /></Blob></Blobs><NextMarker />\
        </EnumerationResults>";

    #[test]
    fn a_list_gives_owners_and_checkpoints() {
        let page = Page::read(LIST).unwrap();
        assert_eq!(page.next(), None);
        let mut entries = BTreeMap::new();
        page.enter("h/e/g/", &mut entries).unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let first = Entry {
            partition: "0".into(),
            owner: Some("a & b".into()),
            modified: time("2024-11-29T10:00:01Z"),
            version: Some("0x8E".to_owned()),
            checkpoint: Some(Position { next: 42, offset: Some("4096".to_owned()) }),
        };
        assert_eq!(entries["0"], first);
        assert_eq!((&entries["1"].owner, &entries["1"].checkpoint), (&None, &None));
    }

    #[test]
    fn an_empty_list_is_one_and_anything_else_is_none() {
        let empty = "<EnumerationResults><Blobs /><NextMarker>m</NextMarker></EnumerationResults>";
        let page = Page::read(empty).unwrap();
        assert_eq!((page.next(), page.blobs.blobs.len()), (Some("m"), 0));
        assert!(Page::read("<html").is_err());
    }
}
