//! What a whole run may use.

use std::sync::atomic::{AtomicU64, Ordering};

use swegym_core::chat::Usage;

/// Limits of a run and what is used of them; shared by all its attempts.
#[derive(Debug, Default)]
pub struct Budget {
    /// Most requests.
    pub max_requests: Option<u64>,
    /// Most tokens, read and written.
    pub max_tokens: Option<u64>,
    /// Most money, in US dollars.
    pub max_cost_usd: Option<f64>,
    requests: AtomicU64,
    tokens: AtomicU64,
    micro_usd: AtomicU64,
}

impl Budget {
    /// A budget with these limits.
    #[must_use]
    pub fn new(max_requests: Option<u64>, max_tokens: Option<u64>, max_cost_usd: Option<f64>) -> Self {
        Self { max_requests, max_tokens, max_cost_usd, ..Self::default() }
    }

    /// Counts what an earlier part of the run used.
    pub fn add_past(&self, requests: u64, usage: &Usage) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
        self.spend(usage);
    }

    /// Asks for one more request.
    ///
    /// # Errors
    /// In words, what is spent.
    pub fn take_request(&self) -> Result<(), String> {
        let over = |used: u64, most: Option<u64>, what: &str| match most {
            Some(most) if used >= most => Err(format!("{used} of {most} {what}")),
            _ => Ok(()),
        };
        over(self.tokens.load(Ordering::Relaxed), self.max_tokens, "tokens")?;
        let cost = self.cost_usd();
        if let Some(most) = self.max_cost_usd.filter(|most| cost >= *most) {
            return Err(format!("${cost:.2} of ${most:.2}"));
        }
        over(self.requests.fetch_add(1, Ordering::Relaxed), self.max_requests, "requests")
    }

    /// Counts an answer.
    pub fn spend(&self, usage: &Usage) {
        self.tokens.fetch_add(usage.tokens(), Ordering::Relaxed);
        let cost = usage.cost_usd.unwrap_or(0.0).max(0.0);
        self.micro_usd.fetch_add((cost * 1e6).round() as u64, Ordering::Relaxed);
    }

    /// Tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Money so far.
    #[must_use]
    pub fn cost_usd(&self) -> f64 {
        self.micro_usd.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_ends_the_run() {
        let usage = Usage { prompt_tokens: 60, completion_tokens: 40, cached_tokens: 0, cost_usd: Some(0.5) };
        let requests = Budget::new(Some(2), None, None);
        assert!(requests.take_request().is_ok() && requests.take_request().is_ok());
        assert_eq!(requests.take_request().unwrap_err(), "2 of 2 requests");
        let tokens = Budget::new(None, Some(100), None);
        tokens.spend(&usage);
        assert_eq!(tokens.take_request().unwrap_err(), "100 of 100 tokens");
        let money = Budget::new(None, None, Some(0.9));
        money.add_past(1, &usage);
        assert!(money.take_request().is_ok());
        money.spend(&usage);
        assert_eq!(money.take_request().unwrap_err(), "$1.00 of $0.90");
    }
}
