//! What endpoints say when they refuse, and what that means.
//!
//! Statuses alone do not tell: an empty account looks like a busy server (429),
//! a conversation that is too long like any other bad request, and routers put
//! errors of those behind them into answers with status 200.

use serde_json::Value;

/// What an endpoint says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// Its code or type, in lower case.
    pub code: String,
    /// Its words.
    pub message: String,
}

/// What a refusal comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The conversation no longer fits the model.
    TooLong,
    /// The key is wrong, or its account is empty.
    NoAccess,
    /// There is no such model or address.
    NotFound,
    /// Asking again may help.
    Passing,
    /// Asking this again does not help.
    Final,
}

/// Each server has its own words (OpenAI, Anthropic, vLLM, SGLang, llama.cpp, TGI,
/// Bedrock, Gemini, xAI, DashScope, Moonshot, LiteLLM).
const TOO_LONG: [&str; 18] = [
    "context length",
    "context_length",
    "context window",
    "contextwindow",
    "context size",
    "context limit",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "maximum number of tokens",
    "maximum prompt length",
    "max_new_tokens` must be <=",
    "longer than the model",
    "range of input length",
    "model token limit",
    "exceeds max length",
    "request too large",
    "entity too large",
];

/// OpenAI, Anthropic, DeepSeek and OpenRouter.
const NO_MONEY: [&str; 6] = [
    "insufficient_quota",
    "exceeded your current quota",
    "credit balance is too low",
    "insufficient balance",
    "insufficient credits",
    "billing_hard_limit_reached",
];

/// OpenRouter, DeepSeek, Together and LiteLLM, with status 400.
const NO_MODEL: [&str; 6] = [
    "not a valid model",
    "model not exist",
    "model not found",
    "model_not_found",
    "invalid model name",
    "unable to access model",
];

/// Words that a filter objects to, with the status of a wrong key.
const FILTERED: [&str; 3] = ["flagged", "moderation", "content policy"];

impl Refusal {
    /// Reads the body of an error response; whatever it is, there is something to show.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let value: Value = crate::json::from_str(&text).unwrap_or(Value::Null);
        let error = value.get("error").unwrap_or(&value);
        let message = error.as_str().or_else(|| error.get("message")?.as_str());
        let message = message.or_else(|| value.get("detail")?.as_str());
        let code = ["code", "type"].iter().find_map(|key| error.get(*key)?.as_str()).unwrap_or_default();
        Self {
            code: code.to_lowercase(),
            message: message.unwrap_or(text.trim()).chars().take(600).collect(),
        }
    }

    /// The status of an error that came with status 200, if this body is one.
    #[must_use]
    pub fn status_within(body: &[u8]) -> Option<u16> {
        let value: Value = crate::json::from_slice(body).ok()?;
        let error = value.get("error").filter(|error| !error.is_null())?;
        let code = error.get("code").or_else(|| error.get("status"));
        let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        Some(number.and_then(|n| u16::try_from(n).ok()).filter(|n| (400..600).contains(n)).unwrap_or(500))
    }

    /// What it comes to, by status and words.
    #[must_use]
    pub fn kind(&self, status: u16) -> RefusalKind {
        let words = format!("{} {}", self.code, self.message.to_lowercase());
        let says = |any: &[&str]| any.iter().any(|w| words.contains(w));
        match status {
            413 => RefusalKind::TooLong,
            400 | 422 | 429 | 500 if says(&TOO_LONG) => RefusalKind::TooLong,
            400 | 429 if says(&NO_MONEY) => RefusalKind::NoAccess,
            408 | 409 | 425 | 429 | 500.. => RefusalKind::Passing,
            403 if says(&FILTERED) => RefusalKind::Final,
            401..=403 => RefusalKind::NoAccess,
            400 if says(&NO_MODEL) => RefusalKind::NotFound,
            // Whoever moved would move to another address with our key.
            300..400 | 404 => RefusalKind::NotFound,
            _ => RefusalKind::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_many_servers_are_understood() {
        use RefusalKind::{Final, NoAccess, NotFound, Passing, TooLong};
        let cases = [
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000","code":"context_length_exceeded"}}"#,
                TooLong,
            ),
            (
                400,
                r#"{"object":"error","message":"This model's maximum context length is 8192 tokens.","type":"BadRequestError","code":400}"#,
                TooLong,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                TooLong,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"}}"#,
                TooLong,
            ),
            (
                422,
                r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens","error_type":"validation"}"#,
                TooLong,
            ),
            (
                500,
                r#"{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size"}}"#,
                TooLong,
            ),
            (
                400,
                r#"[{"error":{"code":400,"message":"The input token count (1189045) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]"#,
                TooLong,
            ),
            (
                400,
                r#"{"error":"This model's maximum prompt length is 131072 but the request contains 537812 tokens."}"#,
                TooLong,
            ),
            (
                429,
                r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.","code":"rate_limit_exceeded"}}"#,
                TooLong,
            ),
            (413, "<html><h1>413 Request Entity Too Large</h1></html>", TooLong),
            (
                429,
                r#"{"error":{"message":"You exceeded your current quota, please check your plan.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
                NoAccess,
            ),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
                NoAccess,
            ),
            (402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#, NoAccess),
            (401, r#"{"error":{"message":"Incorrect API key provided"}}"#, NoAccess),
            (
                403,
                r#"{"error":{"code":403,"message":"openai/gpt requires moderation. Your input was flagged"}}"#,
                Final,
            ),
            (429, r#"{"error":{"message":"Rate limit reached for requests"}}"#, Passing),
            (529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Passing),
            (503, "upstream connect error", Passing),
            (307, "", NotFound),
            (404, r#"{"error":{"message":"The model `x` does not exist."}}"#, NotFound),
            (400, r#"{"error":{"message":"x is not a valid model ID","code":400}}"#, NotFound),
            (400, r#"{"error":{"message":"Model Not Exist","type":"invalid_request_error"}}"#, NotFound),
            (
                400,
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens'","code":"unsupported_parameter"}}"#,
                Final,
            ),
        ];
        for (status, body, kind) in cases {
            assert_eq!(Refusal::read(body.as_bytes()).kind(status), kind, "{status} {body}");
        }
    }

    #[test]
    fn an_error_within_an_answer_has_a_status() {
        let within = |body: &str| Refusal::status_within(body.as_bytes());
        assert_eq!(within(r#"{"error":{"code":429,"message":"slow down"}}"#), Some(429));
        assert_eq!(within(r#"{"error":{"code":"401"}}"#), Some(401));
        assert_eq!(within(r#"{"error":"it broke"}"#), Some(500));
        assert_eq!(within(r#"{"error":null,"choices":[]}"#), None);
        assert_eq!(within("<html>"), None);
    }
}
