//! Liveness.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::GatewayAnswer;

/// The API answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Say that the API answers.
///
/// It asks nothing of AWS: use it to see whether the process lives.
#[utoipa::path(
    get, path = "/healthz", operation_id = "getHealth", tag = "service",
    responses((status = 200, description = "It does", body = Health), GatewayAnswer),
)]
pub(crate) async fn get_health() -> Json<Health> {
    Json(Health { status: "ok" })
}
