//! Image files of a store.

use std::fs;

use swegym_core::Digest;
use swegym_files::write_whole;

use super::{Store, StoreError};
use crate::image::{Image, ImageError};

impl Store {
    /// Writes an image file; its digest is the image's name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save_image(&self, image: &Image) -> Result<Digest, StoreError> {
        let digest = image.digest();
        let path = self.home.join(format!("store/images/{}.json", digest.short()));
        write_whole(&path, image.to_json().as_bytes()).map_err(StoreError::io("write", &path))?;
        Ok(digest)
    }

    /// Every image of the store by its short digest, sorted.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn images(&self) -> Result<Vec<(String, Image)>, StoreError> {
        let folder = self.home.join("store/images");
        let read = fs::read_dir(&folder).map_err(StoreError::io("read the folder", &folder))?;
        let names = read.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
        let mut digests: Vec<String> =
            names.filter_map(|n| n.strip_suffix(".json").map(str::to_owned)).collect();
        digests.sort();
        digests.into_iter().map(|d| Ok((d.clone(), self.load_image(&d)?))).collect()
    }

    /// Reads an image by its digest, whole or short.
    ///
    /// # Errors
    /// When it is not there or damaged.
    pub fn load_image(&self, digest: &str) -> Result<Image, StoreError> {
        let missing =
            || StoreError::Missing { kind: "image", id: digest.to_owned(), store: self.home.join("store") };
        let short =
            digest.get(..16).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(missing)?;
        let path = self.home.join(format!("store/images/{short}.json"));
        let text = fs::read_to_string(&path).map_err(|_| missing())?;
        let image = Image::from_json(&text).and_then(|image| {
            let own = image.digest().hex();
            if own.starts_with(digest) { Ok(image) } else { Err(ImageError::Other(own)) }
        });
        image.map_err(|source| StoreError::Image { path, source })
    }
}
