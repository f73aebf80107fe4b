//! Which servers are asked for their counts, and where.

use mai_contract::InternalToken;

use super::observation::Observation;
use super::reconciler::Reconciler;
use crate::api::{MaiInstance, ServerKind};
use crate::core::{InstanceId, Presence, Readiness, Record, Workload};
use crate::fleet::CountedServer;
use crate::runtime::Apply;
use crate::source::Source;

impl<S: Source, R: Apply, K: Record> Reconciler<S, R, K> {
    /// Has the server of an instance asked for its counts while it is ready. What cannot be observed is
    /// asked on.
    pub(super) fn follow_counts(&self, instance: &MaiInstance, id: &InstanceId, observation: &Observation) {
        let (Ok(observed), Ok(workload)) = (&observation.observed, &observation.desired) else { return };
        let server = match &observed.presence {
            Presence::Running { readiness: Readiness::Ready { .. }, .. } => self.counted_server(instance, id, workload),
            _ => None,
        };
        self.context.counts.follow(id, server);
    }

    fn counted_server(&self, instance: &MaiInstance, id: &InstanceId, workload: &Workload) -> Option<CountedServer> {
        let spec = &instance.spec;
        if spec.server.kind == ServerKind::OpenWebUI {
            return None;
        }
        Some(CountedServer {
            address: self.context.runtime.server_address(id, workload)?,
            token: InternalToken::from_session_key(&workload.session_key()?)?,
            limit_usd: spec.open_router.as_ref().and_then(|upstream| upstream.monthly_limit_usd),
            account: self.keys.account(&id.uid),
        })
    }
}
