//! Where each tensor lies in the one array that holds a decoder's weights.
//!
//! Vectors (norms and biases) come first, matrices after them, so that the
//! optimiser can treat the two apart by one index, and frozen matrices can be
//! kept in half precision while vectors stay whole. A matrix lies as
//! `[inputs][outputs]`, turned from the file's `[outputs][inputs]`: then a
//! forward product reads it along its rows, which needs no packing even for
//! one token, and sampling and training share the same weights and the same
//! order of additions. Query, key and value, and gate and up, are adjacent
//! columns of one matrix each.

use crate::architecture::Architecture;

/// A matrix, `[inputs][outputs]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Index of its first number.
    pub offset: usize,
    /// Rows.
    pub inputs: usize,
    /// Columns.
    pub outputs: usize,
}

impl Matrix {
    /// Its numbers' indices.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.inputs * self.outputs
    }
}

/// A norm's gains or a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vector {
    /// Index of its first number.
    pub offset: usize,
    /// How many.
    pub len: usize,
}

impl Vector {
    /// Its numbers' indices.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// One layer's tensors.
#[derive(Debug, Clone)]
pub struct Layer {
    /// `input_layernorm`.
    pub norm_in: Vector,
    /// `q_proj | k_proj | v_proj`.
    pub qkv: Matrix,
    /// Their biases.
    pub qkv_bias: Option<Vector>,
    /// `q_norm` and `k_norm`.
    pub qk_norm: Option<(Vector, Vector)>,
    /// `o_proj`.
    pub out: Matrix,
    /// Its bias.
    pub out_bias: Option<Vector>,
    /// `post_attention_layernorm`.
    pub norm_mid: Vector,
    /// `gate_proj | up_proj`.
    pub gate_up: Matrix,
    /// `down_proj`.
    pub down: Matrix,
}

/// How a tensor of the file lies in the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Number after number.
    Straight {
        /// Index of the first.
        offset: usize,
    },
    /// The file's `[outputs][inputs]` as columns of a matrix.
    Turned {
        /// Index of the first output's first input.
        offset: usize,
        /// From one input to the next.
        stride: usize,
    },
}

/// A tensor by its name in the file.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its Hugging Face name.
    pub name: String,
    /// Its shape there: one or two sizes.
    pub shape: Vec<usize>,
    /// Where it lies.
    pub place: Place,
}

/// The whole array.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `embed_tokens`: `[vocabulary][width]`, as in the file.
    pub embedding: usize,
    /// The layers in order.
    pub layers: Vec<Layer>,
    /// The last norm.
    pub norm: Vector,
    /// `lm_head`, unless it is the embedding; or `score`, which tells classes apart.
    pub head: Option<Matrix>,
    /// Every tensor, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// Where the matrices begin.
    pub vectors: usize,
    /// Numbers in all.
    pub len: usize,
}

