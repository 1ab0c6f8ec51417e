//! The address at which a run is served: taken before anything of the run begins.

use std::net::{SocketAddr, TcpListener};

use crate::plan::Plan;
use crate::problem::{Problem, Problems};

/// An address that nobody else can take.
pub struct Listener {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl Listener {
    /// Listens where the spec says, if it does.
    pub fn bind(plan: &Plan) -> Result<Option<Self>, Problems> {
        let Some(address) = &plan.spec.monitoring.http else { return Ok(None) };
        let problem = |error: std::io::Error| {
            let place = plan.document.place("/monitoring/http");
            let problem =
                Problem::error(format!("cannot listen at `{address}`: {error}")).at(place);
            problem.help(
                "name another address and port such as `127.0.0.1:8080`; port 0 is a free one",
            )
        };
        let listener = TcpListener::bind(address).map_err(problem)?;
        listener.set_nonblocking(true).map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        Ok(Some(Self { listener, address }))
    }
}
