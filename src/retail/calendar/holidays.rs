//! The holidays of retail in the United States, and what each does to stores.

use jiff::civil::{Date, Weekday};

/// A day on which retail is not as on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holiday {
    /// 1 January.
    NewYearsDay,
    /// The third Monday of January.
    MartinLutherKingDay,
    /// 14 February.
    ValentinesDay,
    /// The third Monday of February.
    PresidentsDay,
    /// From 22 March to 25 April.
    EasterSunday,
    /// The second Sunday of May.
    MothersDay,
    /// The last Monday of May.
    MemorialDay,
    /// The third Sunday of June.
    FathersDay,
    /// 4 July.
    IndependenceDay,
    /// The first Monday of September.
    LaborDay,
    /// 31 October.
    Halloween,
    /// 11 November.
    VeteransDay,
    /// The fourth Thursday of November.
    Thanksgiving,
    /// The day after Thanksgiving.
    BlackFriday,
    /// The Monday after Thanksgiving.
    CyberMonday,
    /// 24 December.
    ChristmasEve,
    /// 25 December: stores are closed.
    ChristmasDay,
    /// 26 December: gifts come back.
    DayAfterChristmas,
    /// 31 December.
    NewYearsEve,
}

/// The holiday on a date, of the Gregorian calendar in every year. No two fall on one date.
pub fn holiday(date: Date) -> Option<Holiday> {
    let (month, day, weekday) = (date.month(), date.day(), date.weekday());
    let found = match (month, day) {
        (1, 1) => Holiday::NewYearsDay,
        (1, 15..=21) if weekday == Weekday::Monday => Holiday::MartinLutherKingDay,
        (2, 14) => Holiday::ValentinesDay,
        (2, 15..=21) if weekday == Weekday::Monday => Holiday::PresidentsDay,
        (3 | 4, _) if (month, day) == easter(date.year()) => Holiday::EasterSunday,
        (5, 8..=14) if weekday == Weekday::Sunday => Holiday::MothersDay,
        (5, 25..) if weekday == Weekday::Monday => Holiday::MemorialDay,
        (6, 15..=21) if weekday == Weekday::Sunday => Holiday::FathersDay,
        (7, 4) => Holiday::IndependenceDay,
        (9, 1..=7) if weekday == Weekday::Monday => Holiday::LaborDay,
        (10, 31) => Holiday::Halloween,
        (11, 11) => Holiday::VeteransDay,
        (11, 22..=28) if weekday == Weekday::Thursday => Holiday::Thanksgiving,
        (11, 23..=29) if weekday == Weekday::Friday => Holiday::BlackFriday,
        (11, 26..) | (12, 1..=2) if weekday == Weekday::Monday => Holiday::CyberMonday,
        (12, 24) => Holiday::ChristmasEve,
        (12, 25) => Holiday::ChristmasDay,
        (12, 26) => Holiday::DayAfterChristmas,
        (12, 31) => Holiday::NewYearsEve,
        _ => return None,
    };
    Some(found)
}

/// Month and day of Easter Sunday: the anonymous Gregorian algorithm (Meeus, "Astronomical
/// Algorithms", 1991, chapter 8).
fn easter(year: i16) -> (i8, i8) {
    let year = i32::from(year);
    let golden = year.rem_euclid(19);
    let (century, of_century) = (year.div_euclid(100), year.rem_euclid(100));
    let correction = (century - (century + 8).div_euclid(25) + 1).div_euclid(3);
    let epact = (19 * golden + century - century.div_euclid(4) - correction + 15).rem_euclid(30);
    let to_sunday =
        (32 + 2 * century.rem_euclid(4) + 2 * (of_century / 4) - epact - of_century % 4)
            .rem_euclid(7);
    let late = (golden + 11 * epact + 22 * to_sunday) / 451;
    let days = epact + to_sunday - 7 * late + 114;
    ((days / 31) as i8, (days % 31 + 1) as i8)
}

impl Holiday {
    /// All of them, in the order of the year.
    pub const ALL: [Self; 19] = [
        Self::NewYearsDay,
        Self::MartinLutherKingDay,
        Self::ValentinesDay,
        Self::PresidentsDay,
        Self::EasterSunday,
        Self::MothersDay,
        Self::MemorialDay,
        Self::FathersDay,
        Self::IndependenceDay,
        Self::LaborDay,
        Self::Halloween,
        Self::VeteransDay,
        Self::Thanksgiving,
        Self::BlackFriday,
        Self::CyberMonday,
        Self::ChristmasEve,
        Self::ChristmasDay,
        Self::DayAfterChristmas,
        Self::NewYearsEve,
    ];

