//! A container of Azure Blob Storage: an empty blob for each owner and each checkpoint, with what
//! there is to know as its metadata. So do the service's own clients.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use reqwest::header::{CONTENT_LENGTH, DATE, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};

use super::listing::{OFFSET, OWNER, Page, SEQUENCE, instant};
use super::{Entry, Listing, Store};
use crate::event_hubs::Entra;
use crate::sources::event_hubs::place::Position;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The version of the service's interface: the first that all its accounts have today.
const VERSION: (&str, &str) = ("x-ms-version", "2021-12-02");
/// For what a token is.
const SCOPE: &str = "https://storage.azure.com/.default";

/// The blobs of a hub's consumer group.
pub(in crate::sources::event_hubs) struct BlobStore {
    client: Client,
    /// With its signature, if it has one: not for messages.
    container: Url,
    credential: Option<Arc<dyn TokenCredential>>,
    /// `NAMESPACE/HUB/GROUP/`
    prefix: String,
}

impl BlobStore {
    /// Whether something is the URL of a container, which is proved by a signature or otherwise.
    pub(in crate::sources::event_hubs) fn check(
        url: &str,
        has_entra: bool,
    ) -> Result<Url, &'static str> {
        let wrong = "this is no container's URL, such as \
                     `https://ACCOUNT.blob.core.windows.net/CONTAINER`";
        let url = Url::parse(url).map_err(|_| wrong)?;
        let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.path().trim_matches('/').is_empty() || !matches!(url.scheme(), "http" | "https") {
            return Err(wrong);
        }
        if url.scheme() == "http" && !is_local {
            return Err("what proves who we are would go unencrypted: it has to be `https://`");
        }
        let has_signature = url.query_pairs().any(|(name, _)| name == "sig");
        match (has_signature, has_entra) {
            (true, true) => Err("its shared access signature proves who we are already"),
            (false, false) => Err("nothing proves who we are: it has no shared access signature \
                                   (`?sv=...&sig=...`), and there is no `entra`"),
            _ => Ok(url),
        }
    }

    /// The blobs by the names of namespace, hub and group.
    pub(in crate::sources::event_hubs) fn new(
        url: &str,
        entra: Option<&Entra>,
        names: [&str; 3],
    ) -> Result<Self, String> {
        let container = Self::check(url, entra.is_some())?;
        let client = Client::builder()
            .user_agent(concat!("engine/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .referer(false);
        let client = match container.scheme() {
            // The system's roots are not needed, and need not be there.
            "http" => client.no_proxy().tls_certs_only([]),
            _ => client,
        };
        let client = client.build().map_err(|error| format!("no HTTP client: {error}"))?;
        let credential = entra.map(Entra::credential).transpose()?;
        let prefix = format!("{}/", names.join("/").to_lowercase());
        Ok(Self { client, container, credential, prefix })
    }

    fn ownership(&self, partition: &str) -> Url {
        self.blob("ownership", partition)
    }

    fn checkpoint(&self, partition: &str) -> Url {
        self.blob("checkpoint", partition)
    }

    fn blob(&self, kind: &str, partition: &str) -> Url {
        let mut url = self.container.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{path}/{}{kind}/{partition}", self.prefix));
        url
    }

    /// A request for the metadata of a blob that is there.
    fn metadata(&self, mut blob: Url) -> RequestBuilder {
        blob.query_pairs_mut().append_pair("comp", "metadata");
        self.client.request(Method::PUT, blob).header(CONTENT_LENGTH, 0)
    }

    /// A request for an empty blob.
    fn creation(&self, blob: Url) -> RequestBuilder {
        let request = self.client.request(Method::PUT, blob).header(CONTENT_LENGTH, 0);
        request.header("x-ms-blob-type", "BlockBlob")
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, String> {
        let mut request = request.header(VERSION.0, VERSION.1);
        if let Some(credential) = &self.credential {
            let token = credential.get_token(&[SCOPE], None).await;
            let token = token.map_err(|error| self.text(&error.to_string()))?;
            request = request.bearer_auth(token.token.secret());
        }
        // The URL may have a signature, and messages have it without.
        request.send().await.map_err(|error| self.text(&root(&error.without_url())))
    }

    /// What an answer says that is none of those which were expected.
    fn refused(&self, response: &Response) -> String {
        let code = response.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok());
        let status = response.status();
        self.text(&format!("{status} {}", code.unwrap_or_default()))
    }

    fn text(&self, what: &str) -> String {
        let (host, path) = (self.container.host_str().unwrap_or_default(), self.container.path());
        format!("cannot use the checkpoint store `{host}{path}`: {}", what.trim_end())
    }

    async fn owner(&self, partition: &str) -> Result<Option<String>, String> {
        let request = self.client.request(Method::HEAD, self.ownership(partition));
        let response = self.send(request).await?;
        if !response.status().is_success() {
            return Err(self.refused(&response));
        }
        let owner = response.headers().get(format!("x-ms-meta-{OWNER}"));
        Ok(owner.and_then(|owner| owner.to_str().ok()).map(str::to_owned))
    }
}

#[async_trait]
impl Store for BlobStore {
    async fn list(&self) -> Result<Listing, String> {
        let mut entries = BTreeMap::new();
        let mut marker = String::new();
        loop {
            let mut url = self.container.clone();
            url.query_pairs_mut()
                .append_pair("restype", "container")
                .append_pair("comp", "list")
                .append_pair("include", "metadata")
                .append_pair("prefix", &self.prefix)
                .append_pair("marker", &marker);
            let response = self.send(self.client.get(url)).await?;
            if !response.status().is_success() {
                return Err(self.refused(&response));
            }
            let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
            let now = instant(date.unwrap_or_default()).map_err(|error| self.text(&error))?;
            let xml = response.text().await;
            let xml = xml.map_err(|error| self.text(&root(&error.without_url())))?;
            let page = Page::read(&xml).map_err(|error| self.text(&error))?;
            page.enter(&self.prefix, &mut entries).map_err(|error| self.text(&error))?;
            match page.next() {
                Some(next) => next.clone_into(&mut marker),
                None => return Ok(Listing { entries: entries.into_values().collect(), now }),
            }
        }
    }

    async fn claim(&self, entry: &Entry, owner: Option<&Arc<str>>) -> Result<bool, String> {
        let blob = self.ownership(&entry.partition);
        let request = match &entry.version {
            Some(version) => self.metadata(blob).header(IF_MATCH, version),
            None => self.creation(blob).header(IF_NONE_MATCH, "*"),
        };
        let owner = owner.map_or("", |owner| &**owner);
        let response = self.send(request.header(format!("x-ms-meta-{OWNER}"), owner)).await?;
        match response.status() {
            status if status.is_success() => Ok(true),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
            _ => Err(self.refused(&response)),
        }
    }

    async fn note(
        &self,
        partition: &Arc<str>,
        owner: &Arc<str>,
        position: &Position,
    ) -> Result<(), String> {
        // Whoever has it now may have come further.
        if self.owner(partition).await?.as_deref() != Some(&**owner) {
            return Ok(());
        }
        let checkpoint = |request: RequestBuilder| {
            let last = position.next.saturating_sub(1);
            let request = request.header(format!("x-ms-meta-{SEQUENCE}"), last);
            match &position.offset {
                Some(offset) => request.header(format!("x-ms-meta-{OFFSET}"), offset),
                None => request,
            }
        };
        let blob = self.checkpoint(partition);
        let mut response = self.send(checkpoint(self.metadata(blob.clone()))).await?;
        if response.status() == StatusCode::NOT_FOUND {
            response = self.send(checkpoint(self.creation(blob))).await?;
        }
        if response.status().is_success() { Ok(()) } else { Err(self.refused(&response)) }
    }
}

/// The cause of an error; what stands before it says only that there was one.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "https://a.blob.core.windows.net/c?sv=1&sig=s3cret";

    #[test]
    fn a_container_is_proved_by_a_signature_or_by_entra() {
        let plain = "https://a.blob.core.windows.net/c";
        let is_right = |url, has_entra| BlobStore::check(url, has_entra).is_ok();
        assert!(is_right(SIGNED, false) && is_right(plain, true));
        assert!(!is_right(SIGNED, true) && !is_right(plain, false));
        assert!(is_right("http://127.0.0.1:10000/devstoreaccount1/c?sig=x", false));
        for wrong in ["", "a/c", "https://a.blob.core.windows.net/?sig=x", "ftp://a/c?sig=x"] {
            assert!(!is_right(wrong, false), "{wrong}");
        }
        assert!(!is_right("http://a.example/c?sig=x", false), "it would be read on its way");
    }

    #[test]
    fn blobs_have_the_names_that_other_clients_give_them() {
        let names = ["H.Example", "Retail-Events", "$Default"];
        let store = BlobStore::new(SIGNED, None, names).unwrap();
        let url = store.ownership("3");
        assert_eq!(url.path(), "/c/h.example/retail-events/$default/ownership/3");
        assert_eq!(url.query(), Some("sv=1&sig=s3cret"));
    }

    #[test]
    fn a_signature_is_in_no_message() {
        let store = BlobStore::new(SIGNED, None, ["h", "e", "g"]).unwrap();
        assert!(!store.text("403 Forbidden").contains("s3cret"));
    }
}
