//! Answers: Kubernetes' Status objects and plain text.

use hyper::StatusCode;
use serde_json::{Value, json};

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status.
    pub code: StatusCode,
    /// The `Content-Type`.
    pub kind: &'static str,
    /// The whole body.
    pub body: Vec<u8>,
    /// Whether changes to what was asked for follow the body (`?watch=true`).
    pub watch: Option<super::watch::Watch>,
}

impl Reply {
    /// Answers with text.
    pub fn text(code: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        Self { code, kind: "text/plain; charset=utf-8", body: body.into(), watch: None }
    }

    /// Answers 200 with JSON.
    pub fn json(value: &Value) -> Self {
        Self::with_code(StatusCode::OK, value)
    }

    /// Answers with JSON.
    pub fn with_code(code: StatusCode, value: &Value) -> Self {
        Self { code, kind: "application/json", body: format!("{value}\n").into(), watch: None }
    }
}

/// Answers 401 as an API server does.
pub fn unauthorized() -> Reply {
    status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized", json!(null))
}

/// Answers 404 for an object.
pub fn not_found(qualified: &str, name: &str) -> Reply {
    let details = json!({ "name": name, "kind": qualified });
    status(StatusCode::NOT_FOUND, "NotFound", &format!("{qualified} {name:?} not found"), details)
}

/// Answers 404 for a path that is no resource.
pub fn no_such_path() -> Reply {
    Reply::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Answers 403 to an authenticated user.
pub fn forbidden(qualified: &str, name: &str, message: &str) -> Reply {
    let details = json!({ "name": name, "kind": qualified });
    status(StatusCode::FORBIDDEN, "Forbidden", message, details)
}

/// Answers 409 for a name that is taken.
pub fn already_exists(qualified: &str, name: &str) -> Reply {
    let details = json!({ "name": name, "kind": qualified });
    let message = format!("{qualified} {name:?} already exists");
    status(StatusCode::CONFLICT, "AlreadyExists", &message, details)
}

/// Answers 409 for a stale `resourceVersion`.
pub fn conflict(qualified: &str, name: &str) -> Reply {
    let message = format!(
        "Operation cannot be fulfilled on {qualified} {name:?}: the object has been modified; please apply your changes to the latest version and try again"
    );
    let details = json!({ "name": name, "kind": qualified });
    status(StatusCode::CONFLICT, "Conflict", &message, details)
}

/// Answers 400.
pub fn bad_request(message: &str) -> Reply {
    status(StatusCode::BAD_REQUEST, "BadRequest", message, json!(null))
}

/// Answers 422 for an object that does not validate.
pub fn invalid(kind: &str, name: &str, cause: &str) -> Reply {
    let message = format!("{kind} {name:?} is invalid: {cause}");
    let details = json!({ "name": name, "kind": kind });
    status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", &message, details)
}

/// Answers 405.
pub fn method_not_allowed() -> Reply {
    let message = "the server does not allow this method on the requested resource";
    status(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message, json!({}))
}

/// Answers 415 to a patch of an unknown kind.
pub fn unsupported_media() -> Reply {
    let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";
    let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    status(code, "UnsupportedMediaType", message, json!({}))
}

/// Builds a failure Status.
pub fn status(code: StatusCode, reason: &str, message: &str, details: Value) -> Reply {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code.as_u16(),
    });
    if let (true, Some(map)) = (body["details"].is_null(), body.as_object_mut()) {
        map.remove("details");
    }
    Reply::with_code(code, &body)
}
