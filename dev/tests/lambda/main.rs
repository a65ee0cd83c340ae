//! The local Lambda, over HTTP: its durable executions, its functions, and programs and clients that others wrote.
//!
//! What emulators of it are known to get wrong, and the test that says it is right here:
//!
//! | Wrong elsewhere | Test |
//! |---|---|
//! | the name of an execution is ignored | `every_call.py`: the same name and payload, and another payload |
//! | an Event start is never resumed after a wait | `python::steps_waits_and_retries` |
//! | attempts are not counted | `python::steps_waits_and_retries`, by its function's result |
//! | a crashed handler is left running | `runtime::a_process_that_a_killed_stack_left_behind_is_killed_at_the_next_start` |
//! | a callback without a heartbeat times out at once | `checkpoints::callbacks_are_answered_once_and_kept_alive` |
//! | a second SUCCEED is accepted | `checkpoints::updates_that_do_not_fit_are_refused_and_change_nothing` |
//! | a checkpoint's `ClientToken` does nothing | `checkpoints::a_token_is_good_once_and_a_client_token_makes_a_checkpoint_safe_to_repeat` |
//! | ARNs are not shaped like AWS's | `boto3::boto3_makes_every_call`: botocore's own patterns |
//! | timers are lost by SIGKILL | `kills::no_execution_is_lost_and_nothing_is_done_twice` |
//! | `RunTask`'s `clientToken` does nothing, a missing cluster is not an error | `other_services.py` |
//! | there are no state-change events | `events::a_durable_execution_tells_of_each_change_of_its_status_in_lambdas_own_form` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../e2e/stack.rs"]
mod stack;

mod boto3;
mod checkpoints;
mod events;
mod failures;
mod functions;
mod history;
mod kills;
mod limits;
mod puppet;
mod python;
mod runtime;
mod support;
