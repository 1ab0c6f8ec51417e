//! Letters on their way through the pipeline again: put aside in a file beside the queue, so that
//! whatever ends the replay loses none of them.
//!
//! Letters are written aside before they leave the queue, and go away for good when the fate of all
//! of them is known. What a replay left behind that was cut short, the next one puts back first.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::{
    QueueError, beside, count_lines, entries, is_at, lock_briefly, rewrite, sync_folder,
};
use super::letter::{Entry, Letter};
use crate::event::Timestamp;
use crate::file_lock::FileLock;

/// The letters of a queue that are being replayed. Dropped, they stay aside.
#[derive(Debug)]
pub struct Replaying {
    queue: PathBuf,
    aside: PathBuf,
    /// Locked as long as the replay lasts.
    file: FileLock,
    letters: Vec<Letter>,
}

impl Replaying {
    /// Where letters are while they are replayed.
    pub fn aside(queue: &Path) -> PathBuf {
        beside(queue, ".replaying")
    }

    /// Begins a replay: keeps others from beginning one, and puts back what one left behind that
    /// was cut short.
    pub fn begin(queue: &Path) -> Result<Self, QueueError> {
        let aside = Self::aside(queue);
        if !queue.exists() && aside.exists() {
            // All that was in it was on its way.
            let made = OpenOptions::new().append(true).create(true).open(queue);
            made.map_err(|error| QueueError::io("make", queue, &error))?;
        }
        // Without a queue there is nothing to put aside.
        drop(lock_briefly(queue)?);
        let file = hold(&aside)?;
        let replaying = Self { queue: queue.to_owned(), aside, file, letters: Vec::new() };
        replaying.restore()?;
        Ok(replaying)
    }

    /// Takes letters out of the queue.
    pub fn take(&mut self, chosen: impl Fn(&Letter) -> bool) -> Result<&[Letter], QueueError> {
        let queue = lock_briefly(&self.queue)?;
        self.move_aside(&queue, chosen)
            .map_err(|error| QueueError::io("take letters out of", &self.queue, &error))?;
        Ok(&self.letters)
    }

    fn move_aside(&mut self, queue: &File, chosen: impl Fn(&Letter) -> bool) -> io::Result<()> {
        let (mut lines, mut texts) = (Vec::new(), Vec::new());
        for entry in entries(queue)? {
            let Entry { line, text, letter } = entry?;
            if let Ok(letter) = letter
                && chosen(&letter)
            {
                lines.push(line);
                texts.extend(text);
                self.letters.push(letter);
            }
        }
        (&*self.file).write_all(&texts)?;
        self.file.sync_all()?;
        sync_folder(&self.aside)?;
        if lines.is_empty() {
            return Ok(());
        }
        rewrite(&self.queue, queue, |_| Ok(()), |entry| lines.binary_search(&entry.line).is_err())
    }

    /// The letters that were taken.
    pub fn letters(&self) -> &[Letter] {
        &self.letters
    }

    /// The fate of all of them is known: what failed again is in the queue, the rest is done.
    pub fn done(self) -> Result<(), QueueError> {
        fs::remove_file(&self.aside)
            .and_then(|()| sync_folder(&self.aside))
            .map_err(|error| QueueError::io("remove", &self.aside, &error))
    }

    /// The fate of some is not known: all are put back but those that are there again already.
    pub fn put_back(self) -> Result<(), QueueError> {
        self.restore()?;
        self.done()
    }

    fn restore(&self) -> Result<(), QueueError> {
        let error = |error: io::Error| QueueError::io("put letters back into", &self.queue, &error);
        let left: Vec<Entry> = self.left_behind().map_err(error)?;
        if left.is_empty() {
            return Ok(());
        }
        let queue = lock_briefly(&self.queue)?;
        let missing = missing(&left, &queue).map_err(error)?;
        if !missing.is_empty() {
            let put = |out: &mut dyn Write| {
                missing.iter().try_for_each(|entry| out.write_all(&entry.text))
            };
            rewrite(&self.queue, &queue, put, |_| true).map_err(error)?;
        }
        self.file.set_len(0).and_then(|()| self.file.sync_all()).map_err(error)
    }

    fn left_behind(&self) -> io::Result<Vec<Entry>> {
        let mut left: Vec<Entry> = entries(&self.file)?.collect::<io::Result<_>>()?;
        let mut reader = OpenOptions::new().read(true).open(&self.aside)?;
        let (_, is_whole) = count_lines(&mut reader)?;
        if !is_whole && left.last().is_some_and(|last| last.letter.is_err()) {
            // It was cut short while it was written, so it has not left the queue.
            left.pop();
        }
        Ok(left)
    }
}

