//! Endpoints that change what they serve: adapters by name, in the protocol of
//! vLLM, which `swegym serve --hot-swap` speaks too.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

/// Reading an adapter of a large model takes a while.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks an endpoint to serve an adapter under a name, instead of what it serves
/// under that name now. The folder is one of the endpoint's machine.
///
/// # Errors
/// In words: the endpoint cannot be reached, or refuses.
pub async fn load_adapter(address: &str, key: Option<&str>, name: &str, folder: &Path) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|e| e.to_string())?;
    let post = |verb: &str, body: serde_json::Value| {
        let request = client.post(format!("{}/{verb}", address.trim_end_matches('/')));
        let request = request.header("content-type", "application/json").body(body.to_string());
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    };
    // Whether there was one does not matter.
    _ = post("unload_lora_adapter", json!({"lora_name": name})).send().await;
    let answer = post("load_lora_adapter", json!({"lora_name": name, "lora_path": folder})).send().await;
    let answer = answer.map_err(|e| e.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let said = answer.text().await.unwrap_or_default();
    let said: String = said.chars().take(300).collect();
    Err(format!("it answered {status}: {}", key.map_or(said.clone(), |key| said.replace(key, "***"))))
}
