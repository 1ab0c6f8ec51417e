//! `did you mean`: the known word nearest to one that is not known.

/// The candidate that `word` is most likely a slip of, if one is near enough.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let slips_max = (word.chars().count() / 3).clamp(1, 4);
    // A word that is known, but not where it stands, was not misspelt.
    let others = candidates.into_iter().filter(|candidate| *candidate != word);
    let word = folded(word);
    others
        .map(|candidate| (distance(&word, &folded(candidate)), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, candidate)| {
            (*slips, strsim::damerau_levenshtein(&word, &folded(candidate)))
        })
        .map(|(_, candidate)| candidate)
}

fn distance(word: &str, candidate: &str) -> usize {
    let shorter = word.len().min(candidate.len());
    let one_begins_the_other = candidate.starts_with(word) || word.starts_with(candidate);
    if shorter >= 4 && one_begins_the_other {
        return 1;
    }
    strsim::damerau_levenshtein(word, candidate)
}

/// Case and the choice between `-` and `_` are no slips.
fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["seed", "burst", "emit_interval_ms", "retail", "retail_mix"];

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_none() {
        assert_eq!(did_you_mean("brust", KNOWN), Some("burst"));
        assert_eq!(did_you_mean("emit_interval", KNOWN), Some("emit_interval_ms"));
        assert_eq!(did_you_mean("Retail-Mix", KNOWN), Some("retail_mix"));
        assert_eq!(did_you_mean("retail_mx", KNOWN), Some("retail_mix"));
        assert_eq!(did_you_mean("retai", KNOWN), Some("retail"));
        assert_eq!(did_you_mean("weights", KNOWN), None);
    }
}
