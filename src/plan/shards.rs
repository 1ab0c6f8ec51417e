//! What a run that is one of several shards has to know about them, and what hardly makes sense in
//! one.

use serde_json::Value;

use super::draft::Draft;
use crate::kind::Kind;
use crate::problem::{Problem, Problems};
use crate::spec::{Document, Shard};

/// Parts of keys that lead back to one store or centre, or to something that belongs to one. Rules
/// keyed by one of them see in a shard what they would see of these keys without shards.
const WITHIN_SHARDS: [&str; 10] = [
    "store_id",
    "dc_id",
    "partition_key",
    "session_id",
    "correlation_id",
    "trace_id",
    "parent_event_id",
    "receipt_id",
    "transaction_id",
    "order_id",
];

/// The shard that a spec says; all of the work where it says none. What is no shard at all is told
/// by the check of the frame.
pub(super) fn of(document: &Document) -> Result<Shard, Problem> {
    let value = document.value("/shard");
    let Some(text) = value.as_str().filter(|text| is_in_form(text)) else {
        return Ok(Shard::WHOLE);
    };
    text.parse().map_err(|error: String| Problem::error(error).at(document.place("/shard")))
}

fn is_in_form(text: &str) -> bool {
    let parts = text.split_once('/').map(|(index, count)| (index.parse(), count.parse()));
    matches!(parts, Some((Ok::<u32, _>(_), Ok::<u32, _>(_))))
}

/// Warns about sources that do not share their events out, and about keys of which several shards
/// may see a part.
pub(super) fn check(
    document: &Document,
    drafts: &[Draft<'_>],
    shard: Shard,
    problems: &mut Problems,
) {
    if !shard.is_part() {
        return;
    }
    for draft in drafts {
        match draft.kind {
            Kind::Source => problems.extend(not_shared_out(document, draft, shard)),
            Kind::Correlator => problems.extend(spread_key(document, draft)),
            Kind::Enricher | Kind::Batcher | Kind::Sink => {}
        }
    }
}

fn not_shared_out(document: &Document, draft: &Draft<'_>, shard: Shard) -> Option<Problem> {
    let component = draft.component.filter(|component| !component.shares_out)?;
    let message =
        format!("each of the {} shards gets all that `{}` gives", shard.count, draft.name);
    let problem = Problem::warning(message).at(document.place(&format!("{}/type", draft.pointer)));
    Some(problem.help(format!(
        "a source of type `{}` does not share its events out: run it without shards, or give each \
         shard an input of its own",
        component.name
    )))
}

fn spread_key(document: &Document, draft: &Draft<'_>) -> Option<Problem> {
    let schema = (draft.component?.schema)();
    let setting = schema.get("properties").and_then(|properties| properties.get("key"))?;
    let pointer = format!("{}/with/key", draft.pointer);
    let key = match document.value(&pointer) {
        Value::Null => setting.get("default").cloned().unwrap_or_default(),
        key => key,
    };
    let parts: Vec<&str> = match &key {
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
        key => key.as_str().into_iter().collect(),
    };
    let is_within = |part: &&str| {
        let last = part.rsplit('.').next().unwrap_or_default();
        WITHIN_SHARDS.contains(&last)
    };
    if parts.iter().any(is_within) {
        return None;
    }
    let (message, pointer) = match parts.as_slice() {
        [] => (
            format!("`{}` remembers what it sees of all stores, and a shard has some", draft.name),
            format!("{}/type", draft.pointer),
        ),
        _ => ("events of one key may be in several shards, and each sees its own".into(), pointer),
    };
    let problem = Problem::warning(message).at(document.place(&pointer));
    Some(problem.help("with shards, a key needs a part such as `payload.store_id`"))
}
