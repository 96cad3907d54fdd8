//! Metrics in TensorBoard's format: records of Google's `Event` message, each with the
//! checksums of the TFRecord format.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

/// The file under a run's folder. TensorBoard looks for this beginning.
pub(super) const FILE: &str = "tensorboard/events.out.tfevents.0000000000.swegym";

/// Under which names the fields of `metrics.jsonl` are shown.
const SHOWN: [(&str, &str); 7] = [
    ("loss", "train/loss"),
    ("accuracy", "train/accuracy"),
    ("gradient", "train/gradient_norm"),
    ("rate", "train/learning_rate"),
    ("tokens_per_second", "train/tokens_per_second"),
    ("held_out_loss", "eval/loss"),
    ("held_out_accuracy", "eval/accuracy"),
];

/// A file of events that is written to.
pub(super) struct Events(File);

impl Events {
    /// Begins the file anew with what was measured so far.
    pub(super) fn begin(folder: &Path, metrics: &str) -> std::io::Result<Self> {
        let path = folder.join(FILE);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        let mut bytes = record(&event(0, &text_field(3, b"brain.Event:2")));
        for line in metrics.lines() {
            bytes.extend(serde_json::from_str(line).map(|row: Value| of_row(&row)).unwrap_or_default());
        }
        swegym_files::write_synced(&path, &bytes)?;
        File::options().append(true).open(&path).map(Self)
    }

    /// Adds a line of `metrics.jsonl`.
    pub(super) fn add(&mut self, row: &Value) -> std::io::Result<()> {
        self.0.write_all(&of_row(row))
    }
}

fn of_row(row: &Value) -> Vec<u8> {
    let value = |(field, name): &(&str, &str)| {
        let number = row[*field].as_f64()?;
        // simple_value is field 2, a float: tag 0x15.
        let of_tag = [text_field(1, name.as_bytes()), vec![0x15], (number as f32).to_le_bytes().to_vec()];
        Some(text_field(1, &of_tag.concat()))
    };
    let values: Vec<u8> = SHOWN.iter().filter_map(value).flatten().collect();
    if values.is_empty() {
        return Vec::new();
    }
    record(&event(row["step"].as_u64().unwrap_or(0), &text_field(5, &values)))
}

/// An `Event`: wall_time (1, a double), step (2), and what else.
fn event(step: u64, rest: &[u8]) -> Vec<u8> {
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
    [&[0x09][..], &now.to_le_bytes(), &[0x10], &varint(step), rest].concat()
}

/// A field of bytes: its tag, their number, and they.
fn text_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A record: its length, the length's checksum, the bytes, their checksum.
fn record(bytes: &[u8]) -> Vec<u8> {
    let len = (bytes.len() as u64).to_le_bytes();
    [&len[..], &checksum(&len), bytes, &checksum(bytes)].concat()
}

/// CRC-32C, turned and shifted as TFRecord has it.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known from TensorFlow's own files: the version record without its time.
    #[test]
    fn records_are_framed_as_tensorflow_frames_them() {
        let framed = record(b"\x1a\x0dbrain.Event:2");
        assert_eq!(framed[..8], 15u64.to_le_bytes());
        assert_eq!(framed.len(), 8 + 4 + 15 + 4);
        // RFC 3720, B.4: 32 zero bytes have CRC-32C 0x8a9136aa.
        assert_eq!(
            checksum(&[0; 32]),
            0x8a91_36aau32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
        );
        assert_eq!(varint(300), [0xac, 0x02]);
    }
}
