//! Tensors between safetensors files and a decoder's array.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{TensorView, View};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::{CheckpointError, Precision, malformed, pretty, read_json, write_synced};
use crate::architecture::Architecture;
use crate::decoder::Decoder;
use crate::layout::{Layout, Place, Tensor};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Longest shard, as the field's writers cut them.
const SHARD: usize = 5_000_000_000;

/// Reads every tensor of a model folder into an array of the layout.
pub(super) fn read_model(
    folder: &Path,
    shape: &Architecture,
    layout: &Layout,
) -> Result<(Vec<f32>, Precision), CheckpointError> {
    let files = shards(folder)?;
    // Before memory is asked for: config.json may say anything.
    let bytes: u64 = files.iter().filter_map(|path| path.metadata().ok()).map(|about| about.len()).sum();
    let described: usize = layout.tensors.iter().map(|t| t.shape.iter().product::<usize>()).sum();
    if described as u64 > bytes / 2 {
        let problem = format!("it describes {described} numbers; the files have {bytes} bytes");
        return Err(malformed(&folder.join("config.json"), problem));
    }
    let mut numbers = vec![0f32; layout.len];
    let harmless = |name: &str| is_harmless(name, shape);
    let read = |path: PathBuf| read_bytes(&path).map(|bytes| (path, bytes));
    let precision = fill(folder, files.into_iter().map(read), &layout.tensors, harmless, &mut numbers)?;
    Ok((numbers, precision))
}

/// Puts the tensors of some files where they lie in an array: all that are
/// wanted, and no others but harmless ones. Gives the precision of the last.
/// Each file comes with its content, when its turn is there.
pub(super) fn fill(
    folder: &Path,
    files: impl Iterator<Item = Result<(PathBuf, Vec<u8>), CheckpointError>>,
    tensors: &[Tensor],
    harmless: impl Fn(&str) -> bool,
    numbers: &mut [f32],
) -> Result<Precision, CheckpointError> {
    let mut wanted: BTreeMap<&str, &Tensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut extra = Vec::new();
    let mut precision = Precision::F32;
    for file in files {
        let (path, bytes) = file?;
        read_file(&path, &bytes, |name, view| {
            match wanted.remove(name) {
                Some(tensor) => precision = place(&path, tensor, view, numbers)?,
                None if harmless(name) => {}
                None => extra.push(name.to_owned()),
            }
            Ok(())
        })?;
    }
    let path = folder.to_owned();
    if !wanted.is_empty() {
        let names = wanted.into_keys().map(str::to_owned).collect();
        return Err(CheckpointError::Missing { path, names });
    }
    if !extra.is_empty() {
        return Err(CheckpointError::Extra { path, names: extra });
    }
    Ok(precision)
}

/// What writers add although it follows from the rest: the head of a model
/// whose head is the embedding, and frequencies of positions.
fn is_harmless(name: &str, shape: &Architecture) -> bool {
    (shape.tied && name == "lm_head.weight") || name.ends_with("rotary_emb.inv_freq")
}

fn shards(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let index = folder.join(INDEX);
    if folder.join(SINGLE).is_file() {
        return Ok(vec![folder.join(SINGLE)]);
    }
    if !index.is_file() {
        return Err(CheckpointError::NoModel(folder.to_owned()));
    }
    let document = read_json(&index)?;
    let map = document.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| malformed(&index, "the field `weight_map` is missing"))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    if let Some(odd) = names.iter().find(|name| name.contains(['/', '\\']) || name.starts_with('.')) {
        return Err(malformed(&index, format!("a shard's name is a path: {odd}")));
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// The content of a file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|e| CheckpointError::io("read", path, e))
}

