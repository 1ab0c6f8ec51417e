//! Disruptions: the incidents that the user has scheduled, as they begin and end, and what they do
//! to the other processes. Their ground truth is told by the first cell that they touch.

use serde::{Deserialize, Serialize};

use super::stock::{Cause, Movement, Place, Reason};
use crate::event::{
    BEGIN_TIME, DC, DC_ID, DEPARTMENT, END_TIME, INC, INCIDENT_ID, INCIDENT_TYPE, REGION, SEVERITY,
    STORE, STORE_ID, TRUCK_ID, Text,
};
use crate::retail::cell::Cell;
use crate::retail::event_types::EventType;
use crate::retail::incidents::{Incident, IncidentType, Target};
use crate::retail::payload::four_digits;
use crate::retail::reporter::Links;
use crate::retail::scene::Scene;
use crate::retail::schedule::{Millis, Task};
use crate::retail::world::Department;

/// The incidents that go on, by their place in the options, each with the trace id of its begin.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::retail) struct Disruptions {
    active: Vec<(u32, Text)>,
}

impl Disruptions {
    /// When the last of the incidents that are meant ends; none where none goes on.
    pub(super) fn end_of(
        &self,
        scene: &Scene,
        is_meant: impl Fn(&Incident) -> bool,
    ) -> Option<Millis> {
        if self.active.is_empty() {
            return None;
        }
        let meant = self.incidents(scene).filter(|incident| is_meant(incident));
        meant.map(|incident| incident.end.as_millis()).max()
    }

    /// How bad the worst of the incidents that are meant is; 0 where none goes on.
    fn severity(&self, scene: &Scene, is_meant: impl Fn(&Incident) -> bool) -> f64 {
        if self.active.is_empty() {
            return 0.0;
        }
        let meant = self.incidents(scene).filter(|incident| is_meant(incident));
        meant.map(|incident| incident.severity).fold(0.0, f64::max)
    }

    fn incidents<'a>(&'a self, scene: &'a Scene) -> impl Iterator<Item = &'a Incident> {
        self.active.iter().filter_map(|(number, _)| scene.options.incidents.get(*number as usize))
    }
}

impl Cell {
    /// Plans the begin and the end of all incidents that touch this cell.
    pub(in crate::retail) fn plan_incidents(&mut self, start: Millis) {
        for (number, incident) in (0..).zip(&self.scene.options.incidents) {
            let end = incident.end.as_millis();
            if end > start && incident.hits_cell(&self.scene.world, self.ground.dc) {
                let begin = incident.begin.as_millis().max(start);
                self.schedule.at(begin, Task::IncidentBegins(number));
                self.schedule.at(end, Task::IncidentEnds(number));
            }
        }
    }

    pub(in crate::retail) fn begin_incident(&mut self, number: u32, now: Millis) {
        let trace = self.tell_incident(EventType::IncidentStarted, number, None, now);
        self.disruptions.active.push((number, trace));
        let incident = &self.scene.options.incidents[number as usize];
        if incident.incident_type == IncidentType::InventoryShortage {
            self.take_out_stock(number, now);
        }
    }

    pub(in crate::retail) fn end_incident(&mut self, number: u32, now: Millis) {
        let place = self.disruptions.active.iter().position(|(active, _)| *active == number);
        let Some(place) = place else { return };
        let (_, begin) = self.disruptions.active.remove(place);
        self.tell_incident(EventType::IncidentEnded, number, Some(begin), now);
    }

    /// How bad an incident of a type is at a store, from 0 to 1.
    pub(super) fn severity_at_store(&self, incident_type: IncidentType, store: u32) -> f64 {
        let store = self.ground.stores[store as usize];
        self.disruptions.severity(&self.scene, |incident| {
            incident.incident_type == incident_type && incident.hits_store(&self.scene.world, store)
        })
    }

    /// How bad an incident of a type is at the centre, from 0 to 1.
    pub(super) fn severity_at_dc(&self, incident_type: IncidentType) -> f64 {
        self.disruptions.severity(&self.scene, |incident| {
            let is_truck = matches!(incident.target, Target::Truck(_));
            incident.incident_type == incident_type
                && !is_truck
                && incident.hits_dc(&self.scene.world, self.ground.dc)
        })
    }

