//! The place in the log where an export gets its spans: empty until the pipeline is read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use engine::monitor::SPANS;
use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::reload;

/// What an export takes spans with.
pub(in crate::cli) type SpanLayer = Option<Box<dyn Layer<Registry> + Send + Sync>>;

/// Where it is put.
static PLACE: OnceLock<reload::Handle<SpanLayer, Registry>> = OnceLock::new();

/// Whether there is one.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// The place, for the log to begin with.
pub(super) fn place() -> impl Layer<Registry> {
    let (layer, handle) = reload::Layer::new(None);
    // The program starts once.
    let _ = PLACE.set(handle);
    layer.with_filter(SpansOnly)
}

/// Gives the engine's spans to an export from now on, or to none.
pub(in crate::cli) fn export(layer: SpanLayer) {
    IS_TAKEN.store(layer.is_some(), Relaxed);
    if let Some(place) = PLACE.get() {
        // What was known of who wants which span is asked anew with this. The place itself goes
        // with the program.
        let _ = place.reload(layer);
    }
}

/// Nothing but spans, and none while nobody takes them.
struct SpansOnly;

fn is_wanted(metadata: &Metadata<'_>) -> bool {
    IS_TAKEN.load(Relaxed) && metadata.is_span() && metadata.target() == SPANS
}

impl Filter<Registry> for SpansOnly {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, Registry>) -> bool {
        is_wanted(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_wanted(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if IS_TAKEN.load(Relaxed) { LevelFilter::DEBUG } else { LevelFilter::OFF })
    }
}
