//! Liveness.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::answers::problem::GatewayAnswer;

/// The API is running.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check that the API is running.
///
/// This makes no AWS calls: use it to check whether the process is alive.
#[utoipa::path(
    get, path = "/healthz", operation_id = "getHealth", tag = "service", security(()),
    responses((status = 200, description = "The API is running", body = Health), GatewayAnswer),
)]
pub(crate) async fn get_health() -> Json<Health> {
    Json(Health { status: "ok" })
}
