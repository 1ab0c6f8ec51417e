//! The lines of an answer, as they come.

use reqwest::Response;

use super::{RemoteError, unreachable};

/// How long a line may be.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Lines that come one after the other.
pub(in crate::cli) struct Lines {
    response: Response,
    cut: Cutter,
}

impl Lines {
    pub(super) fn new(response: Response) -> Self {
        Self { response, cut: Cutter::default() }
    }

    /// The next whole lines, each with its newline; none at the end.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Vec<u8>>, RemoteError> {
        loop {
            match self.response.chunk().await.map_err(|error| unreachable(&error))? {
                Some(chunk) => match self.cut.push(&chunk) {
                    Some(lines) => return Ok(Some(lines)),
                    None if self.cut.rest.len() > LINE_BYTES_MAX => {
                        return Err(RemoteError::NoEngine("a line of it does not end".to_owned()));
                    }
                    None => {}
                },
                // What has no newline was broken off.
                None => return Ok(None),
            }
        }
    }
}

/// Cuts what comes at the ends of lines.
#[derive(Default)]
struct Cutter {
    rest: Vec<u8>,
}

impl Cutter {
    /// Whole lines, once there are some.
    fn push(&mut self, chunk: &[u8]) -> Option<Vec<u8>> {
        let Some(end) = memchr::memrchr(b'\n', chunk) else {
            self.rest.extend_from_slice(chunk);
            return None;
        };
        let mut lines = std::mem::replace(&mut self.rest, chunk[end + 1..].to_vec());
        lines.extend_from_slice(&chunk[..=end]);
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_are_cut() {
        let text = b"one\ntwo\n\nthree\n";
        for size in 1..=text.len() {
            let mut cut = Cutter::default();
            let lines: Vec<u8> =
                text.chunks(size).filter_map(|chunk| cut.push(chunk)).flatten().collect();
            assert_eq!((lines.as_slice(), cut.rest.len()), (text.as_slice(), 0), "by {size}");
        }
        let mut cut = Cutter::default();
        assert_eq!(cut.push(b"a\nb").unwrap(), b"a\n");
        assert_eq!(cut.push(b"c"), None);
        assert_eq!(cut.push(b"\n").unwrap(), b"bc\n");
    }
}
