//! Runs an execution with the generated client: `generated-client http://127.0.0.1:8080`.

use std::{error::Error, time::Duration};

use longhaul_client::{
    apis::{Error as Failure, configuration::Configuration, executions_api},
    models::{Code, NewExecution, Pattern, Status},
};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let api =
        Configuration { base_path: std::env::args().nth(1).ok_or("say where the API is")?, ..Configuration::default() };
    let input = json!({ "message": "Hello" });

    let new = NewExecution { job: Some(Some("echo".to_owned())), ..NewExecution::new(Some(input.clone())) };
    let mut execution = executions_api::start_sync_execution(&api, new, None, None).await?;
    assert_eq!(execution.pattern, Pattern::Sync);
    while !execution.done {
        tokio::time::sleep(Duration::from_millis(100)).await;
        execution = executions_api::get_execution(&api, &execution.execution_id, None, None).await?;
    }
    assert_eq!((execution.status, execution.exit_code), (Status::Completed, Some(0)));
    assert_eq!(execution.result, Some(Some(input)));

    let logs = executions_api::get_execution_logs(&api, &execution.execution_id, None, None, None).await?;
    assert_eq!(logs.lines.len(), 1);
    let page =
        executions_api::list_executions(&api, None, None, Some("echo"), None, None, None, None, None, None, None, None)
            .await?;
    assert_eq!(page.executions[0].execution_id, execution.execution_id);

    match executions_api::get_execution(&api, "nothing", None, None).await {
        Err(Failure::ResponseError(answer)) => {
            let problem: longhaul_client::models::Problem = serde_json::from_str(&answer.content)?;
            assert_eq!((answer.status.as_u16(), problem.code), (404, Code::ExecutionNotFound));
        }
        other => return Err(format!("an execution that does not exist: {other:?}").into()),
    }
    Ok(())
}
