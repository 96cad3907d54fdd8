//! PEFT's adapter folders: `adapter_config.json` with
//! `adapter_model.safetensors`.

use std::path::Path;

use serde_json::{Value, json};

use super::tensors::{Outgoing, fill, read_bytes, write_file};
use super::{
    CheckpointError, Precision, malformed, parse_json, pretty, read_json, replace_folder, write_synced,
};
use crate::adapter::{Adapter, AdapterShape, HEAD, TARGETS};
use crate::architecture::Architecture;
use crate::decoder::Decoder;
use crate::layout::projections;

/// The file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// The file with its numbers.
pub const ADAPTER_MODEL: &str = "adapter_model.safetensors";

/// Classes of a head that an adapter brings: a verifier's no and yes.
const CLASSES: usize = 2;

/// The decoder with the adapter of a folder, and under the adapter's head of
/// classes if it has one.
///
/// # Errors
/// As [`read_adapter`]; a head of classes wants weights in single precision.
pub fn adopt(decoder: Decoder, folder: &Path) -> Result<Decoder, CheckpointError> {
    let has_head = has_head(&read_json(&folder.join(ADAPTER_CONFIG))?) && decoder.shape.classes.is_none();
    let mut decoder = if has_head {
        let own_head = || CheckpointError::OwnHead(folder.to_owned());
        decoder.with_classes(CLASSES, 0).ok_or_else(own_head)?
    } else {
        decoder
    };
    decoder.adapter = Some(read_adapter(folder, &decoder)?);
    Ok(decoder)
}

fn has_head(config: &Value) -> bool {
    let saved = config.get("modules_to_save").and_then(Value::as_array);
    saved.is_some_and(|names| names.iter().any(|name| name == HEAD))
}

/// Reads an adapter for `decoder`.
///
/// # Errors
/// The folder is not a LoRA adapter, or not one for this decoder.
pub fn read_adapter(folder: &Path, decoder: &Decoder) -> Result<Adapter, CheckpointError> {
    let [config, model] = [ADAPTER_CONFIG, ADAPTER_MODEL].map(|name| read_bytes(&folder.join(name)));
    parse_adapter(folder, &config?, model?, decoder)
}

/// An adapter for `decoder` from the content of its files; `folder` is what
/// errors call the place where they lie.
///
/// # Errors
/// The files are no LoRA adapter, or not one for this decoder.
pub fn parse_adapter(
    folder: &Path,
    config: &[u8],
    model: Vec<u8>,
    decoder: &Decoder,
) -> Result<Adapter, CheckpointError> {
    let path = folder.join(ADAPTER_CONFIG);
    let config = parse_json(&path, config)?;
    let shape = read_shape(&path, &config)?;
    // Before memory is asked for: the file may say anything.
    let layers = decoder.layout.layers.iter().flat_map(|layer| projections(layer, &decoder.shape));
    let targets = layers.filter(|(name, ..)| shape.targets.iter().any(|target| name.ends_with(target)));
    let columns: usize = targets.map(|(_, matrix, _, outputs)| matrix.inputs + outputs).sum();
    let described = shape.rank as u128 * columns as u128;
    if described > model.len() as u128 / 2 {
        let problem = format!("it describes {described} numbers; {ADAPTER_MODEL} has {} bytes", model.len());
        return Err(malformed(&path, problem));
    }
    let classes = has_head(&config).then_some(decoder.shape.classes.unwrap_or(CLASSES));
    let of = Architecture { classes, ..decoder.shape.clone() };
    let mut adapter = Adapter::zeroed(&of, &decoder.layout, shape);
    let files = std::iter::once(Ok((folder.join(ADAPTER_MODEL), model)));
    fill(folder, files, &adapter.tensors, |_| false, &mut adapter.numbers)?;
    Ok(adapter)
}

/// Whether the adapter of a folder is one that this engine adds to a model.
///
/// # Errors
/// It is not, or its settings cannot be read.
pub fn check_adapter(folder: &Path) -> Result<(), CheckpointError> {
    let path = folder.join(ADAPTER_CONFIG);
    read_shape(&path, &read_json(&path)?).map(drop)
}

fn other(path: &Path, problem: String) -> CheckpointError {
    CheckpointError::OtherAdapter { path: path.to_owned(), problem }
}

fn read_shape(path: &Path, config: &Value) -> Result<AdapterShape, CheckpointError> {
    let kind = config.get("peft_type").and_then(Value::as_str).unwrap_or("(none)");
    if kind != "LORA" {
        return Err(other(path, format!("peft_type is {kind}; LORA is read")));
    }
    let on = |field: &str| config.get(field).and_then(Value::as_bool).unwrap_or(false);
    let odd = ["use_dora", "lora_bias", "fan_in_fan_out"].into_iter().find(|field| on(field));
    if let Some(field) = odd {
        return Err(other(path, format!("`{field}` is not supported")));
    }
    let full = ["modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform"];
    let empty = |value: &Value| {
        value.is_null()
            || value.as_array().is_some_and(|names| names.iter().all(|name| name == HEAD))
            || value.as_object().is_some_and(|o| o.is_empty())
    };
    if let Some(field) = full.into_iter().find(|field| config.get(*field).is_some_and(|value| !empty(value)))
    {
        return Err(other(path, format!("`{field}` is not supported")));
    }
    let rank = config.get("r").and_then(Value::as_u64).filter(|&r| r > 0);
    let rank = rank.ok_or_else(|| malformed(path, "the field `r` is missing"))?;
    let alpha = config.get("lora_alpha").and_then(Value::as_f64);
    let alpha = alpha.ok_or_else(|| malformed(path, "the field `lora_alpha` is missing"))?;
    let targets = match config.get("target_modules") {
        Some(Value::String(all)) if all == "all-linear" => TARGETS.map(str::to_owned).to_vec(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => return Err(other(path, "the field `target_modules` is missing or a pattern".to_owned())),
    };
    if let Some(odd) = targets.iter().find(|name| !TARGETS.contains(&name.as_str())) {
        return Err(other(path, format!("target_modules names `{odd}`; {} are known", TARGETS.join(", "))));
    }
    Ok(AdapterShape { rank: rank as usize, alpha: alpha as f32, by_root: on("use_rslora"), targets })
}

/// Writes the decoder's adapter in place of whatever is there. `base` is the
/// name or path of the model that it adapts.
///
/// # Errors
/// Something cannot be written; the folder is then as it was.
pub fn write_adapter(
    folder: &Path,
    adapter: &Adapter,
    base: &str,
    beside: &[(String, Vec<u8>)],
) -> Result<(), CheckpointError> {
    let shape = &adapter.shape;
    let config = json!({
        "peft_type": "LORA",
        "task_type": if adapter.head.is_some() { "SEQ_CLS" } else { "CAUSAL_LM" },
        "base_model_name_or_path": base,
        "r": shape.rank,
        "lora_alpha": shape.alpha,
        "use_rslora": shape.by_root,
        "lora_dropout": 0.0,
        "target_modules": shape.targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": adapter.head.map(|_| [HEAD]),
    });
    replace_folder(folder, |draft| {
        write_synced(&draft.join(ADAPTER_CONFIG), &pretty(&config))?;
        for (name, content) in beside {
            write_synced(&draft.join(name), content)?;
        }
        let at = |index: usize| adapter.numbers[index];
        let outgoing = |tensor| Outgoing { tensor, at: &at, precision: Precision::F32 };
        write_file(&draft.join(ADAPTER_MODEL), adapter.tensors.iter().map(outgoing).collect())
    })
}
