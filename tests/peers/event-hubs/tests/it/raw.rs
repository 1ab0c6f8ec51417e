//! A client that says what it wants frame by frame, where the SDK does not let it.

use event_hubs_peer::{Peer, test_jwt};
use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::sasl_profile::SaslProfile;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::{Connection, Receiver, Sender, Session};
use fe2o3_amqp_types::messaging::{
    AmqpValue, ApplicationProperties, Body, Message, MessageId, Properties,
};
use fe2o3_amqp_types::primitives::{OrderedMap, SimpleValue, Value};
use std::time::Duration;

/// A connection with a session and a token.
pub(crate) struct Raw {
    pub(crate) session: SessionHandle<()>,
    /// How many tokens were put.
    tokens: usize,
    _connection: ConnectionHandle<()>,
}

impl Raw {
    /// Opens a connection.
    pub(crate) async fn open(
        peer: &Peer,
        profile: SaslProfile,
    ) -> Result<ConnectionHandle<()>, OpenError> {
        let url = format!("amqp://127.0.0.1:{}", peer.port());
        let connection = Connection::builder().container_id("raw").sasl_profile(profile);
        connection.open(url.as_str()).await
    }

    /// Connects, and puts a token for a hub.
    pub(crate) async fn connect(peer: &Peer, hub: &str) -> Self {
        let mut connection = Self::open(peer, SaslProfile::Anonymous).await.unwrap();
        let session = Session::begin(&mut connection).await.unwrap();
        let mut raw = Self { session, tokens: 0, _connection: connection };
        assert_eq!(raw.put_token(hub, &test_jwt(Duration::from_mins(5))).await, 202);
        raw
    }

    /// Puts a token for a hub. Returns the status.
    pub(crate) async fn put_token(&mut self, hub: &str, token: &str) -> i32 {
        // A name is free again some time after its link was closed.
        self.tokens += 1;
        let names = ["requests", "answers"].map(|name| format!("{name}-{}", self.tokens));
        let mut requests =
            Sender::attach(&mut self.session, names[0].as_str(), "$cbs").await.unwrap();
        let mut answers = Receiver::builder()
            .name(names[1].as_str())
            .source("$cbs")
            .target("here")
            .attach(&mut self.session)
            .await
            .unwrap();
        let audience = format!("amqp://127.0.0.1/{hub}");
        let mut properties = OrderedMap::new();
        for (name, value) in
            [("operation", "put-token"), ("type", "jwt"), ("name", audience.as_str())]
        {
            properties.insert(name.to_owned(), SimpleValue::String(value.to_owned()));
        }
        let body = Body::<Value>::Value(AmqpValue(Value::String(token.to_owned())));
        let mut request = Message::builder().body(body).build();
        request.properties = Some(Properties {
            message_id: Some(MessageId::from(1)),
            reply_to: Some("here".into()),
            ..Properties::default()
        });
        request.application_properties = Some(ApplicationProperties(properties));
        requests.send(request).await.unwrap();
        let answer = answers.recv::<Body<Value>>().await.unwrap();
        let properties = &answer.message().application_properties;
        let status = properties.as_ref().and_then(|properties| properties.0.get("status-code"));
        let Some(SimpleValue::Int(status)) = status else { panic!("no status: {answer:?}") };
        let status = *status;
        requests.close().await.unwrap();
        answers.close().await.unwrap();
        status
    }

    /// A receiver with as much credit as it is given by hand.
    pub(crate) async fn receiver(&mut self, address: &str) -> Receiver {
        Receiver::builder()
            .name(address)
            .source(address)
            .credit_mode(CreditMode::Manual)
            .attach(&mut self.session)
            .await
            .unwrap()
    }
}