    /// Until when an incident of the centre holds up the shipment that asks; as often as it is bad.
    pub(super) fn held_up(&mut self, incident_type: IncidentType) -> Option<Millis> {
        let severity = self.severity_at_dc(incident_type);
        if severity <= 0.0 || !self.replenishment.chance(severity) {
            return None;
        }
        self.disruptions.end_of(&self.scene, |incident| {
            let is_truck = matches!(incident.target, Target::Truck(_));
            incident.incident_type == incident_type
                && !is_truck
                && incident.hits_dc(&self.scene.world, self.ground.dc)
        })
    }

    /// Until when suppliers do not bring a product.
    pub(super) fn supplier_waits_until(&mut self, product: u32) -> Option<Millis> {
        let department = self.scene.world.products[product as usize].department;
        let short = self.disruptions.end_of(&self.scene, |incident| {
            incident.incident_type == IncidentType::InventoryShortage
                && incident.hits_dc(&self.scene.world, self.ground.dc)
                && incident.department.is_none_or(|it| it == department)
        });
        short.or_else(|| self.held_up(IncidentType::SupplierDelay))
    }

    /// Takes the part of the stock out that a shortage says.
    fn take_out_stock(&mut self, number: u32, now: Millis) {
        let incident = self.scene.options.incidents[number as usize].clone();
        if !incident.hits_dc(&self.scene.world, self.ground.dc) {
            return;
        }
        for product in 0..self.scene.world.products.len() as u32 {
            let department = self.scene.world.products[product as usize].department;
            if incident.department.is_some_and(|it| it != department) {
                continue;
            }
            let available = f64::from(self.available(Place::Dc, product));
            let delta = -((available * incident.severity + 0.5) as i64);
            let movement = Movement { delta, reason: Reason::Disruption, source: None };
            self.book(Place::Dc, product, movement, Cause::default(), now);
        }
    }

    /// Tells that an incident begins or ends, if this is the cell that does.
    fn tell_incident(
        &mut self,
        event_type: EventType,
        number: u32,
        parent: Option<Text>,
        now: Millis,
    ) -> Text {
        let scene = std::sync::Arc::clone(&self.scene);
        let incident = &scene.options.incidents[number as usize];
        let first = (0..scene.world.dcs.len()).find(|dc| incident.hits_cell(&scene.world, *dc));
        if first != Some(self.ground.dc) {
            return Text::default();
        }
        let partition = match incident.target {
            Target::Dc(id) => Text::numbered(DC, id.into()),
            Target::Store(id) => Text::numbered(STORE, id.into()),
            Target::Everywhere | Target::Region(_) | Target::Truck(_) => {
                Text::numbered(DC, scene.world.dcs[self.ground.dc].id.into())
            }
        };
        let id = Text::numbered(INC, u64::from(number) + 1);
        let links = Links { parent, correlation: Some(id.clone()), ..Links::of(partition) };
        self.reporter.tell(event_type, now, links, |payload| {
            let target = incident.target;
            let store = if let Target::Store(id) = target { Some(id) } else { None };
            let dc = if let Target::Dc(id) = target { Some(id) } else { None };
            let region = if let Target::Region(it) = target { Some(it.name()) } else { None };
            let truck = if let Target::Truck(number) = target {
                Some(four_digits("TRUCK_", number))
            } else {
                None
            };
            payload.push(INCIDENT_ID, id);
            payload.push(INCIDENT_TYPE, incident.incident_type.name());
            payload.push(SEVERITY, incident.severity);
            payload.push(STORE_ID, store);
            payload.push(DC_ID, dc);
            payload.push(REGION, region);
            payload.push(TRUCK_ID, truck);
            payload.push(DEPARTMENT, incident.department.map(Department::name));
            payload.push(BEGIN_TIME, incident.begin);
            payload.push(END_TIME, incident.end);
        })
    }
}