impl Layout {
    /// The layout of a decoder of this architecture.
    pub fn of(shape: &Architecture) -> Self {
        let (width, head_dim) = (shape.width, shape.head_dim);
        let mut vectors = Cursor(0);
        let mut tensors = Vec::new();
        let mut layers = Vec::new();
        let (qkv_width, query_width) = (shape.qkv_width(), shape.query_width());
        for _ in 0..shape.layers {
            layers.push(Layer {
                norm_in: vectors.vector(width),
                qkv: Matrix { offset: 0, inputs: width, outputs: qkv_width },
                qkv_bias: shape.qkv_bias.then(|| vectors.vector(qkv_width)),
                qk_norm: shape.qk_norm().then(|| (vectors.vector(head_dim), vectors.vector(head_dim))),
                out: Matrix { offset: 0, inputs: query_width, outputs: width },
                out_bias: shape.out_bias.then(|| vectors.vector(width)),
                norm_mid: vectors.vector(width),
                gate_up: Matrix { offset: 0, inputs: width, outputs: 2 * shape.inner },
                down: Matrix { offset: 0, inputs: shape.inner, outputs: width },
            });
        }
        let norm = vectors.vector(width);
        // A line of the cache between the two, so that matrices begin on one.
        let mut matrices = Cursor(vectors.0.next_multiple_of(16));
        let vectors = matrices.0;
        let embedding = matrices.take(shape.vocabulary * width);
        for layer in &mut layers {
            for matrix in [&mut layer.qkv, &mut layer.out, &mut layer.gate_up, &mut layer.down] {
                matrix.offset = matrices.take(matrix.inputs * matrix.outputs);
            }
        }
        // Last, so that a model with another head has everything else where it was.
        let head = (!shape.tied || shape.classes.is_some()).then(|| Matrix {
            offset: matrices.take(shape.outputs() * width),
            inputs: width,
            outputs: shape.outputs(),
        });

        tensors.push(Tensor {
            name: "model.embed_tokens.weight".to_owned(),
            shape: vec![shape.vocabulary, width],
            place: Place::Straight { offset: embedding },
        });
        for (index, layer) in layers.iter().enumerate() {
            name_layer(&mut tensors, &format!("model.layers.{index}"), layer, shape);
        }
        tensors.push(straight("model.norm.weight".to_owned(), norm));
        if let Some(head) = head {
            let name = if shape.classes.is_some() { "score.weight" } else { "lm_head.weight" };
            tensors.push(turned(name.to_owned(), head, 0, shape.outputs()));
        }
        Self { embedding, layers, norm, head, tensors, vectors, len: matrices.0 }
    }
}

/// The columns of a joined matrix that each of its projections has.
pub fn projections(layer: &Layer, shape: &Architecture) -> [(&'static str, Matrix, usize, usize); 7] {
    let (query, key) = (shape.query_width(), shape.kv_heads * shape.head_dim);
    [
        ("self_attn.q_proj", layer.qkv, 0, query),
        ("self_attn.k_proj", layer.qkv, query, key),
        ("self_attn.v_proj", layer.qkv, query + key, key),
        ("self_attn.o_proj", layer.out, 0, shape.width),
        ("mlp.gate_proj", layer.gate_up, 0, shape.inner),
        ("mlp.up_proj", layer.gate_up, shape.inner, shape.inner),
        ("mlp.down_proj", layer.down, 0, shape.width),
    ]
}

fn name_layer(tensors: &mut Vec<Tensor>, prefix: &str, layer: &Layer, shape: &Architecture) {
    tensors.push(straight(format!("{prefix}.input_layernorm.weight"), layer.norm_in));
    for (name, matrix, first, columns) in projections(layer, shape) {
        tensors.push(turned(format!("{prefix}.{name}.weight"), matrix, first, columns));
        let bias = match name {
            "self_attn.o_proj" => layer.out_bias,
            "self_attn.q_proj" | "self_attn.k_proj" | "self_attn.v_proj" => layer.qkv_bias,
            _ => None,
        };
        if let Some(bias) = bias {
            let part = Vector { offset: bias.offset + first, len: columns };
            tensors.push(straight(format!("{prefix}.{name}.bias"), part));
        }
    }
    if let Some((query, key)) = layer.qk_norm {
        tensors.push(straight(format!("{prefix}.self_attn.q_norm.weight"), query));
        tensors.push(straight(format!("{prefix}.self_attn.k_norm.weight"), key));
    }
    tensors.push(straight(format!("{prefix}.post_attention_layernorm.weight"), layer.norm_mid));
}

fn straight(name: String, vector: Vector) -> Tensor {
    Tensor { name, shape: vec![vector.len], place: Place::Straight { offset: vector.offset } }
}

fn turned(name: String, matrix: Matrix, first: usize, columns: usize) -> Tensor {
    let place = Place::Turned { offset: matrix.offset + first, stride: matrix.outputs };
    Tensor { name, shape: vec![columns, matrix.inputs], place }
}

struct Cursor(usize);

impl Cursor {
    fn take(&mut self, len: usize) -> usize {
        let here = self.0;
        self.0 += len;
        here
    }

    fn vector(&mut self, len: usize) -> Vector {
        Vector { offset: self.take(len), len }
    }
}
