//! An image: a base, ordered layers, and how to start on them.

mod error;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use swegym_core::Digest;

use crate::base::Base;
use error::VERSION;

use crate::store::LayerId;
pub use error::ImageError;

/// Everything a box starts from. Two equal images have equal digests.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// What lies at the bottom.
    pub base: Base,
    /// On top of the base, lowest first.
    pub layers: Vec<LayerId>,
    /// Variables of every command.
    pub env: Vec<(String, String)>,
    /// Folder of every command.
    pub workdir: String,
    /// What upper floors note about the image; part of its identity.
    pub labels: BTreeMap<String, String>,
}

impl Image {
    /// A bare base.
    #[must_use]
    pub fn new(base: Base) -> Self {
        let env = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            // All of C.UTF-8 that is not C. `LANG` says the same, and has every
            // program open twelve files where this has it open one: a fifth of
            // what a small program takes.
            ("LC_CTYPE", "C.UTF-8"),
            ("TZ", "UTC"),
        ];
        let env = env.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        Self { base, layers: Vec::new(), env, workdir: "/".to_owned(), labels: BTreeMap::new() }
    }

    /// The image with one more layer on top.
    #[must_use]
    pub fn with_layer(&self, layer: LayerId) -> Self {
        let mut image = self.clone();
        image.layers.push(layer);
        image
    }

    /// Sets or replaces a variable.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(n, _)| n != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// The image's name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }

    pub(crate) fn to_json(&self) -> String {
        let layers: Vec<_> = self.layers.iter().map(|l| l.0.hex()).collect();
        let value = json!({
            "format_version": VERSION,
            "base": self.base.to_json(),
            "layers": layers,
            "env": self.env,
            "workdir": self.workdir,
            "labels": self.labels,
        });
        format!("{value:#}\n")
    }

    pub(crate) fn from_json(text: &str) -> Result<Self, ImageError> {
        let value: Value = serde_json::from_str(text)?;
        let version = value["format_version"].as_u64().ok_or(ImageError::Field("format_version"))?;
        if version > VERSION {
            return Err(ImageError::Newer(version));
        }
        let layer = |v: &Value| Some(LayerId(Digest::parse(v.as_str()?).ok()?));
        let pair = |v: &Value| Some((v.get(0)?.as_str()?.to_owned(), v.get(1)?.as_str()?.to_owned()));
        let label = |(k, v): (&String, &Value)| Some((k.clone(), v.as_str()?.to_owned()));
        let list = |field: &'static str| value[field].as_array().ok_or(ImageError::Field(field));
        Ok(Self {
            base: Base::from_json(&value["base"]).ok_or(ImageError::Field("base"))?,
            layers: list("layers")?
                .iter()
                .map(layer)
                .collect::<Option<_>>()
                .ok_or(ImageError::Field("layers"))?,
            env: list("env")?.iter().map(pair).collect::<Option<_>>().ok_or(ImageError::Field("env"))?,
            workdir: value["workdir"].as_str().ok_or(ImageError::Field("workdir"))?.to_owned(),
            labels: value["labels"]
                .as_object()
                .and_then(|o| o.iter().map(label).collect())
                .ok_or(ImageError::Field("labels"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_read_back_and_a_newer_one_refused() {
        let mut image = Image::new(Base::Rootfs {
            layer: LayerId(Digest::of(b"r")),
            skeleton: LayerId(Digest::of(b"s")),
        });
        image.layers.push(LayerId(Digest::of(b"l")));
        image.labels.insert("a".into(), "b".into());
        assert_eq!(Image::from_json(&image.to_json()).unwrap(), image);
        let newer = image.to_json().replace("\"format_version\": 1", "\"format_version\": 2");
        assert!(matches!(Image::from_json(&newer), Err(ImageError::Newer(2))));
    }
}
