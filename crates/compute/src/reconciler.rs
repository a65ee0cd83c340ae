//! Asks the reconciler to visit an execution now.

use aws_sdk_lambda::{Client, primitives::Blob, types::InvocationType};
use domain::ExecutionId;

use aws::{CallFailed, Connection};
use contract::messages::Visit;

/// The reconciler's function.
#[derive(Debug, Clone)]
pub struct Reconciler {
    client: Client,
    function: String,
}

impl Reconciler {
    /// The function with that name.
    #[must_use]
    pub fn new(connection: &Connection, function: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), function: function.into() }
    }

    /// Asks the reconciler to visit an execution soon. If the call is lost, the next sweep visits it.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if Lambda did not answer or refused the call.
    pub async fn request_visit(&self, id: &ExecutionId) -> Result<(), CallFailed> {
        const CALL: &str = "lambda:Invoke";
        let payload = serde_json::to_vec(&Visit { visit: id.clone() });
        let payload = payload.map_err(|why| CallFailed::rejected(CALL, why))?;
        let invoke = self.client.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        invoke.payload(Blob::new(payload)).send().await.map_err(|error| CallFailed::new(CALL, error))?;
        Ok(())
    }
}
