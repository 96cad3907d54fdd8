//! Model folders that are not what they should be: each is refused with what
//! is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use swegym_core::Hint as _;
use swegym_train::checkpoint::{self, Held};

/// A whole small model, as its files hold it.
struct Files {
    config: Value,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Files {
    fn sound() -> Self {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/qwen2");
        let bytes = std::fs::read(golden.join("model.safetensors")).expect("a model");
        let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
        let numbers = |data: &[u8]| {
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        };
        let tensors = file
            .iter()
            .map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), numbers(view.data()))))
            .collect();
        let config = std::fs::read_to_string(golden.join("config.json")).expect("a config");
        Self { config: serde_json::from_str(&config).expect("JSON"), tensors }
    }

    /// Writes the files and says why they are refused.
    fn refused(&self) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        self.write(folder.path(), "model.safetensors", |_| true);
        let error = checkpoint::read(folder.path(), Held::Whole).expect_err("a broken model");
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()));
        error.to_string().replace(&folder.path().display().to_string(), "[model]")
    }

    fn write(&self, folder: &Path, name: &str, which: impl Fn(&str) -> bool) {
        std::fs::write(folder.join("config.json"), self.config.to_string()).expect("a file");
        let bytes: Vec<(&str, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .filter(|(name, _)| which(name))
            .map(|(name, (shape, x))| {
                (name.as_str(), &shape[..], x.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, data)| {
            (*name, TensorView::new(Dtype::F32, shape.to_vec(), data).expect("a tensor"))
        });
        safetensors::serialize_to_file(views, None, &folder.join(name)).expect("a file");
    }
}

const DOWN: &str = "model.layers.1.mlp.down_proj.weight";

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let mut files = Files::sound();
    files.tensors.remove(DOWN);
    assert_eq!(files.refused(), format!("[model]: 1 tensors are missing: {DOWN}"));

    let mut files = Files::sound();
    files.tensors.insert("model.extra".to_owned(), (vec![1], vec![0.0]));
    assert_eq!(files.refused(), "[model]: 1 tensors do not belong to this architecture: model.extra");

    let mut files = Files::sound();
    files.config["intermediate_size"] = json!(64);
    let expected = "[model]/model.safetensors: model.layers.0.mlp.down_proj.weight has shape [32, 48]; \
                    by config.json it is [32, 64]";
    assert_eq!(files.refused(), expected);

    let mut files = Files::sound();
    files.tensors.get_mut(DOWN).expect("a tensor").1[6] = f32::NAN;
    let expected =
        format!("[model]/model.safetensors: {DOWN} holds a weight that is not a finite number, the 7th");
    assert_eq!(files.refused(), expected);

    let mut files = Files::sound();
    files.config["model_type"] = json!("mamba");
    assert_eq!(
        files.refused(),
        "[model]: config.json: model_type `mamba` is not supported; qwen2, qwen3 and llama are"
    );
    let mut files = Files::sound();
    files.config["rope_parameters"] = json!({"rope_type": "longrope", "rope_theta": 1e4});
    assert!(files.refused().contains("rope scaling `longrope` is not supported"));
    let mut files = Files::sound();
    files.config["use_sliding_window"] = json!(true);
    assert!(files.refused().contains("use_sliding_window is not supported"));
    let mut files = Files::sound();
    files.config.as_object_mut().expect("an object").remove("hidden_size");
    assert!(files.refused().contains("`hidden_size` is missing or is not a positive whole number"));
}

#[test]
fn shards_are_read_by_their_index_and_a_cut_file_is_refused() {
    let files = Files::sound();
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path();
    let first = |name: &str| name.contains("layers.0");
    files.write(place, "a.safetensors", first);
    files.write(place, "b.safetensors", |name| !first(name));
    let shard =
        |name: &String| (name.clone(), json!(if first(name) { "a.safetensors" } else { "b.safetensors" }));
    let map: serde_json::Map<String, Value> = files.tensors.keys().map(shard).collect();
    let index = place.join("model.safetensors.index.json");
    std::fs::write(&index, json!({"weight_map": map}).to_string()).expect("a file");
    assert!(checkpoint::read(place, Held::Half).is_ok());

    let whole = std::fs::read(place.join("b.safetensors")).expect("a file");
    std::fs::write(place.join("b.safetensors"), &whole[..whole.len() / 2]).expect("a file");
    let error = checkpoint::read(place, Held::Whole).expect_err("a cut file").to_string();
    assert!(error.contains("b.safetensors: not safetensors"), "{error}");

    std::fs::write(&index, json!({"weight_map": {"x": "../../etc/passwd"}}).to_string()).expect("a file");
    let error = checkpoint::read(place, Held::Whole).expect_err("a path").to_string();
    assert!(error.contains("a shard's name is a path"), "{error}");

    std::fs::remove_file(&index).expect("gone");
    let error = checkpoint::read(place, Held::Whole).expect_err("no model").to_string();
    assert!(
        error.ends_with("neither model.safetensors nor model.safetensors.index.json is there"),
        "{error}"
    );
}
