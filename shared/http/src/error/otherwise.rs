//! The same failure, told otherwise: of whoever knows more about it than the answer said.

use amfj_sync_security::secrets::ServiceWords;

use super::CallError;

impl CallError {
    /// The same, with the field that it blames by another name.
    #[must_use]
    pub fn blaming(self, name: &str) -> Self {
        match self {
            Self::Status { call, status, wire_status, retry_after, body, form, .. } => {
                let field = Some(ServiceWords::of(name));
                Self::Status { call, status, wire_status, retry_after, body, field, form }
            }
            Self::Partly { call, done, of, error } => {
                Self::Partly { call, done, of, error: Box::new(error.blaming(name)) }
            }
            Self::Later { call, error } => Self::Later { call, error: Box::new(error.blaming(name)) },
            other => other,
        }
    }

    /// The same, meant as the refusal of one value.
    #[must_use]
    pub fn refusing(self, name: &str) -> Self {
        match self {
            Self::Status { call, wire_status, retry_after, body, form, .. } => {
                let field = Some(ServiceWords::of(name));
                Self::Status { call, status: 422, wire_status, retry_after, body, field, form }
            }
            Self::Later { call, error } => Self::Later { call, error: Box::new(error.refusing(name)) },
            other => other,
        }
    }

    /// The same, of what is read before something else is written: nothing was.
    #[must_use]
    pub fn before(self, call: &str) -> Self {
        match self {
            before @ Self::Before { .. } => before,
            error => Self::Before { call: call.to_owned(), error: Box::new(error) },
        }
    }
}
