//! A small package index over HTTP, with files that a test makes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use swegym_core::Digest;

/// A file as the index has it.
#[derive(Clone)]
pub struct Offered {
    pub filename: String,
    pub bytes: Vec<u8>,
    /// What the page says of it: a digest, or nothing.
    pub fragment: String,
}

impl Offered {
    /// A source archive of files (path, text), with the digest it has.
    pub fn source(name: &str, version: &str, files: &[(&str, &str)]) -> Self {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, format!("{name}-{version}/{path}"), text.as_bytes()).unwrap();
        }
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        let fragment = format!("#sha256={}", Digest::of(&bytes).hex());
        Self { filename: format!("{name}-{version}.tar.gz"), bytes, fragment }
    }

    /// A wheel of one module, with these lines in its metadata.
    pub fn wheel(name: &str, version: &str, lines: &str) -> Self {
        let about = format!("{name}-{version}.dist-info");
        let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{lines}");
        let kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let record = format!("{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n");
        let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in [
            (format!("{name}.py"), ""),
            (format!("{about}/METADATA"), &metadata),
            (format!("{about}/WHEEL"), kind),
            (format!("{about}/RECORD"), &record),
        ] {
            archive.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        let bytes = archive.finish().unwrap().into_inner();
        let fragment = format!("#sha256={}", Digest::of(&bytes).hex());
        Self { filename: format!("{name}-{version}-py3-none-any.whl"), bytes, fragment }
    }
}

/// Serves until the test ends. Asks for a user and a password.
pub struct Index {
    pub port: u16,
    /// What was asked for: `GET /simple/a/`.
    pub asked: Arc<Mutex<Vec<String>>>,
}

/// What the index asks for.
pub const USER: &str = "somebody:topsecret";
const HEADER: &str = "authorization: basic c29tzwjvzhk6dg9wc2vjcmv0";

impl Index {
    pub fn serve(files: Vec<Offered>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let index = Self { port: listener.local_addr().unwrap().port(), asked: Arc::default() };
        let asked = Arc::clone(&index.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no concern of the others.
                let _ = answer(stream, &files, &asked);
            }
        });
        index
    }

    /// Its address, with what it asks for.
    pub fn url(&self) -> String {
        format!("http://{USER}@127.0.0.1:{}/simple", self.port)
    }
}

fn answer(mut stream: TcpStream, files: &[Offered], asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let line = head.first().cloned().unwrap_or_default();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    asked.lock().unwrap().push(line.trim_end_matches(" HTTP/1.1").to_owned());
    let (status, body) = if !head.iter().any(|line| line.to_ascii_lowercase() == HEADER) {
        ("401 Unauthorized", Vec::new())
    } else if let Some(file) = files.iter().find(|file| path == format!("/files/{}", file.filename)) {
        ("200 OK", file.bytes.clone())
    } else {
        let project = path.trim_start_matches("/simple/").trim_end_matches('/');
        let of_project = |file: &&Offered| file.filename.starts_with(&format!("{project}-"));
        let anchor = |file: &Offered| {
            format!("<a href=\"../../files/{0}{1}\">{0}</a>\n", file.filename, file.fragment)
        };
        let anchors: String = files.iter().filter(of_project).map(anchor).collect();
        let status = if anchors.is_empty() { "404 Not Found" } else { "200 OK" };
        (status, anchors.into_bytes())
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())?;
    stream.write_all(&body)
}
