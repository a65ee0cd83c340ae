//! The account and the Region of the local AWS.

/// The account in every ARN. Emulators of AWS usually use this one, and AWS has not assigned it to any customer.
pub const ACCOUNT: &str = "000000000000";

/// The only Region.
pub const REGION: &str = "us-east-1";

/// The secret key of everything that runs here. Only presigned URLs are verified with it.
pub(crate) const SECRET: &str = "local";