    /// Its name, as scripts see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewYearsDay => "new_years_day",
            Self::MartinLutherKingDay => "martin_luther_king_day",
            Self::ValentinesDay => "valentines_day",
            Self::PresidentsDay => "presidents_day",
            Self::EasterSunday => "easter_sunday",
            Self::MothersDay => "mothers_day",
            Self::MemorialDay => "memorial_day",
            Self::FathersDay => "fathers_day",
            Self::IndependenceDay => "independence_day",
            Self::LaborDay => "labor_day",
            Self::Halloween => "halloween",
            Self::VeteransDay => "veterans_day",
            Self::Thanksgiving => "thanksgiving",
            Self::BlackFriday => "black_friday",
            Self::CyberMonday => "cyber_monday",
            Self::ChristmasEve => "christmas_eve",
            Self::ChristmasDay => "christmas_day",
            Self::DayAfterChristmas => "day_after_christmas",
            Self::NewYearsEve => "new_years_eve",
        }
    }

    /// Footfall, against the same weekday without the holiday. 0 where stores are closed.
    pub const fn traffic(self) -> f64 {
        match self {
            Self::ChristmasDay => 0.0,
            Self::Thanksgiving => 0.4,
            Self::EasterSunday => 0.5,
            Self::NewYearsDay => 0.6,
            Self::IndependenceDay => 0.85,
            Self::VeteransDay | Self::MartinLutherKingDay | Self::FathersDay => 1.05,
            Self::PresidentsDay
            | Self::MothersDay
            | Self::MemorialDay
            | Self::LaborDay
            | Self::Halloween
            | Self::CyberMonday
            | Self::NewYearsEve => 1.1,
            Self::ValentinesDay => 1.15,
            Self::ChristmasEve => 1.2,
            Self::DayAfterChristmas => 1.4,
            Self::BlackFriday => 2.7,
        }
    }

    /// The full hours within which stores may open and close; none where they stay closed.
    pub const fn hours(self) -> Option<(i8, i8)> {
        match self {
            Self::ChristmasDay => None,
            Self::Thanksgiving | Self::EasterSunday => Some((9, 18)),
            Self::NewYearsDay => Some((10, 20)),
            Self::IndependenceDay => Some((8, 20)),
            Self::ChristmasEve => Some((0, 18)),
            Self::NewYearsEve => Some((0, 19)),
            _ => Some((0, 24)),
        }
    }

    /// Whether stores do not open at all.
    pub const fn is_closed(self) -> bool {
        self.hours().is_none()
    }

    /// Footfall of the days before it, the eve first, against the same days without it.
    pub(super) const fn run_up(self) -> &'static [f64] {
        match self {
            Self::ValentinesDay | Self::MothersDay => &[1.1, 1.05],
            Self::EasterSunday => &[1.25, 1.2, 1.1, 1.05],
            Self::MemorialDay | Self::LaborDay => &[1.05, 1.1],
            Self::IndependenceDay => &[1.15, 1.1],
            Self::Halloween => &[1.1, 1.05, 1.05],
            Self::Thanksgiving => &[1.3, 1.2, 1.15],
            Self::ChristmasDay => &[1.2, 1.45, 1.45, 1.4, 1.35, 1.3, 1.25, 1.25, 1.2, 1.2],
            _ => &[],
        }
    }

    /// Footfall of the days after it, the next first, against the same days without it.
    pub(super) const fn aftermath(self) -> &'static [f64] {
        match self {
            Self::BlackFriday => &[1.5, 1.25],
            Self::DayAfterChristmas => &[1.25, 1.15, 1.1, 1.1],
            _ => &[],
        }
    }

    /// The promotions for it: how intense, from how many days before it to how many after it.
    pub(super) const fn promotion(self) -> Option<(f64, usize, usize)> {
        match self {
            Self::BlackFriday => Some((3.0, 4, 3)),
            Self::Thanksgiving => Some((2.0, 10, 0)),
            Self::ChristmasDay => Some((2.5, 14, 6)),
            // Until the fortnight before Christmas begins.
            Self::CyberMonday => Some((2.0, 0, 14)),
            Self::MemorialDay | Self::IndependenceDay | Self::LaborDay => Some((1.75, 6, 0)),
            Self::EasterSunday => Some((1.75, 9, 0)),
            Self::NewYearsDay => Some((1.5, 0, 5)),
            Self::PresidentsDay => Some((1.5, 5, 0)),
            Self::ValentinesDay | Self::MothersDay | Self::FathersDay | Self::Halloween => {
                Some((1.5, 7, 0))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn days_of(year: i16) -> impl Iterator<Item = Date> {
        date(year, 1, 1).series(jiff::Span::new().days(1)).take_while(move |day| day.year() == year)
    }

    #[test]
    fn holidays_are_on_the_days_of_the_almanac() {
        let almanac = [
            (Holiday::NewYearsDay, "2024-01-01 2025-01-01 2026-01-01"),
            (Holiday::MartinLutherKingDay, "2024-01-15 2025-01-20 2026-01-19"),
            (Holiday::ValentinesDay, "2024-02-14 2025-02-14 2026-02-14"),
            (Holiday::PresidentsDay, "2024-02-19 2025-02-17 2026-02-16"),
            (Holiday::EasterSunday, "2024-03-31 2025-04-20 2026-04-05"),
            (Holiday::MothersDay, "2024-05-12 2025-05-11 2026-05-10"),
            (Holiday::MemorialDay, "2024-05-27 2025-05-26 2026-05-25"),
            (Holiday::FathersDay, "2024-06-16 2025-06-15 2026-06-21"),
            (Holiday::IndependenceDay, "2024-07-04 2025-07-04 2026-07-04"),
            (Holiday::LaborDay, "2024-09-02 2025-09-01 2026-09-07"),
            (Holiday::Halloween, "2024-10-31 2025-10-31 2026-10-31"),
            (Holiday::VeteransDay, "2024-11-11 2025-11-11 2026-11-11"),
            (Holiday::Thanksgiving, "2024-11-28 2025-11-27 2026-11-26"),
            (Holiday::BlackFriday, "2024-11-29 2025-11-28 2026-11-27"),
            (Holiday::CyberMonday, "2024-12-02 2025-12-01 2026-11-30"),
            (Holiday::ChristmasEve, "2024-12-24 2025-12-24 2026-12-24"),
            (Holiday::ChristmasDay, "2024-12-25 2025-12-25 2026-12-25"),
            (Holiday::DayAfterChristmas, "2024-12-26 2025-12-26 2026-12-26"),
            (Holiday::NewYearsEve, "2024-12-31 2025-12-31 2026-12-31"),
        ];
        assert_eq!(almanac.map(|(of, _)| of), Holiday::ALL);
        for (of, dates) in almanac {
            let days = (2024..=2026).flat_map(days_of).filter(|day| holiday(*day) == Some(of));
            let found: Vec<String> = days.map(|day| day.to_string()).collect();
            assert_eq!(found.join(" "), dates, "{}", of.name());
        }
    }

    #[test]
    fn easter_is_a_sunday_that_is_known_from_far_years_too() {
        let known =
            [(1598, (3, 22)), (1818, (3, 22)), (1943, (4, 25)), (2000, (4, 23)), (2038, (4, 25))];
        for (year, day) in known {
            assert_eq!(easter(year), day, "{year}");
        }
        for year in -9999..=9999 {
            let (month, day) = easter(year);
            assert_eq!(date(year, month, day).weekday(), Weekday::Sunday, "{year}");
            assert!(((3, 22)..=(4, 25)).contains(&(month, day)), "{year}");
        }
    }

    #[test]
    fn every_year_has_each_holiday_once_and_in_order() {
        for year in (-9999..=9999).step_by(97).chain(1990..2060) {
            let found: Vec<Holiday> = days_of(year).filter_map(holiday).collect();
            assert_eq!(found, Holiday::ALL, "{year}");
        }
    }

    #[test]
    fn only_christmas_closes_stores_and_holds_people_off() {
        for of in Holiday::ALL {
            assert_eq!(of.is_closed(), of == Holiday::ChristmasDay, "{}", of.name());
            assert_eq!(of.traffic() > 0.0, !of.is_closed(), "{}", of.name());
        }
    }
}
