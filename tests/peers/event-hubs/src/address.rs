//! What the address of a link means.

/// What stands at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Where tokens are put.
    Cbs,
    /// Where hubs and partitions are asked about.
    Management,
    /// A hub, for senders: the service chooses the partition.
    Hub { hub: String },
    /// A partition, for senders.
    Partition { hub: String, partition: String },
    /// A partition as a consumer group reads it.
    Group { hub: String, group: String, partition: String },
    /// Anything else.
    Unknown,
}

impl Node {
    /// Names of nodes are the same in all cases, as in the service; keeps the case of what it found.
    pub(crate) fn at(path: &str) -> Node {
        let parts: Vec<&str> = path.split('/').collect();
        let is = |index: usize, name: &str| parts[index].eq_ignore_ascii_case(name);
        let text = |index: usize| parts[index].to_owned();
        match parts.len() {
            _ if is(parts.len() - 1, "$management") => Node::Management,
            1 if is(0, "$cbs") => Node::Cbs,
            1 if !parts[0].is_empty() => Node::Hub { hub: text(0) },
            3 if is(1, "Partitions") => Node::Partition { hub: text(0), partition: text(2) },
            5 if is(1, "ConsumerGroups") && is(3, "Partitions") => {
                Node::Group { hub: text(0), group: text(2), partition: text(4) }
            }
            _ => Node::Unknown,
        }
    }
}

/// The path of an address, which is a full URL with some clients: `amqps://host:5671/hub/Partitions/0`
/// is `hub/Partitions/0`.
pub(crate) fn path(address: &str) -> String {
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => address,
    };
    path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::{Node, path};

    #[test]
    fn path_of_a_full_url_is_what_follows_the_host() {
        assert_eq!(path("amqps://localhost:5671/hub/Partitions/0"), "hub/Partitions/0");
        assert_eq!(path("sb://host/hub/"), "hub");
        assert_eq!(path("sb://host"), "");
        assert_eq!(path("hub//Partitions/0"), "hub/Partitions/0");
    }

    #[test]
    fn nodes_are_told_apart_by_their_addresses() {
        assert_eq!(Node::at("$cbs"), Node::Cbs);
        assert_eq!(Node::at("$management"), Node::Management);
        assert_eq!(Node::at("hub/$management"), Node::Management);
        assert_eq!(Node::at("hub"), Node::Hub { hub: "hub".into() });
        let partition = Node::Partition { hub: "hub".into(), partition: "3".into() };
        assert_eq!(Node::at("hub/partitions/3"), partition);
        let group =
            Node::Group { hub: "h".into(), group: "$Default".into(), partition: "0".into() };
        assert_eq!(Node::at("h/ConsumerGroups/$Default/Partitions/0"), group);
        assert_eq!(Node::at(""), Node::Unknown);
        assert_eq!(Node::at("hub/elsewhere"), Node::Unknown);
    }
}
