//! Numbers for batches. A batch that is lent for a call is found by its number on the thread of the
//! call until it ends; a batch that is retained by its number anywhere, until it is released.

use std::cell::Cell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use super::Lent;

/// What a thread has lent to the call that it is in: input and output at most.
const LOANS: usize = 2;

/// How many numbers a thread takes at a time, so that threads do not meet at each call.
const BLOCK: u64 = 1 << 16;

static NEXT_BLOCK: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static LENT: [Cell<Option<Loan>>; LOANS] = const { [const { Cell::new(None) }; LOANS] };
    static NUMBERS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

#[derive(Clone, Copy)]
struct Loan {
    number: u64,
    /// Valid as long as the loan stands here: [`lend`] takes it away before it returns.
    batch: NonNull<dyn Lent>,
}

/// A number that was never given before.
pub(super) fn new_number() -> u64 {
    NUMBERS.with(|numbers| {
        let (next, end) = numbers.get();
        let (next, end) = if next < end {
            (next, end)
        } else {
            let block = NEXT_BLOCK.fetch_add(BLOCK, Relaxed);
            (block, block + BLOCK)
        };
        numbers.set((next + 1, end));
        next
    })
}

/// Lends batches to a call: by their numbers they are found on this thread until it returns.
pub(super) fn lend<const N: usize, R>(
    batches: [&mut dyn Lent; N],
    call: impl FnOnce([u64; N]) -> R,
) -> R {
    const { assert!(N <= LOANS) };
    let mut numbers = [0; N];
    let loans = batches.map(|batch| {
        // SAFETY: only the lifetime is taken away. The pointer stands in `LENT` no longer than
        // `batches` is borrowed, since `Returned` puts back what was there before.
        let batch: NonNull<dyn Lent> = unsafe { std::mem::transmute(NonNull::from(batch)) };
        Loan { number: new_number(), batch }
    });
    LENT.with(|lent| {
        let before: [Option<Loan>; LOANS] = std::array::from_fn(|place| lent[place].take());
        let _returned = Returned { lent, before };
        for (place, loan) in loans.into_iter().enumerate() {
            numbers[place] = loan.number;
            lent[place].set(Some(loan));
        }
        call(numbers)
    })
}

/// Takes the loans back, however the call ends.
struct Returned<'a> {
    lent: &'a [Cell<Option<Loan>>; LOANS],
    before: [Option<Loan>; LOANS],
}

impl Drop for Returned<'_> {
    fn drop(&mut self) {
        for (place, before) in self.before.into_iter().enumerate() {
            self.lent[place].set(before);
        }
    }
}

fn lent(number: u64) -> Option<NonNull<dyn Lent>> {
    LENT.with(|lent| {
        lent.iter().filter_map(Cell::get).find(|loan| loan.number == number).map(|loan| loan.batch)
    })
}

/// Reads a batch by its number; none if there is no such batch here.
pub(super) fn read<R>(number: u64, reader: impl FnOnce(&dyn Lent) -> R) -> Option<R> {
    if let Some(batch) = lent(number) {
        // SAFETY: the loan stands, so the batch does; this thread is in the call that it was lent
        // to, and no other reference to it is alive: `read` and `change` never call a plugin.
        return Some(reader(unsafe { batch.as_ref() }));
    }
    let batch = retained(number)?;
    Some(reader(&*batch))
}

/// Changes a batch by its number; none if it is not lent here.
pub(super) fn change<R>(number: u64, changer: impl FnOnce(&mut dyn Lent) -> R) -> Option<R> {
    let mut batch = lent(number)?;
    // SAFETY: as in `read`.
    Some(changer(unsafe { batch.as_mut() }))
}

/// Changes a batch while another one is read; none if they are the same, or either is not here.
pub(super) fn change_beside<R>(
    number: u64,
    other: u64,
    changer: impl FnOnce(&mut dyn Lent, &dyn Lent) -> R,
) -> Option<R> {
    if number == other {
        return None;
    }
    let mut batch = lent(number)?;
    // SAFETY: as in `read`; the two are different, since each loan has a number of its own and
    // they were lent as two mutable borrows.
    read(other, |other| changer(unsafe { batch.as_mut() }, other))
}

/// How many batches an instance may hold at a time.
pub(super) const RETAINED_MAX: usize = 4096;

/// How many there may be in all, with those of instances that are gone.
const ALL_RETAINED_MAX: usize = 1 << 16;

/// A batch until it is released, be its instance gone meanwhile: a thread that was left behind may
/// be reading a text of it.
struct Retained {
    /// Whose it is.
    context: u64,
    /// How many that instance holds.
    held: Arc<AtomicUsize>,
    batch: Arc<dyn Lent + Send + Sync>,
}

/// There is room for so many batches, and for no more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) usize);

static RETAINED: LazyLock<RwLock<HashMap<u64, Retained>>> = LazyLock::new(RwLock::default);

fn retained(number: u64) -> Option<Arc<dyn Lent + Send + Sync>> {
    let retained = RETAINED.read().unwrap_or_else(PoisonError::into_inner);
    retained.get(&number).map(|retained| Arc::clone(&retained.batch))
}

/// Keeps a batch beyond its call; its new number, or none for what cannot be kept.
pub(super) fn retain(
    context: u64,
    held: &Arc<AtomicUsize>,
    number: u64,
) -> Result<Option<u64>, Full> {
    let Some(kept) = read(number, |batch| batch.retain()) else { return Ok(None) };
    // One that is retained already can be once more.
    let Some(batch) = kept.or_else(|| retained(number)) else { return Ok(None) };
    let number = new_number();
    let mut retained = RETAINED.write().unwrap_or_else(PoisonError::into_inner);
    // Counted up and down under the lock alone.
    let count = held.load(Relaxed);
    if count >= RETAINED_MAX {
        return Err(Full(RETAINED_MAX));
    }
    if retained.len() >= ALL_RETAINED_MAX {
        return Err(Full(ALL_RETAINED_MAX));
    }
    held.store(count + 1, Relaxed);
    retained.insert(number, Retained { context, held: Arc::clone(held), batch });
    Ok(Some(number))
}

/// Lets go of a batch, if this instance has retained it, be it alive or gone.
pub(super) fn release(context: u64, number: u64) -> bool {
    let mut retained = RETAINED.write().unwrap_or_else(PoisonError::into_inner);
    let is_own = retained.get(&number).is_some_and(|batch| batch.context == context);
    let released = if is_own { retained.remove(&number) } else { None };
    if let Some(batch) = &released {
        batch.held.store(batch.held.load(Relaxed).saturating_sub(1), Relaxed);
    }
    drop(retained);
    released.is_some()
}
