//! A file that this process holds against others: a queue, a snapshot, dead letters.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;

/// A locked file, let go when it is dropped, or with the process, however that ends.
///
/// Closing the file is not enough: while this process starts another, the child has its files until
/// it becomes the other program, and would keep the lock with them.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Locks a file; `None` where someone else holds it.
    pub fn try_new(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// As [`Self::try_new`]; on a file system without locks the file is taken to have one user.
    pub fn try_new_where_supported(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                Err(error)
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Self(file))),
        }
    }
}

impl Deref for FileLock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Where it could not be locked there is nothing to let go.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_goes_with_its_holder_also_where_a_child_still_has_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let open = || File::create(folder.path().join("lock")).unwrap();
        let lock = FileLock::try_new(open()).unwrap().unwrap();
        assert!(FileLock::try_new(open()).unwrap().is_none());
        // As a child has it that has been forked, and is not another program yet.
        let of_child = lock.try_clone().unwrap();
        drop(lock);
        assert!(FileLock::try_new(open()).unwrap().is_some());
        drop(of_child);
    }
}
