//! Rules that receipts and online orders share: what a purchase comes to, and how it is paid.

use super::rules::Rule;
use super::seen::{Id, Money, Seen};
use super::watch::Watch;
use crate::event::{
    AMOUNT, AMOUNT_CENTS, CUSTOMER_ID, DECLINE_REASON, DISCOUNT_CENTS, GROSS_SUBTOTAL_CENTS,
    PAYMENT_METHOD, STATUS, STORE_ID, SUBTOTAL, SUBTOTAL_CENTS, TAX, TAX_CENTS, TENDER_TYPE, TOTAL,
    TOTAL_CENTS,
};
use crate::retail::enumerations::{STATUSES, TENDERS};

/// What is to be paid for, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Bill {
    pub(super) customer: i64,
    /// None for an online order.
    pub(super) store: Option<i64>,
    /// The visit or the order.
    pub(super) session: Id,
    pub(super) journey: Id,
    pub(super) gross: i64,
    pub(super) discount: i64,
    pub(super) subtotal: i64,
    pub(super) tax: i64,
    total: i64,
    tender: usize,
    /// Whether a payment was approved.
    pub(super) is_paid: bool,
}

impl Bill {
    /// Reads what a receipt or an order comes to, and checks that it adds up.
    pub(super) fn read(seen: &Seen<'_>, store: Option<i64>, watch: &mut Watch) -> Option<Self> {
        let cents = [GROSS_SUBTOTAL_CENTS, DISCOUNT_CENTS, SUBTOTAL_CENTS, TAX_CENTS, TOTAL_CENTS];
        let [gross, discount, subtotal, tax, total] = cents.map(|key| seen.integer(key));
        let (gross, discount, subtotal, tax, total) = (gross?, discount?, subtotal?, tax?, total?);
        for (key, cents) in [(SUBTOTAL, subtotal), (TAX, tax), (TOTAL, total)] {
            let money = seen.money(key)?;
            check_money(seen, money, key.as_str(), watch);
            check_cents(seen, money, cents, key.as_str(), watch);
        }
        watch.check(
            Rule::SubtotalIsGrossLessDiscount,
            seen,
            subtotal == gross.saturating_sub(discount) && discount >= 0,
            || format!("{subtotal} cents are not {gross} less {discount}"),
        );
        let is_taxed = (0..=subtotal.max(0)).contains(&tax);
        watch.check(Rule::TaxOnDiscountedAmount, seen, is_taxed, || {
            format!("a tax of {tax} cents on {subtotal}")
        });
        let adds_up = total == subtotal.saturating_add(tax);
        watch.check(Rule::TotalIsSubtotalPlusTax, seen, adds_up, || {
            format!("{total} cents are not {subtotal} and {tax}")
        });
        let (customer, session) = (seen.integer(CUSTOMER_ID)?, seen.session);
        let (journey, tender) = (seen.correlation, seen.code(TENDER_TYPE, TENDERS)?);
        let is_paid = false;
        Some(Self {
            customer,
            store,
            session,
            journey,
            gross,
            discount,
            subtotal,
            tax,
            total,
            tender,
            is_paid,
        })
    }

    /// What every event of the purchase has in common with it.
    pub(super) fn check_links(&self, seen: &Seen<'_>, watch: &mut Watch) {
        watch.check(Rule::SessionIdFollowsType, seen, seen.session == self.session, || {
            "the session is not that of the purchase".to_owned()
        });
    }

    /// What promotions, payments and fulfilment have in common with the purchase.
    pub(super) fn check_journey(&self, seen: &Seen<'_>, watch: &mut Watch) {
        watch.check(Rule::PurchaseCarriesJourney, seen, seen.correlation == self.journey, || {
            "the correlation is not the journey of the purchase".to_owned()
        });
    }

    pub(super) fn check_customer(&self, seen: &Seen<'_>, watch: &mut Watch) -> Option<()> {
        let (customer, store) = (seen.integer(CUSTOMER_ID)?, seen.nullable_integer(STORE_ID)?);
        let is_same = customer == self.customer && (store == self.store || self.store.is_none());
        watch.check(Rule::PurchaseIsOneCustomer, seen, is_same, || {
            format!("customer {customer}, where the purchase is customer {}'s", self.customer)
        });
        Some(())
    }

    /// A payment for it; none if it cannot be read.
    pub(super) fn pay(&mut self, seen: &Seen<'_>, watch: &mut Watch) -> Option<()> {
        self.check_customer(seen, watch)?;
        self.check_links(seen, watch);
        self.check_journey(seen, watch);
        let (amount, cents) = (seen.money(AMOUNT)?, seen.integer(AMOUNT_CENTS)?);
        check_money(seen, amount, AMOUNT.as_str(), watch);
        check_cents(seen, amount, cents, AMOUNT.as_str(), watch);
        let method = seen.code(PAYMENT_METHOD, TENDERS)?;
        let status = STATUSES[seen.code(STATUS, STATUSES)?];
        let has_reason = !seen.nullable_id(DECLINE_REASON)?.is_none();
        watch.check(Rule::DeclineHasReason, seen, has_reason == (status == "DECLINED"), || {
            format!("{status} {} a reason", if has_reason { "with" } else { "without" })
        });
        if status == "DECLINED" {
            watch.check(Rule::DeclinedBeforeApproved, seen, !self.is_paid, || {
                "a payment was approved before".to_owned()
            });
        } else if status == "APPROVED" {
            let is_first = !std::mem::replace(&mut self.is_paid, true);
            watch.check(Rule::OneApprovedPayment, seen, is_first, || {
                "a payment was approved before".to_owned()
            });
            watch.check(Rule::PaymentAmount, seen, cents == self.total, || {
                format!("{cents} cents, where the total is {}", self.total)
            });
            watch.check(Rule::PaymentMethodIsTender, seen, method == self.tender, || {
                format!("{}, where the tender is {}", TENDERS[method], TENDERS[self.tender])
            });
        }
        Some(())
    }
}

pub(super) fn check_money(seen: &Seen<'_>, money: Money, name: &str, watch: &mut Watch) {
    watch.check(Rule::MoneyInWholeCents, seen, money.is_whole, || {
        format!("`{name}` has more than two decimals")
    });
}

pub(super) fn check_cents(
    seen: &Seen<'_>,
    money: Money,
    cents: i64,
    name: &str,
    watch: &mut Watch,
) {
    watch.check(Rule::MoneyCentsMatch, seen, money.cents == cents, || {
        format!("`{name}` is {} cents, and {cents} stand beside it", money.cents)
    });
}
