//! What kind of decoder a `config.json` describes.
//!
//! One family: RMSNorm, rotary positions, grouped-query attention and SwiGLU,
//! as Qwen2, Qwen3 and Llama have it. They differ in biases, in norms on
//! queries and keys, and in whether the head is the embedding; nothing else.
//! Both spellings of the rotary settings are read: `rope_theta` with
//! `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5).

use serde_json::{Map, Value, json};

pub use crate::config::ArchitectureError;
use crate::config::{number, object};
use crate::rope::Rope;

/// The families whose checkpoints are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `Qwen2ForCausalLM`: Qwen2, Qwen2.5, Qwen2.5-Coder.
    Qwen2,
    /// `Qwen3ForCausalLM`: norms on queries and keys, no bias.
    Qwen3,
    /// `LlamaForCausalLM`, and what has its shape.
    Llama,
}

impl Family {
    /// The family's part of the class name under `architectures`.
    fn class(self) -> &'static str {
        match self {
            Self::Qwen2 => "Qwen2",
            Self::Qwen3 => "Qwen3",
            Self::Llama => "Llama",
        }
    }

    /// The value of `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Llama => "llama",
        }
    }

    fn named(model_type: &str) -> Option<Self> {
        [Self::Qwen2, Self::Qwen3, Self::Llama].into_iter().find(|family| family.model_type() == model_type)
    }
}

/// Largest of any size; the largest published vocabularies are a quarter of it.
const MOST: usize = 1 << 20;

/// Largest `head_dim`; the published models have 64 to 256.
pub(crate) const MOST_HEAD_DIM: usize = 512;

/// The sizes of a decoder, and which of the family's variations it has.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Which family.
    pub family: Family,
    /// Tokens in the vocabulary, rows of the embedding.
    pub vocabulary: usize,
    /// `hidden_size`.
    pub width: usize,
    /// `num_hidden_layers`.
    pub layers: usize,
    /// `num_attention_heads`.
    pub heads: usize,
    /// `num_key_value_heads`.
    pub kv_heads: usize,
    /// `head_dim`; even.
    pub head_dim: usize,
    /// `intermediate_size`.
    pub inner: usize,
    /// `rms_norm_eps`.
    pub epsilon: f32,
    /// How positions turn queries and keys.
    pub rope: Rope,
    /// `max_position_embeddings`.
    pub context: usize,
    /// Whether the head is the embedding.
    pub tied: bool,
    /// Classes that the head tells apart, where it is not there to say the next
    /// token (`…ForSequenceClassification`, `num_labels`).
    pub classes: Option<usize>,
    /// Whether queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the attention's output has a bias.
    pub out_bias: bool,
    /// The standard deviation of fresh weights.
    pub init_range: f32,
}

impl Architecture {
    /// Read from the document of a `config.json`.
    ///
    /// # Errors
    /// A field is missing or does not fit, or the decoder is of another kind.
    pub fn read(config: &Value) -> Result<Self, ArchitectureError> {
        let name = config.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        let family = Family::named(name).ok_or_else(|| ArchitectureError::Unsupported(name.to_owned()))?;
        let width = size(config, "hidden_size")?;
        let heads = size(config, "num_attention_heads")?;
        let context = optional_size(config, "max_position_embeddings").unwrap_or(4096);
        let head_dim = optional_size(config, "head_dim").unwrap_or(width / heads);
        let biased = flag(config, "attention_bias", false);
        let read = Self {
            family,
            vocabulary: size(config, "vocab_size")?,
            width,
            layers: size(config, "num_hidden_layers")?,
            heads,
            kv_heads: optional_size(config, "num_key_value_heads").unwrap_or(heads),
            head_dim,
            inner: size(config, "intermediate_size")?,
            epsilon: number(config, "rms_norm_eps").unwrap_or(1e-6) as f32,
            rope: Rope::read(config, head_dim, context)?,
            context,
            tied: flag(config, "tie_word_embeddings", false),
            classes: classes(config),
            qkv_bias: family == Family::Qwen2 || biased,
            out_bias: family != Family::Qwen2 && biased,
            init_range: number(config, "initializer_range").unwrap_or(0.02) as f32,
        };
        read.check(config)?;
        Ok(read)
    }

