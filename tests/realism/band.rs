//! A band: what is measured of a stream, between which bounds it should lie, and the table of all.

use std::fmt::Write;
use std::ops::RangeInclusive;

/// No bounds: the figure is shown, and nothing is asked of it.
pub(crate) const UNBOUNDED: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

/// One property of a stream, with what was measured of it.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    /// What it is, with its unit.
    pub(crate) name: String,
    /// What was measured.
    pub(crate) figure: Figure,
    /// The lowest figure that is realistic.
    pub(crate) low: f64,
    /// The highest figure that is realistic.
    pub(crate) high: f64,
    /// What the figure is made of, or why there is none.
    pub(crate) text: String,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    /// Nothing: the stream has too little of what it takes.
    Unmeasured,
    /// One number.
    Number(f64),
    /// A number for each of several things; the bounds hold for each.
    List(Vec<(String, f64)>),
}

/// What a figure says about the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Within the bounds.
    Ok,
    /// Outside of them.
    Out,
    /// There are no bounds.
    Shown,
    /// There is no figure.
    Unmeasured,
}

impl Band {
    /// A band that was not measured yet.
    pub(crate) fn new(name: impl Into<String>, bounds: RangeInclusive<f64>) -> Self {
        let (low, high) = bounds.into_inner();
        Self {
            name: name.into(),
            figure: Figure::Unmeasured,
            low,
            high,
            text: "not measured".to_owned(),
        }
    }

    /// With its figure; what is not finite, such as a share of nothing, is none.
    pub(crate) fn number(self, figure: f64, text: impl Into<String>) -> Self {
        if !figure.is_finite() {
            return self.unmeasured("nothing to measure it by");
        }
        Self { figure: Figure::Number(figure), text: text.into(), ..self }
    }

    /// With a figure for each of several things; what is not finite is left out.
    pub(crate) fn list(self, figures: Vec<(String, f64)>, text: impl Into<String>) -> Self {
        let figures: Vec<_> = figures.into_iter().filter(|(_, one)| one.is_finite()).collect();
        if figures.is_empty() {
            return self.unmeasured("nothing to measure it by");
        }
        Self { figure: Figure::List(figures), text: text.into(), ..self }
    }

    /// Without a figure, and why.
    pub(crate) fn unmeasured(self, why: impl Into<String>) -> Self {
        Self { figure: Figure::Unmeasured, text: why.into(), ..self }
    }

    /// What the figure says about the stream.
    pub(crate) fn verdict(&self) -> Verdict {
        let within = |figure: f64| self.low <= figure && figure <= self.high;
        let holds = match &self.figure {
            Figure::Unmeasured => return Verdict::Unmeasured,
            Figure::Number(figure) => within(*figure),
            Figure::List(figures) => figures.iter().all(|(_, figure)| within(*figure)),
        };
        match holds {
            _ if self.low.is_infinite() && self.high.is_infinite() => Verdict::Shown,
            true => Verdict::Ok,
            false => Verdict::Out,
        }
    }
}

/// All bands as a table for a human.
pub(crate) fn table(bands: &[Band]) -> String {
    let width = bands.iter().map(|band| band.name.chars().count()).max().unwrap_or(0);
    let mut table = String::new();
    for band in bands {
        let (figure, list) = match &band.figure {
            Figure::Unmeasured => ("-".to_owned(), None),
            Figure::Number(figure) => (short(*figure), None),
            Figure::List(figures) => ("list".to_owned(), Some(figures)),
        };
        let verdict = match band.verdict() {
            Verdict::Ok => "ok",
            Verdict::Out => "OUT",
            Verdict::Shown | Verdict::Unmeasured => "",
        };
        let _ = write!(
            table,
            "{:width$}  {figure:>9}  {:>15}  {verdict:3}  ",
            band.name,
            bounds(band.low, band.high)
        );
        for (name, figure) in list.into_iter().flatten() {
            let _ = write!(table, "{name} {}, ", short(*figure));
        }
        table.push_str(&band.text);
        let end = table.trim_end().trim_end_matches(',').len();
        table.truncate(end);
        table.push('\n');
    }
    table
}

fn bounds(low: f64, high: f64) -> String {
    match (low.is_finite(), high.is_finite()) {
        (true, true) => format!("{} .. {}", short(low), short(high)),
        (true, false) => format!(">= {}", short(low)),
        (false, true) => format!("<= {}", short(high)),
        (false, false) => String::new(),
    }
}

/// As many decimals as say something, three at most.
fn short(figure: f64) -> String {
    let decimals = match figure.abs() {
        0.0..10.0 => 3,
        10.0..1000.0 => 1,
        _ => return format!("{figure:.0}"),
    };
    let text = format!("{figure:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_out_when_one_of_it_is() {
        let band = |figures: [f64; 2]| {
            let named = figures.map(|figure| (String::new(), figure)).to_vec();
            Band::new("baskets", 1.0..=3.0).list(named, "").verdict()
        };
        assert_eq!(band([1.0, 3.0]), Verdict::Ok);
        assert_eq!(band([1.0, 3.5]), Verdict::Out);
        assert_eq!(band([f64::NAN, f64::NAN]), Verdict::Unmeasured);
    }

    #[test]
    fn a_table_says_what_is_out_and_what_was_not_measured() {
        let bands = [
            Band::new("peak", 8.5..=11.0).number(12.25, "at 17"),
            Band::new("rain", 0.6..=0.8).unmeasured("no weather is known"),
            Band::new("late", UNBOUNDED).number(2.0, ""),
            Band::new("tail", 3.0..=f64::INFINITY).number(f64::NAN, ""),
        ];
        let lines: Vec<String> = table(&bands)
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "peak 12.2 8.5 .. 11 OUT at 17",
                "rain - 0.6 .. 0.8 no weather is known",
                "late 2",
                "tail - >= 3 nothing to measure it by",
            ]
        );
    }
}
