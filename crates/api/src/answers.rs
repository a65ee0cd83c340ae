//! What responses contain: the model of an execution, problems, times, page tokens.

pub(crate) mod answer_size;
pub(crate) mod model;
pub(crate) mod page_token;
pub(crate) mod problem;
pub(crate) mod time;
