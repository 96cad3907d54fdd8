//! What a run needs to go on: weights, moments, and the step, beside the model
//! in a checkpoint's folder.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::{Value, json};

use super::stopping::Stopping;
use super::{TrainError, Trainer};
use crate::checkpoint::{CheckpointError, read_json, write_synced};

/// Newest version of the state that this code writes and reads. Since 2, it says
/// what decides when a run stops.
const VERSION: u64 = 2;
const STATE: &str = "trainer_state.json";
const NUMBERS: &str = "trainer_state.safetensors";

impl Trainer {
    /// What of the settings and the data changes the arithmetic: a state only
    /// goes on under the same.
    fn fingerprint(&self) -> Value {
        let s = &self.settings;
        let tokens: usize = self.sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        // Numbers as text: what JSON makes of them need not come back to the bit.
        let adamw = [s.adamw.beta1, s.adamw.beta2, s.adamw.epsilon, s.adamw.decay].map(|x| x.to_string());
        json!({
            "steps": self.schedule.steps, "batch": s.batch, "context": s.context, "lanes": s.lanes,
            "seed": s.seed, "rate": s.rate.to_string(), "floor": s.floor.to_string(),
            "schedule": s.schedule.name(), "warmup": self.schedule.warmup, "clip": s.clip.to_string(),
            "packing": s.packing, "adamw": adamw.join(" "), "sequences": self.sequences.len(),
            "tokens": tokens, "packs": self.packs.len(), "trained": self.decoder.trained_len(),
        })
    }

    /// Writes the state into a folder that is being made.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&mut self, folder: &Path) -> Result<(), TrainError> {
        let state = json!({
            "version": VERSION, "step": self.moments.steps, "of": self.fingerprint(),
            "stopping": self.stopping.map(Stopping::to_json),
        });
        write_synced(&folder.join(STATE), format!("{state:#}\n").as_bytes())?;
        let numbers = bytes(self.decoder.trained_mut().ok_or(TrainError::Frozen)?);
        let (mean, square) = (bytes(&self.moments.mean), bytes(&self.moments.square));
        let view = |data| TensorView::new(Dtype::F32, vec![self.moments.mean.len()], data);
        let tensors = [("numbers", view(&numbers)), ("mean", view(&mean)), ("square", view(&square))];
        let mut named = HashMap::new();
        for (name, view) in tensors {
            named.insert(name, view.map_err(|e| broken(folder, &e.to_string()))?);
        }
        let content = serialize(named, None).map_err(|e| broken(folder, &e.to_string()))?;
        write_synced(&folder.join(NUMBERS), &content)?;
        Ok(())
    }

    /// Goes on from a state.
    ///
    /// # Errors
    /// It cannot be read, or is of another run.
    pub fn restore(&mut self, folder: &Path) -> Result<(), TrainError> {
        let state = read_json(&folder.join(STATE))?;
        if state["version"].as_u64().is_none_or(|version| version > VERSION) {
            let problem =
                format!("its version is {}, and {VERSION} is the newest this swegym reads", state["version"]);
            return Err(broken(folder, &problem));
        }
        let stopping = match &state["stopping"] {
            Value::Null => None,
            value => Some(Stopping::of_json(value).ok_or_else(|| broken(folder, "its losses are damaged"))?),
        };
        let now = self.fingerprint();
        let differs = now.as_object().and_then(|now| {
            now.iter()
                .find(|(key, value)| state["of"][key.as_str()] != **value)
                .map(|(key, value)| format!("`{key}` was {}, now it is {value}", state["of"][key.as_str()]))
        });
        if let Some(problem) = differs {
            return Err(broken(folder, &problem));
        }
        let path = folder.join(NUMBERS);
        let content = std::fs::read(&path).map_err(|e| CheckpointError::io("read", &path, e))?;
        let file = SafeTensors::deserialize(&content).map_err(|e| broken(folder, &e.to_string()))?;
        let numbers = numbers_of(&file, "numbers").map_err(|e| broken(folder, &e))?;
        self.moments.mean = numbers_of(&file, "mean").map_err(|e| broken(folder, &e))?;
        self.moments.square = numbers_of(&file, "square").map_err(|e| broken(folder, &e))?;
        self.moments.steps = state["step"].as_u64().ok_or_else(|| broken(folder, "it has no step"))?;
        let trained = self.decoder.trained_mut().ok_or(TrainError::Frozen)?;
        if trained.len() != numbers.len() {
            return Err(broken(folder, "it has another number of weights"));
        }
        *trained = numbers;
        self.stopping = stopping;
        Ok(())
    }
}

fn broken(folder: &Path, problem: &str) -> TrainError {
    TrainError::State { place: folder.display().to_string(), problem: problem.to_owned() }
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn numbers_of(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|e| e.to_string())?;
    Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