/// Those that are not in the queue. What failed again is there with the time of its first failure.
fn missing<'a>(left: &'a [Entry], queue: &File) -> io::Result<Vec<&'a Entry>> {
    let mut there: HashMap<(String, String, Timestamp), u32> = HashMap::new();
    for entry in entries(queue)? {
        if let Ok(letter) = entry?.letter {
            *there.entry(identity(&letter)).or_default() += 1;
        }
    }
    let is_missing = |entry: &&Entry| {
        let Ok(letter) = &entry.letter else { return true };
        match there.get_mut(&identity(letter)) {
            Some(count @ 1..) => {
                *count -= 1;
                false
            }
            _ => true,
        }
    };
    Ok(left.iter().filter(is_missing).collect())
}

fn identity(letter: &Letter) -> (String, String, Timestamp) {
    (letter.stage.clone(), letter.id(), letter.first_time)
}

/// Opens and locks the file of a replay, as long as it lasts.
fn hold(aside: &Path) -> Result<FileLock, QueueError> {
    let open = || -> io::Result<Option<FileLock>> {
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).open(aside)?;
            let Some(lock) = FileLock::try_new_where_supported(file)? else {
                return Ok(None);
            };
            // Another replay may have ended in between, and taken its file away.
            if is_at(&lock, aside)? {
                return Ok(Some(lock));
            }
        }
    };
    match open() {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(QueueError::InUse(aside.to_owned())),
        Err(error) => Err(QueueError::io("open", aside, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::read;

    fn line(stage: &str, input: &str, attempts: u32) -> String {
        format!(
            "{{\"stage\":\"{stage}\",\"category\":\"c\",\"reason\":\"r\",\"attempts\":{attempts},\
             \"first_time\":\"2024-01-01T00:00:00.000Z\",\
             \"last_time\":\"2024-01-01T00:00:00.000Z\",\"spec_hash\":\"x\",\"origin\":\"f:1\",\
             \"input\":\"{input}\"}}\n"
        )
    }

    fn queue(lines: &[String]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.ndjson");
        fs::write(&path, lines.concat()).unwrap();
        (folder, path)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn letters_are_aside_while_they_are_replayed_and_gone_when_it_is_done() {
        let lines = [line("a", "1", 1), line("b", "2", 1), "no letter\n".to_owned()];
        let (_folder, path) = queue(&lines);
        let mut replaying = Replaying::begin(&path).unwrap();
        assert_eq!(replaying.take(|letter| letter.stage == "a").unwrap().len(), 1);
        assert_eq!(text(&path), lines[1..].concat());
        assert_eq!(text(&Replaying::aside(&path)), lines[0]);
        let error = Replaying::begin(&path).unwrap_err();
        assert!(error.to_string().contains("dead.ndjson.replaying` is in use"), "{error}");
        replaying.done().unwrap();
        assert!(!Replaying::aside(&path).exists());
        assert_eq!(text(&path), lines[1..].concat());
    }

    #[test]
    fn what_a_replay_left_behind_is_put_back_first_and_once() {
        let lines = ["1", "2", "2", "3"].map(|input| line("a", input, 1));
        let (_folder, path) = queue(&lines);
        let mut replaying = Replaying::begin(&path).unwrap();
        replaying.take(|_| true).unwrap();
        assert_eq!(text(&path), "");
        // One has failed again, as the process is killed.
        drop(replaying);
        fs::write(&path, line("a", "2", 2)).unwrap();
        let replaying = Replaying::begin(&path).unwrap();
        assert_eq!(
            text(&path),
            [&lines[0], &lines[1], &lines[3], &line("a", "2", 2)].map(String::as_str).concat()
        );
        replaying.done().unwrap();
        assert_eq!(read(&path).unwrap().count(), 4);
    }

    #[test]
    fn a_line_that_was_cut_short_on_its_way_aside_is_still_in_the_queue() {
        let lines = ["1", "2"].map(|input| line("a", input, 1));
        let (_folder, path) = queue(&lines);
        fs::write(Replaying::aside(&path), lines.concat().trim_end_matches("\"}\n")).unwrap();
        Replaying::begin(&path).unwrap().put_back().unwrap();
        assert_eq!(text(&path), lines.concat());
        fs::rename(&path, Replaying::aside(&path)).unwrap();
        Replaying::begin(&path).unwrap().done().unwrap();
        assert_eq!(text(&path), lines.concat(), "the queue itself may be gone");
    }
}
