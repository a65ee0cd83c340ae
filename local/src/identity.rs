//! Whose AWS this pretends to be.

/// The account that every ARN names. Tools that imitate AWS use this one, and AWS gave it to nobody.
pub const ACCOUNT: &str = "000000000000";

/// The one Region there is.
pub const REGION: &str = "us-east-1";