/// Gives each tensor of a file to `take`.
fn read_file(
    path: &Path,
    bytes: &[u8],
    mut take: impl FnMut(&str, &TensorView<'_>) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let file =
        SafeTensors::deserialize(bytes).map_err(|e| malformed(path, format!("not safetensors: {e}")))?;
    // In the order of names, so that the same folder gives the same error.
    let mut tensors: Vec<_> = file.iter().collect();
    tensors.sort_by_key(|(name, _)| *name);
    tensors.iter().try_for_each(|(name, view)| take(name, view))
}

/// Puts a tensor of a file where the layout has it.
fn place(
    path: &Path,
    tensor: &Tensor,
    view: &TensorView<'_>,
    numbers: &mut [f32],
) -> Result<Precision, CheckpointError> {
    if view.shape() != tensor.shape {
        return Err(CheckpointError::Shape {
            path: path.to_owned(),
            name: tensor.name.clone(),
            found: view.shape().to_vec(),
            expected: tensor.shape.clone(),
        });
    }
    let precision = match view.dtype() {
        Dtype::F32 => Precision::F32,
        Dtype::BF16 => Precision::Bf16,
        Dtype::F16 => Precision::F16,
        other => {
            return Err(CheckpointError::Kind {
                path: path.to_owned(),
                name: tensor.name.clone(),
                kind: format!("{other:?}"),
            });
        }
    };
    let data = view.data();
    let read = |i: usize| match precision {
        Precision::F32 => {
            f32::from_le_bytes([data[4 * i], data[4 * i + 1], data[4 * i + 2], data[4 * i + 3]])
        }
        Precision::Bf16 => bf16::from_le_bytes([data[2 * i], data[2 * i + 1]]).to_f32(),
        Precision::F16 => f16::from_le_bytes([data[2 * i], data[2 * i + 1]]).to_f32(),
    };
    let count: usize = tensor.shape.iter().product();
    if let Some(index) = (0..count).find(|&i| !read(i).is_finite()) {
        let (path, name) = (path.to_owned(), tensor.name.clone());
        return Err(CheckpointError::NotFinite { path, name, nth: index + 1 });
    }
    for (i, index) in indices(tensor).enumerate() {
        numbers[index] = read(i);
    }
    Ok(precision)
}

/// The array's index of each number of a tensor, in the file's order.
fn indices(tensor: &Tensor) -> impl Iterator<Item = usize> {
    let (outputs, inputs) = (tensor.shape[0], tensor.shape.get(1).copied().unwrap_or(1));
    let place = tensor.place;
    (0..outputs).flat_map(move |output| {
        (0..inputs).map(move |input| match place {
            Place::Straight { offset } => offset + output * inputs + input,
            Place::Turned { offset, stride } => offset + input * stride + output,
        })
    })
}

/// A tensor that is brought into the file's form when it is written.
pub(super) struct Outgoing<'a> {
    pub(super) tensor: &'a Tensor,
    pub(super) at: &'a dyn Fn(usize) -> f32,
    pub(super) precision: Precision,
}

impl View for Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        match self.precision {
            Precision::F32 => Dtype::F32,
            Precision::Bf16 => Dtype::BF16,
            Precision::F16 => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        for index in indices(self.tensor) {
            let number = (self.at)(index);
            match self.precision {
                Precision::F32 => bytes.extend(number.to_le_bytes()),
                Precision::Bf16 => bytes.extend(bf16::from_f32(number).to_le_bytes()),
                Precision::F16 => bytes.extend(f16::from_f32(number).to_le_bytes()),
            }
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        let size = if self.precision == Precision::F32 { 4 } else { 2 };
        self.tensor.shape.iter().product::<usize>() * size
    }
}

/// Writes tensors to one safetensors file, and waits until the disk has it.
pub(super) fn write_file(path: &Path, tensors: Vec<Outgoing<'_>>) -> Result<(), CheckpointError> {
    let named = tensors.into_iter().map(|outgoing| (outgoing.tensor.name.as_str(), outgoing));
    // `format: pt` is what transformers looks for.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(named, Some(about), path).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(source) => CheckpointError::io("write", path, source),
        other => malformed(path, other.to_string()),
    })?;
    std::fs::File::open(path).and_then(|f| f.sync_all()).map_err(|e| CheckpointError::io("sync", path, e))
}

/// Writes every tensor of a decoder, in as many shards as it takes.
pub(super) fn write_model(
    folder: &Path,
    decoder: &Decoder,
    precision: Precision,
) -> Result<(), CheckpointError> {
    let at = |index: usize| decoder.weights.at(index);
    let mut shards: Vec<Vec<Outgoing<'_>>> = vec![Vec::new()];
    let (mut total, mut in_shard) = (0, 0);
    for tensor in &decoder.layout.tensors {
        let outgoing = Outgoing { tensor, at: &at, precision };
        let len = outgoing.data_len();
        if in_shard + len > SHARD && in_shard > 0 {
            shards.push(Vec::new());
            in_shard = 0;
        }
        in_shard += len;
        total += len;
        shards.last_mut().expect("there is always one").push(outgoing);
    }
    if shards.len() == 1 {
        return write_file(&folder.join(SINGLE), shards.remove(0));
    }
    let count = shards.len();
    let mut map = Map::new();
    for (index, shard) in shards.into_iter().enumerate() {
        let name = format!("model-{:05}-of-{count:05}.safetensors", index + 1);
        map.extend(shard.iter().map(|outgoing| (outgoing.tensor.name.clone(), json!(name))));
        write_file(&folder.join(&name), shard)?;
    }
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    write_synced(&folder.join(INDEX), &pretty(&index))
}
