//! An event as one aligned line for a reader: when, what, where, the fields that tell most, and
//! the event that led to it.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::event::{
    ACTUAL_UNLOAD_DURATION, AMOUNT, CAMPAIGN_ID, CHANNEL, COST, CURRENT_QUANTITY, CUSTOMER_COUNT,
    CUSTOMER_ID, DC_ID, DECLINE_REASON, DISCOUNT_AMOUNT, DWELL_TIME, ESTIMATED_UNLOAD_DURATION,
    EXTENDED_PRICE, Event, FROM_ZONE, FULFILLMENT_MODE, ITEM_COUNT, Key, LAST_KNOWN_QUANTITY,
    ORDER_ID, PAYMENT_METHOD, PRIORITY, PRODUCT_ID, PROMO_CODE, QUANTITY, QUANTITY_DELTA,
    QUANTITY_ON_HAND, REASON, RECEIPT_ID, REORDER_QUANTITY, RSSI, SHIPMENT_ID, STATUS, STORE_ID,
    SUBTOTAL, TAX, TENDER_TYPE, TO_ZONE, TOTAL, TRUCK_ID, Text, Timestamp, UNIT_PRICE, Value, ZONE,
};

/// How many characters the fields of an event take at most.
const FIELDS_WIDTH: usize = 72;
/// How many characters one value takes at most.
const VALUE_WIDTH: usize = 28;
/// How many characters at the end of an id tell it from those around it.
const SHORT_ID: usize = 5;

/// The contract's fields that tell most, best first. What a pipeline added comes before all of
/// them: it is what its author wants to see.
const TELLING: &[Key] = &[
    TOTAL,
    AMOUNT,
    STATUS,
    DECLINE_REASON,
    TENDER_TYPE,
    PAYMENT_METHOD,
    ITEM_COUNT,
    QUANTITY,
    EXTENDED_PRICE,
    PROMO_CODE,
    DISCOUNT_AMOUNT,
    QUANTITY_DELTA,
    REASON,
    QUANTITY_ON_HAND,
    LAST_KNOWN_QUANTITY,
    CURRENT_QUANTITY,
    REORDER_QUANTITY,
    PRIORITY,
    FROM_ZONE,
    TO_ZONE,
    ZONE,
    RSSI,
    CUSTOMER_COUNT,
    DWELL_TIME,
    CHANNEL,
    CAMPAIGN_ID,
    COST,
    FULFILLMENT_MODE,
    TRUCK_ID,
    ESTIMATED_UNLOAD_DURATION,
    ACTUAL_UNLOAD_DURATION,
    PRODUCT_ID,
    CUSTOMER_ID,
    RECEIPT_ID,
    ORDER_ID,
    SHIPMENT_ID,
];

/// Fields that hold money: always two decimals.
const MONEY: &[Key] = &[TOTAL, AMOUNT, SUBTOTAL, TAX, UNIT_PRICE, EXTENDED_PRICE, DISCOUNT_AMOUNT];

const DIM: Style = Style::new().dimmed();

/// Writes lines to a buffer.
pub struct PrettyWriter {
    out: String,
    colour: bool,
    /// The date that was announced last; lines show the time of day only.
    date: String,
}

impl PrettyWriter {
    /// A writer that uses colours or does not.
    pub fn new(colour: bool) -> Self {
        Self { out: String::new(), colour, date: String::new() }
    }

