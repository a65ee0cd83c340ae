//! The operations on functions, versions and aliases.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::body;
use crate::{
    lambda::{
        Lambda,
        functions::{
            alias::Paging,
            view::{
                AliasConfiguration, FunctionConfiguration, GetFunctionResponse, ListAliasesResponse,
                ListFunctionsResponse, ListVersionsByFunctionResponse,
            },
        },
    },
    wire::AwsError,
};

type Answer<T> = Result<Json<T>, AwsError>;
type Created<T> = Result<(StatusCode, Json<T>), AwsError>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Qualifier {
    qualifier: Option<String>,
}

pub(super) async fn get(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<Qualifier>,
) -> Answer<GetFunctionResponse> {
    lambda.functions.get(&name, query.qualifier.as_deref()).map(Json)
}

pub(super) async fn configuration(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<Qualifier>,
) -> Answer<FunctionConfiguration> {
    lambda.functions.configuration(&name, query.qualifier.as_deref()).map(Json)
}

pub(super) async fn list(State(lambda): State<Lambda>, Query(paging): Query<Paging>) -> Answer<ListFunctionsResponse> {
    lambda.functions.list(&paging).map(Json)
}

pub(super) async fn create(State(lambda): State<Lambda>, bytes: Bytes) -> Created<FunctionConfiguration> {
    Ok((StatusCode::CREATED, Json(lambda.functions.create(body(&bytes)?)?)))
}

pub(super) async fn update_code(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer<FunctionConfiguration> {
    lambda.functions.update_code(&name, &body(&bytes)?).map(Json)
}

pub(super) async fn update_configuration(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer<FunctionConfiguration> {
    lambda.functions.update_configuration(&name, body(&bytes)?).map(Json)
}

pub(super) async fn delete(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<Qualifier>,
) -> Result<StatusCode, AwsError> {
    lambda.functions.delete(&name, query.qualifier.as_deref())?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn versions(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<ListVersionsByFunctionResponse> {
    lambda.functions.versions(&name, &paging).map(Json)
}

pub(super) async fn publish(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Created<FunctionConfiguration> {
    Ok((StatusCode::CREATED, Json(lambda.functions.publish(&name, body(&bytes)?)?)))
}

pub(super) async fn aliases(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Answer<ListAliasesResponse> {
    lambda.functions.aliases(&name, &paging).map(Json)
}

pub(super) async fn create_alias(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Created<AliasConfiguration> {
    Ok((StatusCode::CREATED, Json(lambda.functions.create_alias(&name, body(&bytes)?)?)))
}

pub(super) async fn alias(
    State(lambda): State<Lambda>,
    Path((name, alias)): Path<(String, String)>,
) -> Answer<AliasConfiguration> {
    lambda.functions.alias(&name, &alias).map(Json)
}

pub(super) async fn update_alias(
    State(lambda): State<Lambda>,
    Path((name, alias)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer<AliasConfiguration> {
    lambda.functions.update_alias(&name, &alias, body(&bytes)?).map(Json)
}

pub(super) async fn delete_alias(
    State(lambda): State<Lambda>,
    Path((name, alias)): Path<(String, String)>,
) -> Result<StatusCode, AwsError> {
    lambda.functions.delete_alias(&name, &alias)?;
    Ok(StatusCode::NO_CONTENT)
}
