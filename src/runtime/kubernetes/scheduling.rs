//! Classes of the scheduler's messages.

/// Returns whether a pod that is not scheduled waits for one of its claims.
pub(super) fn waits_for_claim(message: &str) -> bool {
    message.contains("PersistentVolumeClaim")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_messages_tell_whether_a_claim_is_awaited() {
        for (message, waits) in [
            (
                "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
                true,
            ),
            (
                "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
                false,
            ),
            (
                "0/2 nodes are available: 2 node(s) had untolerated taint(s). preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
                false,
            ),
        ] {
            assert_eq!(waits_for_claim(message), waits, "{message}");
        }
    }
}
