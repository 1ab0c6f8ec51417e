//! Sabotages of receipts, orders, payments, and the ads that lead to them.

use std::collections::{HashMap, HashSet};

use super::super::super::Rule;
use super::super::chain::{has, int, millis, money, of, paid};
use super::{DAY, MINUTE, Sabotage, breaks, dollars, is_bill, is_of_one_receipt, set_tax};
use crate::event::{
    AMOUNT, AMOUNT_CENTS, CAMPAIGN_ID, CUSTOMER_ID, DECLINE_REASON, DISCOUNT_AMOUNT,
    DISCOUNT_CENTS, EXTENDED_PRICE, Event, GROSS_SUBTOTAL_CENTS, IMPRESSION_ID, ITEM_COUNT,
    LINE_NUMBER, NODE_ID, ORDER_ID, PAYMENT_METHOD, PRODUCT_IDS, PROMO_CODE, QUANTITY, STATUS,
    STORE_ID, SUBTOTAL, SUBTOTAL_CENTS, TAX_CENTS, TOTAL, TOTAL_CENTS, Text, UNIT_PRICE, Value,
};
use crate::retail::EventType as T;

pub(super) const SABOTAGES: &[Sabotage] = &[
    // purchases
    breaks(Rule::ReceiptNamesItsVisit, "receipts have no parent", |chain| {
        chain.each(of(T::ReceiptCreated), |event| event.parent_event_id = None);
    }),
    breaks(Rule::ReceiptNamesItsVisit, "receipts are of no session", |chain| {
        chain.each(of(T::ReceiptCreated), |event| event.session_id = None);
    }),
    breaks(Rule::PurchaseTwoMinutesAfterEntry, "shoppers pay a minute after they came", |chain| {
        let receipts = chain.events.iter().filter(|event| of(T::ReceiptCreated)(event));
        let receipts: HashMap<_, _> =
            receipts.map(|event| (event.session_id.clone(), millis(event))).collect();
        chain.retime(|event| {
            let receipt = receipts.get(&event.session_id);
            let receipt = receipt.filter(|_| of(T::CustomerEntered)(event));
            receipt.map_or(millis(event), |receipt| receipt - MINUTE)
        });
    }),
    breaks(Rule::OrderOfReceipt, "lines come after the payment", |chain| {
        chain.put_behind(of(T::ReceiptLineAdded), |line, event| {
            paid("APPROVED")(event) && is_of_one_receipt(line, event)
        });
    }),
    breaks(Rule::OrderOfReceipt, "promotions come after the payment", |chain| {
        chain.put_behind(of(T::PromotionApplied), |promotion, event| {
            paid("APPROVED")(event) && is_of_one_receipt(promotion, event)
        });
    }),
    breaks(Rule::LinesComplete, "lines are numbered from 0", |chain| {
        chain.set(of(T::ReceiptLineAdded), LINE_NUMBER, |event| int(event, LINE_NUMBER) - 1);
    }),
    breaks(Rule::LinesComplete, "every second line is not told", |chain| {
        chain.lose_every_second(of(T::ReceiptLineAdded));
    }),
    breaks(Rule::LinesComplete, "pieces are counted for lines", |chain| {
        chain.set(of(T::ReceiptCreated), ITEM_COUNT, |event| int(event, ITEM_COUNT) + 1);
    }),
    breaks(Rule::LineNamesItsReceipt, "lines name the event before for their parent", |chain| {
        let mut before = None;
        chain.each(
            |_| true,
            |event| {
                let parent = before.replace(event.trace_id.clone());
                if of(T::ReceiptLineAdded)(event) {
                    event.parent_event_id = parent;
                }
            },
        );
    }),
    breaks(Rule::PurchaseIsOneCustomer, "payers are counted from 0, customers from 1", |chain| {
        chain.set(of(T::PaymentProcessed), CUSTOMER_ID, |event| int(event, CUSTOMER_ID) - 1);
    }),
    breaks(Rule::PurchaseIsOneCustomer, "promotions are all the first store's", |chain| {
        chain.set(of(T::PromotionApplied), STORE_ID, |_| 1_i64);
    }),
    // money
    breaks(Rule::MoneyInWholeCents, "unit prices have their tax in them", |chain| {
        chain.set(of(T::ReceiptLineAdded), UNIT_PRICE, |event| 1.0825 * money(event, UNIT_PRICE));
    }),
    breaks(Rule::MoneyInWholeCents, "totals are sums of floats", |chain| {
        chain.set(of(T::ReceiptCreated), TOTAL, |event| money(event, TOTAL) + 1e-9);
    }),
    breaks(Rule::MoneyCentsMatch, "totals have a cent more than beside them", |chain| {
        chain.set(of(T::ReceiptCreated), TOTAL, |event| dollars(int(event, TOTAL_CENTS) + 1));
    }),
    breaks(Rule::MoneyCentsMatch, "amounts of payments are cut to dollars", |chain| {
        chain.set(of(T::PaymentProcessed), AMOUNT, |event| money(event, AMOUNT).floor());
    }),
    breaks(Rule::LineExtendedPrice, "lines come to a cent more than their price", |chain| {
        chain.set(of(T::ReceiptLineAdded), EXTENDED_PRICE, |event| {
            let cents = (money(event, UNIT_PRICE) * 100.0).round() as i64;
            dollars(cents * int(event, QUANTITY) + 1)
        });
    }),
    breaks(Rule::DiscountedLineHasPromoCode, "lines do not say why they are discounted", |chain| {
        chain.set(of(T::ReceiptLineAdded), PROMO_CODE, |_| Value::Null);
    }),
    breaks(Rule::ReceiptSums, "lines have a piece more than the receipt", |chain| {
        chain.set(of(T::ReceiptLineAdded), QUANTITY, |event| int(event, QUANTITY) + 1);
    }),
    breaks(Rule::ReceiptSums, "receipts know nothing of discounts", |chain| {
        chain.each(of(T::ReceiptCreated), |event| {
            let subtotal = int(event, GROSS_SUBTOTAL_CENTS);
            event.payload.set(DISCOUNT_CENTS, 0_i64);
            event.payload.set(SUBTOTAL_CENTS, subtotal);
            event.payload.set(SUBTOTAL, dollars(subtotal));
        });
    }),
    breaks(Rule::SubtotalIsGrossLessDiscount, "the gross subtotal is discounted", |chain| {
        chain.set(of(T::ReceiptCreated), GROSS_SUBTOTAL_CENTS, |event| int(event, SUBTOTAL_CENTS));
    }),
    breaks(Rule::TaxOnDiscountedAmount, "tax rates are in percent", |chain| {
        chain.each(is_bill, |event| {
            let tax = 100 * int(event, TAX_CENTS);
            set_tax(event, tax);
        });
    }),
    breaks(Rule::TaxOnDiscountedAmount, "tax is on the gross amount", |chain| {
        chain.each(of(T::ReceiptCreated), |event| {
            let [gross, subtotal, tax] =
                [GROSS_SUBTOTAL_CENTS, SUBTOTAL_CENTS, TAX_CENTS].map(|key| int(event, key) as f64);
            set_tax(event, (tax * gross / subtotal).round() as i64);
        });
    }),
    breaks(Rule::TotalIsSubtotalPlusTax, "totals are without tax", |chain| {
        chain.each(is_bill, |event| {
            let total = int(event, SUBTOTAL_CENTS);
            event.payload.set(TOTAL_CENTS, total);
            event.payload.set(TOTAL, dollars(total));
        });
    }),
    breaks(Rule::ReceiptDiscountsMatchPromotions, "every second promotion is not told", |chain| {
        chain.lose_every_second(of(T::PromotionApplied));
    }),
    breaks(Rule::ReceiptDiscountsMatchPromotions, "promotions are told twice", |chain| {
        chain.repeat(of(T::PromotionApplied), |_| {});
    }),
    // payments
    breaks(Rule::OneApprovedPayment, "every second approved payment is not told", |chain| {
        chain.lose_every_second(paid("APPROVED"));
    }),
    breaks(Rule::OneApprovedPayment, "orders are never paid", |chain| {
        chain.lose(|event| paid("APPROVED")(event) && has(event, ORDER_ID));
    }),
    breaks(Rule::OneApprovedPayment, "purchases are paid twice", |chain| {
        chain.repeat(paid("APPROVED"), |_| {});
    }),
    breaks(Rule::OneApprovedPayment, "approved payments stay pending", |chain| {
        chain.set(paid("APPROVED"), STATUS, |_| "PENDING");
    }),
    breaks(Rule::PaymentAmount, "a cent is not paid", |chain| {
        chain.each(of(T::PaymentProcessed), |event| {
            let cents = int(event, AMOUNT_CENTS) - 1;
            event.payload.set(AMOUNT_CENTS, cents);
            event.payload.set(AMOUNT, dollars(cents));
        });
    }),
    breaks(Rule::PaymentMethodIsTender, "everybody pays cash", |chain| {
        chain.set(of(T::PaymentProcessed), PAYMENT_METHOD, |_| "CASH");
    }),
    breaks(Rule::DeclinedBeforeApproved, "cards are declined after they were taken", |chain| {
        chain.repeat(paid("APPROVED"), |event| {
            event.payload.set(STATUS, "DECLINED");
            event.payload.set(DECLINE_REASON, "CARD_EXPIRED");
        });
    }),
    breaks(Rule::DeclineHasReason, "declined payments have no reason", |chain| {
        chain.set(paid("DECLINED"), DECLINE_REASON, |_| Value::Null);
    }),
    breaks(Rule::DeclineHasReason, "approved payments have a reason, too", |chain| {
        chain.set(paid("APPROVED"), DECLINE_REASON, |_| "CARD_EXPIRED");
    }),
    // online orders
    breaks(Rule::OrderGoesItsWay, "orders are shipped, then picked", |chain| {
        chain.put_behind(of(T::OnlineOrderPicked), |picked, event| {
            of(T::OnlineOrderShipped)(event) && picked.session_id == event.session_id
        });
    }),
    breaks(Rule::OrderGoesItsWay, "orders are picked twice", |chain| {
        chain.repeat(of(T::OnlineOrderPicked), |_| {});
    }),
    breaks(Rule::OrderGoesItsWay, "orders are shipped from elsewhere", |chain| {
        chain.set(of(T::OnlineOrderShipped), NODE_ID, |event| int(event, NODE_ID) + 1);
    }),
    breaks(Rule::OrderGoesItsWay, "every second order is not shipped", |chain| {
        chain.lose_every_second(of(T::OnlineOrderShipped));
    }),
    breaks(Rule::OrderGoesItsWay, "every second order is not picked, nor shipped", |chain| {
        let orders = chain.events.iter().filter(|event| of(T::OnlineOrderCreated)(event));
        let lost: HashSet<_> = orders.step_by(2).map(|event| event.session_id.clone()).collect();
        chain.lose(|event| {
            (of(T::OnlineOrderPicked)(event) || of(T::OnlineOrderShipped)(event))
                && lost.contains(&event.session_id)
        });
    }),
    // marketing
    breaks(Rule::LastTouch, "purchases are attributed to the first touch", |chain| {
        let mut first: HashMap<i64, [Value; 2]> = HashMap::new();
        chain.each(
            |event| has(event, IMPRESSION_ID),
            |event| {
                let customer = int(event, CUSTOMER_ID);
                let names = [IMPRESSION_ID, CAMPAIGN_ID];
                let own = names.map(|key| event.payload.get(key).unwrap().clone());
                let touch = first.entry(customer).or_insert(own);
                if !of(T::AdImpression)(event) {
                    names.iter().zip(touch).for_each(|(key, value)| {
                        event.payload.set(*key, value.clone());
                    });
                }
            },
        );
    }),
    breaks(Rule::LastTouch, "purchases are attributed to ads of the week before", |chain| {
        chain.delay(of(T::AdImpression), -8 * DAY);
    }),
    breaks(Rule::LastTouch, "purchases are all of one campaign", |chain| {
        let is_led = |event: &Event| is_bill(event) && has(event, IMPRESSION_ID);
        chain.set(is_led, CAMPAIGN_ID, |_| "CAMP_0");
    }),
    breaks(Rule::PurchaseCarriesJourney, "payments carry no journey", |chain| {
        chain.each(of(T::PaymentProcessed), |event| event.correlation_id = None);
    }),
    breaks(Rule::PurchaseCarriesJourney, "orders without an ad have a journey", |chain| {
        chain.each(of(T::OnlineOrderCreated), |event| {
            event.correlation_id.get_or_insert(Text::from("JRN_1732500000_00001"));
        });
    }),
    breaks(Rule::JourneyBeginsWithAd, "ads do not know their journey", |chain| {
        chain.each(of(T::AdImpression), |event| event.correlation_id = None);
    }),
    breaks(Rule::PromotionIsReal, "promotions name a product that was not bought", |chain| {
        chain.each(of(T::PromotionApplied), |event| {
            let Some(Value::List(products)) = event.payload.get_mut(PRODUCT_IDS) else { return };
            products[0] = Value::Int(999);
        });
    }),
    breaks(Rule::PromotionIsReal, "promotions give a cent more", |chain| {
        chain.each(of(T::PromotionApplied), |event| {
            let cents = int(event, DISCOUNT_CENTS) + 1;
            event.payload.set(DISCOUNT_CENTS, cents);
            event.payload.set(DISCOUNT_AMOUNT, dollars(cents));
        });
    }),
];
