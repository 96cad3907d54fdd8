//! Rotary positions: how far each pair of a head's columns turns per token.
//!
//! The rules are those of `transformers`' `modeling_rope_utils`: `default`,
//! `linear`, `llama3` and `yarn`. `dynamic` and `longrope` change with the
//! length of the input and are refused.

use std::f64::consts::PI;

use serde_json::{Map, Value, json};

use crate::config::{ArchitectureError, number, object};

/// The rotary settings of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the geometric series of turns.
    pub theta: f64,
    /// What stretches it, where something does: as in `rope_scaling`.
    pub scaling: Option<Map<String, Value>>,
    /// Radians per token of each pair, `head_dim / 2` of them.
    turns: Vec<f64>,
    /// What sines and cosines are multiplied with (yarn's temperature).
    magnitude: f64,
}

impl Rope {
    /// Plain rotary positions.
    pub fn plain(theta: f64, head_dim: usize) -> Self {
        Self { theta, scaling: None, turns: series(theta, head_dim), magnitude: 1.0 }
    }

    /// Read from a `config.json`, in either spelling.
    ///
    /// # Errors
    /// A kind of scaling that is not supported, or one of its numbers missing.
    pub fn read(config: &Value, head_dim: usize, context: usize) -> Result<Self, ArchitectureError> {
        let parameters = object(config, "rope_parameters").or_else(|| object(config, "rope_scaling"));
        let theta = parameters
            .and_then(|p| p.get("rope_theta").and_then(Value::as_f64))
            .or_else(|| number(config, "rope_theta"))
            .unwrap_or(10_000.0);
        let kind = parameters
            .and_then(|p| p.get("rope_type").or_else(|| p.get("type")).and_then(Value::as_str))
            .unwrap_or("default");
        let plain = Self::plain(theta, head_dim);
        let Some(parameters) = parameters.filter(|_| kind != "default") else {
            return Ok(plain);
        };
        let setting = |field: &str| parameters.get(field).and_then(Value::as_f64);
        let need = |field: &str| {
            setting(field).ok_or_else(|| ArchitectureError::Field {
                field: format!("rope_scaling.{field}"),
                expected: "a number",
            })
        };
        let mut scaled = Self { scaling: Some(parameters.clone()), ..plain };
        match kind {
            "linear" => {
                let factor = need("factor")?;
                scaled.turns.iter_mut().for_each(|turn| *turn /= factor);
            }
            "llama3" => {
                let original = need("original_max_position_embeddings")?;
                llama3(
                    &mut scaled.turns,
                    need("factor")?,
                    need("low_freq_factor")?,
                    need("high_freq_factor")?,
                    original,
                );
            }
            "yarn" => {
                let original = setting("original_max_position_embeddings").unwrap_or(context as f64);
                let factor = setting("factor").unwrap_or(context as f64 / original);
                let fast = setting("beta_fast").unwrap_or(32.0);
                let slow = setting("beta_slow").unwrap_or(1.0);
                let round = parameters.get("truncate").and_then(Value::as_bool).unwrap_or(true);
                yarn(&mut scaled.turns, theta, factor, (fast, slow), original, round);
                scaled.magnitude = yarn_magnitude(factor, &setting);
            }
            other => {
                return Err(ArchitectureError::Variation(format!(
                    "rope scaling `{other}` is not supported; default, linear, llama3 and yarn are"
                )));
            }
        }
        Ok(scaled)
    }

    /// Put into a `config.json`, in both spellings.
    pub(crate) fn write(&self, config: &mut Map<String, Value>) {
        let mut parameters = self.scaling.clone().unwrap_or_default();
        if parameters.is_empty() {
            parameters.insert("rope_type".to_owned(), json!("default"));
            config.insert("rope_scaling".to_owned(), Value::Null);
        } else {
            let kind = parameters.get("rope_type").or_else(|| parameters.get("type")).cloned();
            parameters.insert("rope_type".to_owned(), kind.unwrap_or(Value::Null));
            config.insert("rope_scaling".to_owned(), Value::Object(parameters.clone()));
        }
        parameters.insert("rope_theta".to_owned(), json!(self.theta));
        config.insert("rope_theta".to_owned(), json!(self.theta));
        config.insert("rope_parameters".to_owned(), Value::Object(parameters));
    }

    /// Cosines and sines of position `position`, one of each per pair.
    pub fn angles(&self, position: usize, cosines: &mut [f32], sines: &mut [f32]) {
        for ((turn, cosine), sine) in self.turns.iter().zip(cosines).zip(sines) {
            // The reference multiplies in single precision; the angle, not its
            // rounding, is what the model learnt, so this is as near as can be.
            let angle = f64::from(*turn as f32) * position as f64;
            *cosine = (angle.cos() * self.magnitude) as f32;
            *sine = (angle.sin() * self.magnitude) as f32;
        }
    }
}

fn series(theta: f64, head_dim: usize) -> Vec<f64> {
    (0..head_dim / 2).map(|pair| theta.powf(-2.0 * pair as f64 / head_dim as f64)).collect()
}

/// Llama 3.1: slow pairs are stretched, fast ones kept, those between blended.
fn llama3(turns: &mut [f64], factor: f64, low: f64, high: f64, original: f64) {
    for turn in turns {
        let wavelength = 2.0 * PI / *turn;
        if wavelength > original / low {
            *turn /= factor;
        } else if wavelength >= original / high {
            let blend = (original / wavelength - low) / (high - low);
            *turn = (1.0 - blend) * *turn / factor + blend * *turn;
        }
    }
}

/// YaRN (arXiv 2309.00071): as above, with a ramp over the pairs' indices.
fn yarn(turns: &mut [f64], theta: f64, factor: f64, (fast, slow): (f64, f64), original: f64, round: bool) {
    let head_dim = 2.0 * turns.len() as f64;
    let pair_of = |rotations: f64| head_dim * (original / (rotations * 2.0 * PI)).ln() / (2.0 * theta.ln());
    let (mut first, mut last) = (pair_of(fast), pair_of(slow));
    if round {
        (first, last) = (first.floor(), last.ceil());
    }
    let (first, mut last) = (first.max(0.0), last.min(head_dim - 1.0));
    if first == last {
        last += 0.001;
    }
    for (pair, turn) in turns.iter_mut().enumerate() {
        let ramp = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
        *turn = *turn / factor * ramp + *turn * (1.0 - ramp);
    }
}

fn yarn_magnitude(factor: f64, setting: &impl Fn(&str) -> Option<f64>) -> f64 {
    let of = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
    match (setting("attention_factor"), setting("mscale"), setting("mscale_all_dim")) {
        (Some(given), ..) => given,
        (None, Some(scale), Some(all)) if scale != 0.0 && all != 0.0 => of(scale) / of(all),
        _ => of(1.0),
    }
}