    /// Takes what was written.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out).into_bytes()
    }

    /// Writes an event as one line, after a line with the date where a new day begins.
    pub fn line(&mut self, event: &Event) {
        self.time(event.time);
        self.styled(DIM, &short_id(&event.trace_id));
        self.out.push(' ');
        let event_type = clean(event.event_type.as_str(), VALUE_WIDTH);
        self.styled(style_of(event.event_type), &format!("{event_type:<21}"));
        let place = event.partition_key.as_ref().map(|key| clean_text(key, VALUE_WIDTH));
        self.out.push(' ');
        self.styled(Style::new(), &format!("{:<10}", place.as_deref().unwrap_or("-")));
        self.fields(event);
        if let Some(parent) = &event.parent_event_id {
            self.styled(Style::new(), " <- ");
            self.styled(DIM, &short_id(parent));
        }
        if let Some(whole) = event.correlation_id.as_ref().or(event.session_id.as_ref()) {
            self.styled(DIM, &format!(" in {}", clean_text(whole, VALUE_WIDTH)));
        }
        self.out.push('\n');
    }

    fn time(&mut self, time: Timestamp) {
        let text = time.to_string();
        // A rendered timestamp is `YYYY-MM-DDTHH:MM:SS.mmmZ`.
        let (date, time_of_day) = text.split_at(10);
        if date != self.date {
            date.clone_into(&mut self.date);
            self.styled(DIM, &format!("{date} (UTC)"));
            self.out.push('\n');
        }
        self.styled(DIM, time_of_day.trim_matches(['T', 'Z']));
        self.out.push(' ');
    }

    fn fields(&mut self, event: &Event) {
        let mut room = FIELDS_WIDTH;
        for (key, value) in telling_fields(event) {
            let (name, value) = (clean(key.as_str(), VALUE_WIDTH), rendered(key, value));
            let width = name.chars().count() + value.chars().count() + 2;
            if width > room {
                break;
            }
            room -= width;
            self.out.push(' ');
            self.styled(DIM, &format!("{name}="));
            self.out.push_str(&value);
        }
    }

    fn styled(&mut self, style: Style, text: &str) {
        if self.colour {
            // Writing to a string does not fail.
            let _ = write!(self.out, "{style}{text}{style:#}");
        } else {
            self.out.push_str(text);
        }
    }
}

/// The fields of the payload that are worth showing, most telling first.
fn telling_fields(event: &Event) -> Vec<(Key, &Value)> {
    let place_is_shown = event.partition_key.is_some();
    let rank = |key: Key| {
        let of_contract = TELLING.iter().position(|telling| *telling == key);
        match of_contract {
            Some(rank) => Some(rank + 1),
            None if key == STORE_ID || key == DC_ID => (!place_is_shown).then_some(0),
            None => (!key.is_of_contract()).then_some(0),
        }
    };
    let mut fields: Vec<_> = event
        .payload
        .iter()
        .filter_map(|(key, value)| rank(key).map(|rank| (rank, key, value)))
        .filter(|(rank, _, value)| *rank == 0 || **value != Value::Null)
        .collect();
    fields.sort_by_key(|(rank, ..)| *rank);
    fields.into_iter().map(|(_, key, value)| (key, value)).collect()
}

fn rendered(key: Key, value: &Value) -> String {
    match value {
        Value::Float(amount) if MONEY.contains(&key) => format!("{amount:.2}"),
        Value::Int(amount) if MONEY.contains(&key) => format!("{amount}.00"),
        Value::Float(cost) if key == COST => format!("{cost:.4}"),
        Value::Text(text) => clean_text(text, VALUE_WIDTH),
        Value::Time(time) => time.to_string(),
        value => clean(&serde_json::to_string(value).unwrap_or_default(), VALUE_WIDTH),
    }
}

fn short_id(id: &Text) -> String {
    id.with_str(|id| {
        let cut = id.char_indices().rev().nth(SHORT_ID - 1).map_or(0, |(byte, _)| byte);
        let end = clean(&id[cut..], VALUE_WIDTH);
        format!("#{end:<SHORT_ID$}")
    })
}

fn clean_text(text: &Text, width: usize) -> String {
    text.with_str(|text| clean(text, width))
}

/// At most `width` characters, without any that would move a terminal's cursor.
fn clean(text: &str, width: usize) -> String {
    let mut clean: String = text
        .chars()
        .take(width + 1)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect();
    if let Some((cut, _)) = clean.char_indices().nth(width) {
        clean.truncate(cut);
        clean.pop();
        clean.push('…');
    }
    clean
}

