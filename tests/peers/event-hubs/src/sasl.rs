//! SASL: who comes may come in; what they may do is a matter of tokens.

use fe2o3_amqp::acceptor::SaslAcceptor;
use fe2o3_amqp::acceptor::sasl_acceptor::SaslServerFrame;
use fe2o3_amqp_types::primitives::{Array, Symbol};
use fe2o3_amqp_types::sasl::{SaslCode, SaslInit, SaslOutcome, SaslResponse};

use crate::claim::Policy;

/// The mechanisms of the service.
const MECHANISMS: [&str; 4] = ["MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"];

/// Takes a client in without proof, or with the name and key of a policy.
#[derive(Clone, Debug)]
pub(crate) struct Sasl {
    policies: Vec<Policy>,
}

impl Sasl {
    pub(crate) fn new(policies: Vec<Policy>) -> Self {
        Self { policies }
    }

    /// Whether `<any>\0<policy>\0<key>` is right.
    fn is_known(&self, response: &[u8]) -> bool {
        let mut parts = response.split(|byte| *byte == 0).skip(1);
        let (Some(name), Some(key), None) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let mut policies = self.policies.iter();
        policies.any(|policy| policy.name.as_bytes() == name && policy.key.as_bytes() == key)
    }
}

impl SaslAcceptor for Sasl {
    fn mechanisms(&self) -> Array<Symbol> {
        Array::from(MECHANISMS.map(Symbol::from).to_vec())
    }

    fn on_init(&mut self, init: SaslInit) -> SaslServerFrame {
        let ok = match init.mechanism.0.as_str() {
            "MSSBCBS" | "ANONYMOUS" | "EXTERNAL" => true,
            "PLAIN" => init.initial_response.is_some_and(|response| self.is_known(&response)),
            _ => false,
        };
        outcome(if ok { SaslCode::Ok } else { SaslCode::Auth })
    }

    fn on_response(&mut self, _: SaslResponse) -> SaslServerFrame {
        // None of the mechanisms has a second step.
        outcome(SaslCode::Sys)
    }
}

fn outcome(code: SaslCode) -> SaslServerFrame {
    SaslServerFrame::Outcome(SaslOutcome { code, additional_data: None })
}
