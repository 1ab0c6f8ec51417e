//! Whatever a sink says, each event has one fate, and events of one key keep their order.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;

use super::*;

/// What a sink says to a write, drawn.
#[derive(Clone, Debug)]
enum Says {
    Delivered,
    Hangs,
    Refuses {
        permanent: bool,
    },
    /// Each event whose bit is set fails; with the other bit it fails for good.
    Except {
        failing: u64,
        permanent: u64,
    },
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        4 => Just(Says::Delivered),
        1 => Just(Says::Hangs),
        2 => any::<bool>().prop_map(|permanent| Says::Refuses { permanent }),
        4 => (any::<u64>(), any::<u64>())
            .prop_map(|(failing, permanent)| Says::Except { failing, permanent: permanent & failing }),
    ]
}

/// What the receiver has, and what it refused for good.
#[derive(Default)]
struct Receiver {
    accepted: Vec<String>,
    refused: Vec<String>,
}

impl Receiver {
    fn answer(&mut self, says: &Says, ids: &[String]) -> Reply {
        let refusal = |permanent| {
            if permanent {
                Refusal::permanent("rejected", "no")
            } else {
                Refusal::transient("busy", "busy")
            }
        };
        let refusals: Vec<(usize, Refusal)> = match says {
            Says::Hangs => return Reply::Hang,
            Says::Delivered => Vec::new(),
            Says::Refuses { permanent } => {
                (0..ids.len()).map(|place| (place, refusal(*permanent))).collect()
            }
            Says::Except { failing, permanent } => (0..ids.len())
                .filter(|place| failing >> (place % 64) & 1 == 1)
                .map(|place| (place, refusal(permanent >> (place % 64) & 1 == 1)))
                .collect(),
        };
        for (place, id) in ids.iter().enumerate() {
            match refusals.iter().find(|(failed, _)| *failed == place) {
                None => self.accepted.push(id.clone()),
                Some((_, refusal)) if refusal.retry == crate::stage::Retry::Never => {
                    self.refused.push(id.clone());
                }
                Some(_) => {}
            }
        }
        match says {
            Says::Delivered => delivered(),
            Says::Refuses { permanent } => Reply::Say(Outcome::Refused(refusal(*permanent))),
            _ => Reply::Say(Outcome::Except(refusals)),
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_event_has_one_fate_and_keys_keep_their_order(
        lanes in 1_usize..5,
        sizes in prop::collection::vec(1_usize..30, 1..12),
        keys in 1_usize..9,
        script in prop::collection::vec(says(), 0..60),
        max_events in 10_u64..200,
        gives_up: bool,
        on_disk: bool,
    ) {
        let on_exhausted = if gives_up { "dead_letter" } else { "buffer" };
        let stand = Stand::new(json!({
            "lanes": lanes,
            "retry": { "on_exhausted": on_exhausted },
            "buffer": { "max_events": max_events, "type": if on_disk { "disk" } else { "memory" } },
        }));
        let mut number = 0;
        let mut key_of = HashMap::new();
        let batches: Vec<Batch> = sizes.iter().map(|size| {
            let names: Vec<_> = (number..number + size)
                .map(|number| (format!("{number:05}"), format!("key_{}", number * 7 % keys)))
                .collect();
            number += size;
            key_of.extend(names.iter().cloned());
            let events: Vec<_> =
                names.iter().map(|(id, key)| (id.as_str(), Some(key.as_str()))).collect();
            stand.keyed(&events)
        }).collect();

        let receiver = Arc::new(Mutex::new(Receiver::default()));
        let answers = receiver.clone();
        block_on(async {
            stand.delivery(batches, move |ids, count| {
                let says = script.get(count).unwrap_or(&Says::Delivered);
                answers.lock().unwrap().answer(says, ids)
            }).await;
        });

        let receiver = receiver.lock().unwrap();
        let tally = stand.tally();
        let dead: Vec<String> = stand.dead().iter()
            .map(|letter| letter["event"]["trace_id"].as_str().unwrap().to_owned())
            .collect();
        prop_assert!(tally.balances(), "{:?}", tally);
        prop_assert_eq!(tally.delivered, receiver.accepted.len() as u64);
        prop_assert_eq!(tally.dead_letters(), dead.len() as u64);
        let fates: BTreeSet<&String> = receiver.accepted.iter().chain(&dead).collect();
        prop_assert_eq!(fates.len(), number, "each event is somewhere");
        prop_assert_eq!(receiver.accepted.len() + dead.len(), number, "and nowhere else");
        if !gives_up {
            prop_assert_eq!(dead.len(), receiver.refused.len());
        }
        prop_assert_eq!(stand.ledger.outstanding(), 0);
        prop_assert_eq!(stand.figures().buffer_size, 0);
        let mut last: HashMap<&str, &String> = HashMap::new();
        for id in &receiver.accepted {
            // Ids ascend within a key, and so do the writes that took them.
            if let Some(before) = last.insert(&key_of[id], id) {
                let is_retry_of_a_part = before > id;
                prop_assert!(
                    !is_retry_of_a_part || same_batch(&sizes, before, id),
                    "{} came after {}", id, before
                );
            }
        }
    }
}

/// Within a batch of which a part was refused, the sink itself took later events first.
fn same_batch(sizes: &[usize], one: &str, other: &str) -> bool {
    let batch_of = |id: &str| {
        let number: usize = id.parse().unwrap();
        let mut end = 0;
        sizes.iter().position(|size| {
            end += size;
            number < end
        })
    };
    batch_of(one) == batch_of(other)
}
