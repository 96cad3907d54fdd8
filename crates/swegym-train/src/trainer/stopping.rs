//! When a run has learnt enough: what it must remember of its losses, so that
//! one that was cut stops where one that was not does.

use serde_json::{Value, json};

/// What a run's losses say so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stopping {
    /// The last step's loss.
    pub last: Option<f64>,
    /// The best loss on what is held out, and its step.
    pub best: Option<(f64, u64)>,
    /// Measurements since then.
    pub worse: u32,
}

impl Stopping {
    /// Whether a loss on what is held out is the best so far.
    pub fn judge(&mut self, step: u64, loss: f64) -> bool {
        if self.best.is_some_and(|(best, _)| loss >= best) {
            self.worse += 1;
            return false;
        }
        (self.best, self.worse) = (Some((loss, step)), 0);
        true
    }

    /// As it stands in a state. Losses are texts: equal ones must stay equal, which
    /// JSON's numbers need not.
    pub(super) fn to_json(self) -> Value {
        let text = |loss: f64| loss.to_string();
        json!({
            "last": self.last.map(text), "best": self.best.map(|(loss, _)| text(loss)),
            "best_step": self.best.map(|(_, step)| step), "worse": self.worse,
        })
    }

    /// Reads it back; `None` where it is damaged.
    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let loss = |key: &str| match &value[key] {
            Value::Null => Some(None),
            Value::String(text) => text.parse().ok().map(Some),
            _ => None,
        };
        let best = match (loss("best")?, &value["best_step"]) {
            (None, Value::Null) => None,
            (Some(best), step) => Some((best, step.as_u64()?)),
            (None, _) => return None,
        };
        Some(Self { last: loss("last")?, best, worse: value["worse"].as_u64()?.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_comes_back_to_the_bit() {
        let mut stopping = Stopping::default();
        assert_eq!(Stopping::of_json(&stopping.to_json()), Some(stopping));
        // One that a JSON number need not give back to the bit.
        let loss = 0.123_456_789_012_345_68;
        for (step, loss) in [(2, 0.9), (4, loss), (6, loss), (8, 0.5)] {
            stopping.last = Some(loss * 2.0);
            assert_eq!(stopping.judge(step, loss), step <= 4);
        }
        assert_eq!((stopping.best, stopping.worse), (Some((loss, 4)), 2));
        assert_eq!(Stopping::of_json(&stopping.to_json()), Some(stopping));
        for damaged in
            [json!({}), json!({"best": "0.5", "best_step": null, "worse": 0}), json!({"last": 1, "worse": 0})]
        {
            assert_eq!(Stopping::of_json(&damaged), None, "{damaged}");
        }
    }
}
