//! The emulated Lambda over HTTP: durable executions, functions, and third-party programs and clients.
//!
//! Known defects of other emulators, and the tests that show that this one does not have them:
//!
//! | Defect | Test |
//! |---|---|
//! | the name of an execution is ignored | `every_call.py`: the same name and payload, and another payload |
//! | an Event start is never resumed after a wait | `python::a_python_function_completes_through_steps_waits_and_retries` |
//! | attempts are not counted | `python::a_python_function_completes_through_steps_waits_and_retries`, by its function's result |
//! | a crashed handler is left running | `runtime::a_process_left_by_a_killed_emulator_is_killed_at_the_next_start` |
//! | a callback without a heartbeat times out at once | `checkpoints::callbacks_can_be_answered_once_and_heartbeats_extend_them` |
//! | a second SUCCEED is accepted | `checkpoints::invalid_updates_are_refused_without_effect` |
//! | a checkpoint's `ClientToken` does nothing | `checkpoints::a_checkpoint_token_is_valid_once_and_a_client_token_makes_a_checkpoint_idempotent` |
//! | ARNs are not shaped like AWS's | `boto3::boto3_can_make_every_lambda_call`: botocore's own patterns |
//! | waits are lost by SIGKILL | `kills::no_execution_is_lost_and_nothing_is_done_twice` |
//! | `RunTask`'s `clientToken` does nothing, a missing cluster is not an error | `other_services.py` |
//! | there are no state-change events | `events::each_status_change_of_a_durable_execution_is_an_event_in_lambdas_format` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

mod boto3;
mod checkpoints;
mod emulator;
mod events;
mod failures;
mod functions;
mod history;
mod kills;
mod limits;
mod manual_runtime;
mod python;
mod runtime;
mod support;