    fn check(&self, config: &Value) -> Result<(), ArchitectureError> {
        let refuse = |why: String| Err(ArchitectureError::Variation(why));
        let activation = config.get("hidden_act").and_then(Value::as_str).unwrap_or("silu");
        if activation != "silu" {
            return refuse(format!("hidden_act `{activation}` is not supported; silu is"));
        }
        if flag(config, "mlp_bias", false) {
            return refuse("mlp_bias is not supported".to_owned());
        }
        if flag(config, "use_sliding_window", false) {
            return refuse(
                "use_sliding_window is not supported: every layer looks at the whole context".to_owned(),
            );
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return refuse(format!("{} heads cannot share {} key heads", self.heads, self.kv_heads));
        }
        let wide = [self.width, self.inner, self.heads, self.head_dim, self.layers, self.outputs()];
        let most = wide.iter().chain([&self.vocabulary, &self.kv_heads]).copied().max().unwrap_or(0);
        // So that no product of sizes overflows.
        if most > MOST || self.head_dim > MOST_HEAD_DIM || self.query_width() > MOST {
            return refuse(format!("a size of {most}, or heads of {}, are too large", self.head_dim));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return refuse(format!("head_dim {} is not even; rotary positions need pairs", self.head_dim));
        }
        Ok(())
    }

    /// Whether queries and keys are normed per head before they are turned.
    pub fn qk_norm(&self) -> bool {
        self.family == Family::Qwen3
    }

    /// Numbers that the head gives for a token: one for each it could say, or
    /// for each class.
    pub fn outputs(&self) -> usize {
        self.classes.unwrap_or(self.vocabulary)
    }

    /// Query heads that share one key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Columns of the joined query, key and value projection.
    pub fn qkv_width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Columns of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// The document for `config.json`, as transformers 4 and 5 both read it.
    /// What `from` holds and this does not know is kept.
    pub fn write(&self, from: Option<&Value>, dtype: &str) -> Value {
        let mut config = from.and_then(Value::as_object).cloned().unwrap_or_default();
        let mut put = |field: &str, value: Value| config.insert(field.to_owned(), value);
        let task = if self.classes.is_some() { "ForSequenceClassification" } else { "ForCausalLM" };
        put("architectures", json!([format!("{}{task}", self.family.class())]));
        if let Some(classes) = self.classes {
            put("num_labels", json!(classes));
        }
        put("model_type", json!(self.family.model_type()));
        put("vocab_size", json!(self.vocabulary));
        put("hidden_size", json!(self.width));
        put("intermediate_size", json!(self.inner));
        put("num_hidden_layers", json!(self.layers));
        put("num_attention_heads", json!(self.heads));
        put("num_key_value_heads", json!(self.kv_heads));
        put("head_dim", json!(self.head_dim));
        put("hidden_act", json!("silu"));
        put("rms_norm_eps", json!(shortest(self.epsilon)));
        put("max_position_embeddings", json!(self.context));
        put("tie_word_embeddings", json!(self.tied));
        put("initializer_range", json!(shortest(self.init_range)));
        put("dtype", json!(dtype));
        put("torch_dtype", json!(dtype));
        if self.family != Family::Qwen2 {
            put("attention_bias", json!(self.qkv_bias));
        }
        self.rope.write(&mut config);
        Value::Object(config)
    }
}

/// Classes of a model for classification: by number or by name, two where
/// nothing is said, as in transformers.
fn classes(config: &Value) -> Option<usize> {
    let class = config.pointer("/architectures/0").and_then(Value::as_str).unwrap_or_default();
    if !class.ends_with("ForSequenceClassification") {
        return None;
    }
    let named = object(config, "id2label").map(Map::len);
    Some(optional_size(config, "num_labels").or(named).unwrap_or(2).max(1))
}

/// The shortest decimal that reads back as this number, as a double: `1e-6`
/// and not the neighbour that a conversion from single precision gives.
fn shortest(number: f32) -> f64 {
    number.to_string().parse().unwrap_or_else(|_| f64::from(number))
}

fn size(config: &Value, field: &str) -> Result<usize, ArchitectureError> {
    optional_size(config, field).filter(|&n| n > 0).ok_or_else(|| ArchitectureError::Field {
        field: field.to_owned(),
        expected: "a positive whole number",
    })
}

fn optional_size(config: &Value, field: &str) -> Option<usize> {
    config.get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
}

fn flag(config: &Value, field: &str, default: bool) -> bool {
    config.get(field).and_then(Value::as_bool).unwrap_or(default)
}
