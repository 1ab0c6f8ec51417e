//! Events per second through the queue on disk: 64 batches of 256 events of 400 bytes appended,
//! one sync, all read and acknowledged. The disk under `target` sets the figure.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use engine::delivery::disk::{DiskQueue, Limits, Next};

const RECORDS: u64 = 64;
const EVENTS: u32 = 256;
const EVENT_BYTES: usize = 400;

fn disk_buffer(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let limits =
        Limits { max_events: u64::MAX, max_bytes: u64::MAX, segment_bytes: 64 * 1024 * 1024 };
    let (mut queue, _) = DiskQueue::open(folder.path(), limits).unwrap();
    let payload = vec![b'x'; EVENTS as usize * EVENT_BYTES];

    let mut group = criterion.benchmark_group("disk buffer");
    group.sample_size(10).throughput(Throughput::Elements(RECORDS * u64::from(EVENTS)));
    group.bench_function("append 64, sync, read 64, acknowledge", |bench| {
        bench.iter(|| {
            for _ in 0..RECORDS {
                queue.append(&payload, EVENTS).unwrap();
            }
            queue.sync().unwrap();
            while let Some(Next::Record(record)) = queue.read_next().unwrap() {
                queue.acknowledge(black_box(record).sequence);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, disk_buffer);
criterion_main!(benches);
