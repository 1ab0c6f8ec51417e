//! Numbers for batches. A batch that is lent for a call is found by its number on the thread of the
//! call until it ends; a batch that is retained by its number anywhere, until it is released.

use std::cell::Cell;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

struct Retained {
    /// Whose it is.
    context: u64,
    batch: Arc<dyn Lent + Send + Sync>,
}

static RETAINED: LazyLock<RwLock<HashMap<u64, Retained>>> = LazyLock::new(RwLock::default);

fn retained(number: u64) -> Option<Arc<dyn Lent + Send + Sync>> {
    let retained = RETAINED.read().unwrap_or_else(PoisonError::into_inner);
    retained.get(&number).map(|retained| Arc::clone(&retained.batch))
}

/// Keeps a batch beyond its call; its new number.
pub(super) fn retain(context: u64, number: u64) -> Option<u64> {
    let batch = match read(number, |batch| batch.retain())? {
        Some(batch) => batch,
        // One that is retained already can be once more.
        None => retained(number)?,
    };
    let number = new_number();
    let mut retained = RETAINED.write().unwrap_or_else(PoisonError::into_inner);
    retained.insert(number, Retained { context, batch });
    Some(number)
}

/// Lets go of a batch, if it is this instance's.
pub(super) fn release(context: u64, number: u64) -> bool {
    let mut retained = RETAINED.write().unwrap_or_else(PoisonError::into_inner);
    let is_own = retained.get(&number).is_some_and(|batch| batch.context == context);
    let released = is_own.then(|| retained.remove(&number));
    drop(retained);
    released.is_some()
}

/// Lets go of all that an instance has left; how many there were.
pub(super) fn release_all(context: u64) -> usize {
    let mut retained = RETAINED.write().unwrap_or_else(PoisonError::into_inner);
    let left: Vec<_> = retained.extract_if(|_, batch| batch.context == context).collect();
    drop(retained);
    left.len()
}
