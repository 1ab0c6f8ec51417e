//! Connection strings, read strictly. What is wrong with one is said by the name of the part, and
//! never by what stands in it.

use std::fmt;

use reqwest::Url;

use crate::spec::Secret;

/// The parts of a connection string, as the portal of Azure shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionString {
    host: String,
    port: Option<u16>,
    is_emulator: bool,
    signing: Signing,
    entity_path: Option<String>,
}

/// What its holder proves to be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Signing {
    /// The key of a policy, to sign tokens with.
    Key { policy: String, key: Secret },
    /// A token that somebody else signed, and that ends.
    Token(Secret),
}

/// Why a text is no connection string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionStringError(pub String);

impl fmt::Display for ConnectionStringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectionStringError {}

/// The parts that there are; their names are read in any case, as Azure's own clients do.
const PARTS: [&str; 6] = [
    "Endpoint",
    "SharedAccessKeyName",
    "SharedAccessKey",
    "SharedAccessSignature",
    "EntityPath",
    "UseDevelopmentEmulator",
];

/// The port of AMQP without TLS, which the emulator listens at.
const EMULATOR_PORT: u16 = 5672;

impl ConnectionString {
    /// Reads a text such as
    /// `Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=...`.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let values = values(text)?;
        let [endpoint, policy, key, token, entity_path, emulator] = values;
        let endpoint = endpoint.ok_or_else(|| missing("Endpoint"))?;
        let (host, port) = host_and_port(&endpoint)?;
        let signing = match (policy, key, token) {
            (None, None, None) => {
                return Err(error(
                    "the connection string has neither `SharedAccessKeyName` and \
                     `SharedAccessKey` nor `SharedAccessSignature`",
                ));
            }
            (None, None, Some(token)) => Signing::Token(Secret::new(token)),
            (_, _, Some(_)) => {
                return Err(error(
                    "the connection string has a `SharedAccessSignature`, and a key beside it",
                ));
            }
            (None, Some(_), None) => return Err(missing("SharedAccessKeyName")),
            (Some(_), None, None) => return Err(missing("SharedAccessKey")),
            (Some(policy), Some(key), None) => Signing::Key { policy, key: Secret::new(key) },
        };
        let is_emulator = match emulator.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                return Err(error("`UseDevelopmentEmulator` is neither `true` nor `false`"));
            }
        };
        Ok(Self { host, port, is_emulator, signing, entity_path })
    }

    /// The namespace's host name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The hub that it is for, where it is for one alone.
    pub fn entity_path(&self) -> Option<&str> {
        self.entity_path.as_deref()
    }

    /// Where to connect to, where that is not the namespace's own port.
    pub fn endpoint(&self) -> Option<String> {
        let (scheme, port) = match (self.is_emulator, self.port) {
            (true, port) => ("amqp", port.unwrap_or(EMULATOR_PORT)),
            (false, Some(port)) => ("amqps", port),
            (false, None) => return None,
        };
        Some(format!("{scheme}://{}:{port}", self.host))
    }

    /// What the SDK understands of it: neither port nor emulator, and no hub, since that is given
    /// apart.
    pub(super) fn for_sdk(&self) -> String {
        let signing = match &self.signing {
            Signing::Key { policy, key } => {
                format!("SharedAccessKeyName={policy};SharedAccessKey={}", key.reveal())
            }
            Signing::Token(token) => format!("SharedAccessSignature={}", token.reveal()),
        };
        format!("Endpoint=sb://{}/;{signing}", self.host)
    }
}

/// The values by their place in [`PARTS`].
fn values(text: &str) -> Result<[Option<String>; PARTS.len()], ConnectionStringError> {
    let mut values: [Option<String>; PARTS.len()] = Default::default();
    let parts = text.trim().split(';').enumerate();
    for (place, part) in parts.filter(|(_, part)| !part.trim().is_empty()) {
        // A part that is not understood may be half a key, so it is named by its place.
        let place = place + 1;
        let (name, value) = part.split_once('=').ok_or_else(|| {
            error(format!("part {place} of the connection string is no `NAME=VALUE`"))
        })?;
        let name = name.trim();
        let known = PARTS.iter().position(|known| known.eq_ignore_ascii_case(name));
        let known = known.ok_or_else(|| {
            let parts = PARTS.join("`, `");
            error(format!("part {place} of the connection string is none of `{parts}`"))
        })?;
        let value = value.trim();
        if value.is_empty() {
            return Err(error(format!("`{}` of the connection string is empty", PARTS[known])));
        }
        if values[known].replace(value.to_owned()).is_some() {
            return Err(error(format!("the connection string has two `{}`", PARTS[known])));
        }
    }
    Ok(values)
}