/// One colour for each family of events.
fn style_of(event_type: Key) -> Style {
    let starts =
        |prefixes: &[&str]| prefixes.iter().any(|prefix| event_type.as_str().starts_with(prefix));
    let colour = match () {
        () if !event_type.is_of_contract() => return Style::new().bold(),
        () if starts(&["receipt_", "payment_"]) => AnsiColor::Green,
        () if starts(&["inventory_", "stockout_", "reorder_", "truck_"]) => AnsiColor::Yellow,
        () if starts(&["customer_", "ble_"]) => AnsiColor::Cyan,
        () if starts(&["ad_", "promotion_"]) => AnsiColor::Magenta,
        () if starts(&["online_"]) => AnsiColor::BrightGreen,
        () => AnsiColor::Blue,
    };
    colour.on_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{JsonReader, TOTAL_CENTS};

    fn line(json: &str, colour: bool) -> String {
        let event = JsonReader::new().event(json.as_bytes()).unwrap();
        let mut writer = PrettyWriter::new(colour);
        writer.line(&event);
        String::from_utf8(writer.take()).unwrap()
    }

    const RECEIPT: &str = r#"{"event_type":"receipt_created","ingest_timestamp":
        "2024-11-29T10:00:01.250Z","payload":{"store_id":12,"customer_id":77,"subtotal":40.0,
        "total":45.2,"tender_type":"CREDIT_CARD","item_count":3,"campaign_id":null,
        "total_cents":4520,"high_value":true},"trace_id":"TR_1732874401_1234500017",
        "partition_key":"store_12","parent_event_id":"TR_1732874400_1234500009"}"#;

    #[test]
    fn a_line_tells_when_what_where_and_why() {
        assert_eq!(
            line(RECEIPT, false),
            "2024-11-29 (UTC)\n10:00:01.250 #00017 receipt_created       store_12   \
             high_value=true total=45.20 tender_type=CREDIT_CARD item_count=3 <- #00009\n"
        );
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let colourful = line(RECEIPT, true);
        assert!(colourful.contains("\u{1b}[32mreceipt_created"), "{colourful:?}");
        assert_eq!(anstream::adapter::strip_str(&colourful).to_string(), line(RECEIPT, false));
    }

    #[test]
    fn the_date_is_shown_when_it_changes() {
        let mut writer = PrettyWriter::new(false);
        let mut event = JsonReader::new().event(RECEIPT.as_bytes()).unwrap();
        writer.line(&event);
        writer.line(&event);
        event.time = "2024-11-30T00:00:00Z".parse().unwrap();
        writer.line(&event);
        let text = String::from_utf8(writer.take()).unwrap();
        let dates: Vec<_> = text.lines().filter(|line| line.ends_with("(UTC)")).collect();
        assert_eq!(dates, ["2024-11-29 (UTC)", "2024-11-30 (UTC)"]);
    }

    #[test]
    fn nothing_in_an_event_reaches_the_terminal_as_a_command() {
        let text = line(
            r#"{"event_type":"x\u001b[2J","ingest_timestamp":"2024-11-29T10:00:00Z",
            "payload":{"a\u0007":"\u001b]0;gone\u0007\n","nested":{"b":"\u001b"}},
            "trace_id":"\u001b","partition_key":"\u001b"}"#,
            false,
        );
        assert_eq!(text.matches(|c: char| c.is_control() && c != '\n').count(), 0, "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text:?}");
    }

    #[test]
    fn a_wide_payload_stays_on_its_line() {
        let fields: Vec<_> = (0..100).map(|n| format!("\"f{n}\":\"{}\"", "x".repeat(n))).collect();
        let json = format!(
            r#"{{"event_type":"wide","ingest_timestamp":"2024-11-29T10:00:00Z","payload":{{{}}}}}"#,
            fields.join(",")
        );
        let text = line(&json, false);
        assert!(text.lines().last().unwrap().chars().count() < 130, "{text}");
    }

    #[test]
    fn cents_beside_their_money_are_left_out() {
        assert!(TOTAL_CENTS.is_of_contract());
        assert!(!line(RECEIPT, false).contains("total_cents"));
    }
}
