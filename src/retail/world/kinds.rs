//! The closed lists of master data: how places, products and customers are told apart.

use std::fmt;
use std::str::FromStr;

/// A list of names that are written and read in lower case.
macro_rules! kinds {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them, each at the place of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name, as in master data and scripts.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $name {
            /// The names that there are.
            type Err = &'static [&'static str];

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|kind| kind.name() == text);
                found.copied().ok_or(const { &[$($text),*] })
            }
        }
    };
}

kinds! {
    /// A sales region.
    Region {
        /// The north-east.
        Northeast = "northeast",
        /// The south-east.
        Southeast = "southeast",
        /// The middle west.
        Midwest = "midwest",
        /// The south-west.
        Southwest = "southwest",
        /// The west coast and the mountains.
        West = "west",
    }
}

kinds! {
    /// What weather a place has over the year.
    Climate {
        /// Warm summers, snow in winter.
        Continental = "continental",
        /// Hot and wet summers with storms, mild winters.
        Subtropical = "subtropical",
        /// Dry and sunny all year.
        Desert = "desert",
        /// Mild, and often rainy.
        Oceanic = "oceanic",
        /// Dry summers, rain in winter.
        Mediterranean = "mediterranean",
        /// Long winters with much snow.
        Alpine = "alpine",
    }
}

kinds! {
    /// The weather of a day.
    Weather {
        /// Sunshine.
        Sun = "sun",
        /// Neither sunshine nor rain.
        Clouds = "clouds",
        /// Rain.
        Rain = "rain",
        /// Snow.
        Snow = "snow",
        /// A storm.
        Storm = "storm",
    }
}

kinds! {
    /// How much goes on in a store.
    Tier {
        /// One in twenty; 2.5 to 3 times the mean.
        Flagship = "flagship",
        /// Three in twenty; 1.8 to 2.4 times the mean.
        High = "high",
        /// Half of them; 0.8 to 1.2 times the mean.
        Medium = "medium",
        /// A quarter; 0.4 to 0.7 of the mean.
        Low = "low",
        /// One in twenty; 0.25 to 0.35 of the mean.
        Kiosk = "kiosk",
    }
}

kinds! {
    /// What kind of store it is.
    Format {
        /// Everything under one roof, with a large grocery.
        Hypermarket = "hypermarket",
        /// A large grocery.
        Supermarket = "supermarket",
        /// Clothing, electronics and the home.
        Department = "department",
        /// A few things, quickly.
        Express = "express",
    }
}

kinds! {
    /// A department.
    Department {
        /// Packaged food and drinks.
        Grocery = "grocery",
        /// Fruit, vegetables, meat, dairy: what spoils.
        Fresh = "fresh",
        /// Cleaning, paper, kitchen.
        Household = "household",
        /// Pharmacy and body care.
        Health = "health",
        /// Devices and accessories.
        Electronics = "electronics",
        /// Clothes and shoes.
        Clothing = "clothing",
        /// Toys and games.
        Toys = "toys",
        /// Garden, sports, decoration by the season.
        Seasonal = "seasonal",
    }
}

kinds! {
    /// How customers shop.
    Segment {
        /// Look for the price.
        Budget = "budget",
        /// Fill the cart for several.
        Family = "family",
        /// Buy the better things.
        Premium = "premium",
        /// Small baskets, paid by phone.
        Young = "young",
        /// Often, in the morning, with cash.
        Senior = "senior",
    }
}

kinds! {
    /// What there are files of.
    MasterKind {
        /// Stores.
        Stores = "stores",
        /// Distribution centres.
        Dcs = "dcs",
        /// Products.
        Products = "products",
        /// Customers.
        Customers = "customers",
        /// Trucks.
        Trucks = "trucks",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_by_its_name_and_a_wrong_one_is_told_the_names() {
        for tier in Tier::ALL {
            assert_eq!(tier.name().parse(), Ok(*tier));
        }
        let names = "huge".parse::<Tier>().unwrap_err();
        assert_eq!(names, ["flagship", "high", "medium", "low", "kiosk"]);
    }
}
