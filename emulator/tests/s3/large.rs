//! Large objects are streamed: the memory of the emulator does not grow with them. `make large` runs this with objects of 1 GiB.

use md5::{Digest as _, Md5};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::*;

/// The size of the objects, in MiB: a multiple of that of a part.
fn mebibytes() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "`make large` sets it")]
    let given = std::env::var("S3_LARGE_MIB").ok();
    given.map_or(64, |text| text.parse().expect("S3_LARGE_MIB is a number"))
}

/// The size of a part, in MiB.
const PART: u64 = 32;

/// How much the resident memory may grow, in KiB.
const GROWTH: u64 = 64 * 1024;

const MIB: usize = 1024 * 1024;

/// A MiB of an object. No two are the same.
fn piece(place: u64) -> Vec<u8> {
    place.to_le_bytes().repeat(MIB / 8)
}

/// The MD5 of these MiB of an object.
fn digest(places: std::ops::Range<u64>) -> Md5 {
    places.fold(Md5::new(), |md5, place| md5.chain_update(piece(place)))
}

fn hex(md5: Md5) -> String {
    format!("{:032x}", u128::from_be_bytes(md5.finalize().into()))
}

/// Sends a request whose headers end the head. Returns the connection.
async fn connect(url: &str, head: &str) -> BufReader<TcpStream> {
    let address = url.strip_prefix("http://").unwrap();
    let mut connection = BufReader::new(TcpStream::connect(address).await.unwrap());
    let head = format!("{head}host: {address}\r\nauthorization: {SIGNATURE}\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// Reads the head of a response, and returns its headers.
async fn answer(connection: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(connection.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    head
}

/// Puts these MiB of an object, and returns the entity tag.
async fn put_pieces(url: &str, path: &str, places: std::ops::Range<u64>) -> String {
    let length = (places.end - places.start) * MIB as u64;
    let mut connection = connect(url, &format!("PUT {path} HTTP/1.1\r\ncontent-length: {length}\r\n")).await;
    for place in places {
        connection.write_all(&piece(place)).await.unwrap();
    }
    connection.flush().await.unwrap();
    let head = answer(&mut connection).await;
    head.split_once("etag: ").unwrap().1.split_once("\r\n").unwrap().0.to_owned()
}

/// Gets an object, and returns its size in bytes and its MD5.
async fn get_pieces(url: &str, path: &str) -> (u64, String) {
    let mut connection = connect(url, &format!("GET {path} HTTP/1.1\r\n")).await;
    answer(&mut connection).await;
    let (mut size, mut md5, mut piece) = (0, Md5::new(), vec![0; MIB]);
    loop {
        let count = connection.read(&mut piece).await.unwrap();
        if count == 0 {
            return (size, hex(md5));
        }
        md5.update(&piece[..count]);
        size += count as u64;
    }
}

/// A member of `/proc/PID/status`, in KiB.
fn memory(process: &Child, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let (_, rest) = status.split_once(&format!("{name}:")).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_memory_of_the_emulator_does_not_grow_with_the_size_of_an_object() {
    let directory = tempfile::tempdir().unwrap();
    let (emulator, url) = program(directory.path()).await;
    let before = memory(&emulator, "VmRSS");
    let all = mebibytes();
    let md5 = hex(digest(0..all));
    let etag = put_pieces(&url, "/orders/whole", 0..all).await;
    assert_eq!(etag, format!("\"{md5}\""));

    let id = multipart::create(&url, "/orders/parts").await;
    let mut parts = Vec::new();
    for number in 1..=all / PART {
        let path = format!("/orders/parts?partNumber={number}&uploadId={id}");
        let etag = put_pieces(&url, &path, (number - 1) * PART..number * PART).await;
        parts.push((u32::try_from(number).unwrap(), etag));
    }
    let parts: Vec<_> = parts.iter().map(|(number, etag)| (*number, &**etag)).collect();
    assert_eq!(multipart::complete(&url, "/orders/parts", &id, &parts).await.status(), 200);

    for path in ["/orders/whole", "/orders/parts"] {
        assert_eq!(get_pieces(&url, path).await, (all * MIB as u64, md5.clone()), "{path}");
    }
    let most = memory(&emulator, "VmHWM");
    println!("{all} MiB: from {before} to at most {most} KiB");
    assert!(most < before + GROWTH, "the memory grew from {before} to {most} KiB");
}