fn host_and_port(endpoint: &str) -> Result<(String, Option<u16>), ConnectionStringError> {
    let wrong = || {
        error(
            "`Endpoint` of the connection string is not `sb://HOST/`, as in `sb://contoso.servicebus.windows.net/`",
        )
    };
    let url = Url::parse(endpoint).map_err(|_| wrong())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let has_more = !matches!(url.path(), "" | "/")
        || url.query().is_some()
        || url.fragment().is_some()
        || !url.username().is_empty()
        || url.password().is_some();
    if url.scheme() != "sb" || has_more {
        return Err(wrong());
    }
    Ok((host.to_ascii_lowercase(), url.port()))
}

fn missing(part: &str) -> ConnectionStringError {
    error(format!("the connection string has no `{part}`"))
}

fn error(message: impl Into<String>) -> ConnectionStringError {
    ConnectionStringError(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: &str = "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=send;\
                         SharedAccessKey=c2VjcmV0+/=";

    fn parsed(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap()
    }

    fn refused(text: &str) -> String {
        ConnectionString::parse(text).unwrap_err().0
    }

    #[test]
    fn a_string_of_the_portal_is_understood() {
        let string = parsed(&format!("{PLAIN};EntityPath=retail-events"));
        assert_eq!(string.host(), "contoso.servicebus.windows.net");
        assert_eq!((string.entity_path(), string.endpoint()), (Some("retail-events"), None));
        assert_eq!(string.for_sdk(), PLAIN);
        let spaced = PLAIN.replace(';', " ; ").replace("Endpoint", "endpoint");
        assert_eq!(parsed(&format!(" {spaced};\n")), parsed(PLAIN));
    }

    #[test]
    fn the_emulator_and_a_port_say_where_to_connect() {
        let emulator = "Endpoint=sb://localhost;SharedAccessKeyName=a;SharedAccessKey=b;\
                        UseDevelopmentEmulator=true;";
        assert_eq!(parsed(emulator).endpoint().as_deref(), Some("amqp://localhost:5672"));
        let other = emulator.replace("localhost", "127.0.0.1:7000");
        assert_eq!(parsed(&other).endpoint().as_deref(), Some("amqp://127.0.0.1:7000"));
        let port = PLAIN.replace("net/", "net:5673/");
        let endpoint = "amqps://contoso.servicebus.windows.net:5673";
        assert_eq!(parsed(&port).endpoint().as_deref(), Some(endpoint));
        assert!(!parsed(&port).for_sdk().contains("5673"));
        assert!(!parsed(emulator).for_sdk().contains("Emulator"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, part) in [
            ("SharedAccessKeyName=a;SharedAccessKey=b", "no `Endpoint`"),
            ("Endpoint=sb://h/;SharedAccessKey=b", "no `SharedAccessKeyName`"),
            ("Endpoint=sb://h/;SharedAccessKeyName=a", "no `SharedAccessKey`"),
            ("Endpoint=sb://h/", "neither `SharedAccessKeyName`"),
            ("", "no `Endpoint`"),
            ("Endpoint=;SharedAccessKeyName=a", "`Endpoint` of the connection string is empty"),
            ("Endpoint=https://h/;SharedAccessKeyName=a;SharedAccessKey=b", "not `sb://HOST/`"),
            ("Endpoint=sb://h/path;SharedAccessKeyName=a;SharedAccessKey=b", "not `sb://HOST/`"),
            ("Endpoint=sb://h/;Endpoint=sb://i/", "two `Endpoint`"),
            ("Endpoint=sb://h/;hello", "part 2 of the connection string is no `NAME=VALUE`"),
        ] {
            let message = refused(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_key_is_in_no_message_and_not_in_debug() {
        for text in [
            "c2VjcmV0=",
            "c2VjcmV0",
            "Endpoint=sb://h/;SharedAccessKeyName=a;c2VjcmV0=",
            "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAcessKey=c2VjcmV0",
            "Endpoint=c2VjcmV0;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0",
            "Endpoint=sb://h/;SharedAccessKey=c2VjcmV0;SharedAccessSignature=c2VjcmV0",
            "Endpoint=sb://h/;SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=c2VjcmV0",
        ] {
            assert!(!refused(text).contains("c2VjcmV0"), "{text}");
        }
        assert!(!format!("{:?}", parsed(PLAIN)).contains("c2VjcmV0"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_repeat_itself(text in "\\PC{0,80}") {
            if let Err(error) = ConnectionString::parse(&text) {
                let long = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 24);
                for word in long {
                    prop_assert!(!error.0.contains(word));
                }
            }
        }
    }
}
