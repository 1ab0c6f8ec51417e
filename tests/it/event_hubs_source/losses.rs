//! Connections, links and tokens are lost: everything arrives once, and in its order.

use event_hubs_peer::{AttachFault, Condition, Peer, ReceiveFault, Times};

use super::{HUB, READER, Reader, append, hub};
use crate::harness::{Ended, Test};

/// Reads from two partitions while something is lost, and looks that nothing is missing and
/// nothing comes twice.
fn survives(lose: impl FnOnce(&Peer)) -> Ended {
    let peer = hub(2);
    append(&peer, 0, 0..500);
    append(&peer, 1, 0..500);
    let mut reader = Reader::start(&peer, "start: earliest, prefetch: 50");
    // More than one partition has: both links work.
    reader.read_up_to(600);
    lose(&peer);
    append(&peer, 0, 500..900);
    append(&peer, 1, 500..900);
    reader.read_up_to(1800).has_in_order(&[0..900, 0..900]);
    append(&peer, 1, 900..901);
    reader.read_up_to(1801);
    reader.stop()
}

/// The same, where the loss comes in place of an event, after so many others.
fn survives_in_the_midst(fault: ReceiveFault) -> Ended {
    survives(|peer| peer.on_receive(fault, Times::OnceAfter(137)))
}

#[test]
fn a_connection_that_is_cut() {
    survives(Peer::cut_all).says("trying again from now on").says("reading the event hub");
    survives_in_the_midst(ReceiveFault::Cut).says("trying again from now on");
}

#[test]
fn a_connection_that_is_closed() {
    let condition = Condition::CONNECTION_FORCED;
    survives(|peer| peer.close_all(&condition)).says("trying again from now on");
    survives_in_the_midst(ReceiveFault::Close(condition));
}

#[test]
fn a_link_that_is_detached_is_attached_again_on_the_same_connection() {
    survives(|peer| {
        let connections = peer.statistics().connections;
        peer.detach_all(&Condition::LINK_DETACH_FORCED);
        peer.wait_until(|peer| peer.statistics().open.receivers == 2);
        assert_eq!(peer.statistics().connections, connections);
    })
    .never_says("not reading");
    survives_in_the_midst(ReceiveFault::Detach(Condition::INTERNAL_ERROR));
}

#[test]
fn a_connection_that_says_nothing_any_more() {
    survives(Peer::stall_all).says("took longer than 3 s");
    survives_in_the_midst(ReceiveFault::Stall).says("took longer than 3 s");
}

#[test]
fn a_service_that_is_restarted() {
    survives(|peer| {
        peer.stop();
        peer.start_again();
    });
}

#[test]
fn tokens_that_run_out() {
    survives(Peer::expire_tokens).says("unauthorized").says("reading the event hub");
}

#[test]
fn a_partition_that_another_receiver_takes_for_a_while() {
    survives_in_the_midst(ReceiveFault::Detach(Condition::LINK_STOLEN))
        .says("another receiver took the partition")
        .never_says("trying again from now on");
}

#[test]
fn a_link_whose_attach_is_never_answered() {
    let peer = hub(1);
    append(&peer, 0, 0..3);
    peer.on_attach(AttachFault::NoAnswer, Times::N(1));
    let spec = READER.replace("connect_timeout: 3s", "connect_timeout: 2s");
    let test = Test::new(&["run", "-"]).stdin(&spec.replace("{with}", "start: earliest"));
    let mut reader = Reader::of(test.env("HUB", &peer.connection_string(HUB)));
    reader.read_up_to(3).has(0..3);
    reader.stop().says("do not arrive");
}

#[test]
fn a_loss_before_the_first_event_loses_none_of_those_that_come_meanwhile() {
    let peer = hub(1);
    append(&peer, 0, 0..5);
    let mut reader = Reader::start(&peer, "start: latest");
    peer.wait_until(|peer| peer.statistics().open.receivers == 1);
    peer.stop();
    append(&peer, 0, 5..8);
    peer.start_again();
    reader.read_up_to(3).has(5..8);
    reader.stop();
}

#[test]
fn a_receiver_with_a_higher_level_takes_partitions_and_leaves_them_again() {
    let peer = hub(2);
    let mut low = Reader::start(&peer, "start: earliest, owner_level: 1");
    append(&peer, 0, 0..10);
    append(&peer, 1, 0..10);
    low.read_up_to(20);
    let mut high = Reader::start(&peer, "start: latest, owner_level: 2");
    low.running.wait_for("another receiver took the partition");
    low.running.wait_for("another receiver took the partition");
    append(&peer, 0, 10..15);
    append(&peer, 1, 10..15);
    high.read_up_to(10).has_in_order(&[10..15, 10..15]);
    high.stop();
    low.read_up_to(30).has_in_order(&[0..15, 0..15]);
    low.stop();
}

#[test]
fn events_that_are_not_kept_any_more_are_said_to_be_lost() {
    let peer = hub(1);
    append(&peer, 0, 0..10);
    let mut reader = Reader::start(&peer, "start: earliest");
    reader.read_up_to(10);
    peer.stop();
    append(&peer, 0, 10..20);
    peer.expire(HUB, 0, 13);
    peer.start_again();
    reader.read_up_to(17);
    let numbers: Vec<_> = super::by_partition(&reader.events).remove(&0).unwrap();
    assert_eq!(numbers, (0..10).chain(13..20).collect::<Vec<_>>());
    let lost = "3 events of partition `0` are lost, the sequence numbers 10 to 12";
    reader.stop().says(lost);
}

#[test]
fn who_is_too_slow_for_the_retention_is_told_so() {
    let peer = hub(1);
    append(&peer, 0, 0..40_000);
    let mut reader = Reader::start(&peer, "start: earliest, prefetch: 10");
    reader.read_up_to(1);
    peer.expire(HUB, 0, 39_990);
    let mut number = 0;
    while number < 39_999 {
        let count = reader.events.len();
        reader.read_up_to(count + 1);
        number = reader.events[count]["payload"]["number"].as_u64().unwrap();
    }
    let lost = 40_000 - reader.events.len();
    assert!(lost > 0, "it was quicker than the test");
    reader.stop().says(&format!("{lost} events of partition `0` are lost"));
}
